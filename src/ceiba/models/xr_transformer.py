"""XR-Transformer: an encoder fine-tuned level by level down the label tree, and linear rankers on what it sees."""

from __future__ import annotations

from ceiba.models.transformer import TransformerClassifier
from ceiba.models.transformer_params import transformer_parameters
from ceiba.models.transformer_recipe import ALL_LEVELS


@transformer_parameters
class XRTransformer(TransformerClassifier):
    """Recursive Transformer matcher with linear rankers: labels ranked by meaning as well as by words.

    A label tree is made from TF-IDF features. Level by level, from coarse to fine, an encoder is fine-tuned jointly
    with a linear head over the level's nodes. Its embeddings beside the TF-IDF features then make a new tree, on
    which linear matchers and rankers (`XRLinear`) are trained; these answer. ``XRTransformer.from_preset`` sets several
    parameters by one word: "fast" is a quarter of an epoch, "balanced" the defaults, "accurate" two epochs and labels
    in up to two clusters.

    {parameters}

    Attributes
    ----------
    encoder_ : Encoder
        The fine-tuned encoder.
    ranker_ : XRLinear
        The linear model on top; `partitions_`, `trees_`, `classes_` and `label_counts_` are its own.
    vectorizer_ : transformer or None
    n_features_in_ : int
        Features of the ranker: sparse ones and embedding.
    n_sparse_ : int
        The sparse ones among them.
    feature_names_in_ : ndarray of str objects
        Only where the features given to ``fit`` were a data frame whose columns have names.
    own_features_ : bool
        Whether the sparse ones were given to ``fit``.
    label_embeddings_ : ndarray of shape (L, d) or None
        Of the labels, where they count when labels are ranked: the mean of their training texts', or of their own
        texts, moved towards that mean.
    cosine_weight_ : float
        What the cosine to them counts beside the ranker's score.
    read_label_texts_ : bool
        Whether labels had texts of their own.
    label_texts_ : ndarray of shape (L,), str objects, or None
        These texts.
    fit_report_ : dict
        Seconds of each stage; per level of fine-tuning the loss, the spread of the embeddings (mean cosine) and texts
        per second; the ranker's own report. Not saved.

    See Also
    --------
    ceiba.XTransformer : One level of clusters in place of many.
    ceiba.XRLinear : Without an encoder.

    Notes
    -----
    Any number of threads may ask one model; answers are the same, byte for byte, for any `n_jobs`. Start processes by
    "spawn" or "forkserver": what is forked while another thread predicts may hang, and a fork of a process that trained
    with several threads cannot train (`ForkError`).

    References
    ----------
    - Zhang, Chang, Yu and Dhillon, "Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text
      Classification", NeurIPS 2021: XR-Transformer.
    - Reimers and Gurevych, "Sentence-BERT", EMNLP 2019: mean pooling.
    """

    _recipe = ALL_LEVELS
