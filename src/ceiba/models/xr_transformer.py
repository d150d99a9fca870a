"""XR-Transformer: an encoder fine-tuned level by level down the label tree, and linear rankers on what it sees."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ceiba._params import (
    Constraints,
    Exactly,
    Flag,
    Instance,
    Interval,
    JsonList,
    Options,
    Text,
    available_threads,
    check_all,
)
from ceiba.data.labels import encode_labels
from ceiba.encoders.load import load_encoder, require_torch, torch_threads
from ceiba.errors import InputError, InputTypeError
from ceiba.features import TfidfVectorizer
from ceiba.features.dense import dense_features, with_dense
from ceiba.features.matrix import Features, as_features, is_text
from ceiba.layers.instances import InstanceLists
from ceiba.matchers.settings import MatcherSettings
from ceiba.models.classifier import PartitionedClassifier
from ceiba.models.partition import Progress, stage
from ceiba.models.xr_linear import PIFA_FEATURES, XRLinear
from ceiba.search.beam import BeamSearcher
from ceiba.tree.clustering import cluster_labels
from ceiba.tree.embeddings import pifa
from ceiba.tree.label_tree import LabelTree

_FROZEN = "frozen:"

_POSITIVE = Interval(float, 0, None, closed="neither")
_COUNT = Interval(int, 1, None)


class XRTransformer(PartitionedClassifier):
    """Recursive Transformer matcher with linear rankers: labels ranked by what a text means as well as by its words.

    A label tree is made from TF-IDF features. Level by level, from coarse to fine, an encoder is fine-tuned jointly
    with a linear head over the level's nodes. Its embeddings beside the TF-IDF features then make a new tree, on
    which linear matchers and rankers (`XRLinear`) are trained; these answer.

    Parameters
    ----------
    encoder : str, default="sentence-transformers/all-MiniLM-L6-v2"
        A folder in Hugging Face's or sentence-transformers' layout, or the name of a model on the hub. With
        "frozen:" before it the encoder is used as it is: texts are embedded once and nothing is fine-tuned.
    max_length : int, default=128
        Tokens read of a text.
    pooling : {"auto", "mean", "cls", "last"}, default="auto"
        How the tokens' vectors become one: their mean, the first, or the last. "auto": what a sentence-transformers
        model names, else the last for decoders and the mean for all others.
    epochs : float, default=1.0
        Passes over the texts, of all levels together; each level has four times the steps of the one above.
    steps : int, list of int or None, default=None
        Steps in place of `epochs`: of all levels together, or of each (0: a level is left out).
    loss : {"softmax", "squared_hinge"}, default="softmax"
        Of the heads: cross-entropy over a text's candidates, or the linear solver's own loss for each of them.
    scale : float, default=20.0
        With "softmax", what cosines are multiplied by at the start of a level: the inverse of a temperature.
    batch_size : int, default=32
        Texts per step. When memory runs out a step is made in smaller parts, with the same result.
    learning_rate : float, default=0.0001
        The largest learning rate of the encoder: it rises over the warm-up, then falls to 0 over all levels.
    head_learning_rate : float, default=0.005
        The same for the heads.
    min_positives : float, default=10.0
        Levels whose nodes have fewer positives than this on average are left out, but for the first: a node of few
        texts teaches the encoder these texts alone. `steps` of each level overrules it.
    warmup : float, default=0.1
        The share of all steps in which learning rates rise.
    weight_decay : float, default=0.01
        Of the encoder (AdamW).
    max_grad_norm : float, default=1.0
        Gradients of the encoder are scaled down to this length.
    dropout : float or None, default=None
        Replaces the encoder's own dropout in training.
    freeze_embeddings : bool, default=True
        Leave the tokens' own vectors as they are.
    averaging : float, default=0.0
        The share of the pretrained weights in the final ones: 0 takes the fine-tuned weights as they are, 0.5 the mean
        of both, for texts of few words and labels of few texts.
    negatives : {"tfn", "man", "tfn+man"}, default="tfn+man"
        Whose children a text is trained on below the first level: the clusters of its labels (teacher-forced), those
        that a linear matcher finds on embeddings and TF-IDF (matcher-aware), or both.
    negative_beam : int, default=10
        Clusters that the matcher gives a text.
    matcher_branching_factor : int, default=32
        The most children of a node of the tree that is fine-tuned on.
    matcher_leaf_size : int, default=16
        The most labels of a bottom cluster of that tree.
    validation_fraction : float, default=0.0
        Share of the texts held out of fine-tuning (not of the rankers). The best weights by their loss are kept.
    patience : int, default=3
        With held-out texts: fine-tuning of a level ends after this many looks (20 per level) without a better loss.
    ranker : XRLinear or None, default=None
        The linear model on embeddings and TF-IDF, as a template: its `random_state` and `n_jobs` are the model's. None:
        `default_ranker`.
    vectorizer : "tfidf", transformer or None, default="tfidf"
        The sparse features, as in `XRLinear`. None: the embeddings alone.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is a GPU where there is one.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What matrix products are made in; "auto" is the fastest that the device has and training bears.
    checkpoint_dir : str or None, default=None
        Folder for checkpoints. A training that was stopped goes on from the last one when ``fit`` is called again with
        the same texts, labels and parameters, and ends with the same model.
    checkpoint_seconds : float, default=300.0
        Seconds between checkpoints; one is also written after each level.
    random_state : int, default=0
        Seeds everything. The same seed gives the same model on the same machine's CPU.
    n_jobs : int or None, default=None
        Threads; None and -1 are all cores this process may use.

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
    own_features_ : bool
        Whether the sparse ones were given to ``fit``.
    fit_report_ : dict
        Seconds of each stage; per level of fine-tuning the loss, the spread of the embeddings (mean cosine) and texts
        per second; the ranker's own report. Not saved.

    See Also
    --------
    ceiba.XTransformer : One level of clusters in place of many.
    ceiba.XRLinear : Without an encoder.

    References
    ----------
    - Zhang, Chang, Yu and Dhillon, "Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text
      Classification", NeurIPS 2021: XR-Transformer.
    - Reimers and Gurevych, "Sentence-BERT", EMNLP 2019: mean pooling.
    """

    _constraints: ClassVar[Constraints] = {
        "encoder": [Text("a folder, a name on the hub, or either after 'frozen:'")],
        "max_length": [Interval(int, 4, None)],
        "pooling": [Options("auto", "mean", "cls", "last")],
        "epochs": [_POSITIVE],
        "steps": [Exactly(None), _COUNT, JsonList(Interval(int, 0, None))],
        "loss": [Options("softmax", "squared_hinge")],
        "scale": [_POSITIVE],
        "batch_size": [_COUNT],
        "learning_rate": [_POSITIVE],
        "head_learning_rate": [_POSITIVE],
        "min_positives": [Interval(float, 0, None)],
        "warmup": [Interval(float, 0, 1)],
        "weight_decay": [Interval(float, 0, None)],
        "max_grad_norm": [_POSITIVE],
        "dropout": [Exactly(None), Interval(float, 0, 1, closed="left")],
        "freeze_embeddings": [Flag()],
        "averaging": [Interval(float, 0, 1)],
        "negatives": [Options("tfn", "man", "tfn+man")],
        "negative_beam": [_COUNT],
        "matcher_branching_factor": [Interval(int, 2, None)],
        "matcher_leaf_size": [_COUNT],
        "validation_fraction": [Interval(float, 0, 0.5)],
        "patience": [_COUNT],
        "ranker": [Exactly(None), Instance("an XRLinear", XRLinear)],
        "vectorizer": XRLinear._constraints["vectorizer"],
        "device": [Text("a device such as 'auto', 'cpu' or 'cuda:0'")],
        "precision": [Options("auto", "float32", "bfloat16", "float16")],
        "checkpoint_dir": [Exactly(None), Text("a folder"), Instance("a Path", Path)],
        "checkpoint_seconds": [Interval(float, 0, None)],
        "random_state": XRLinear._constraints["random_state"],
        "n_jobs": XRLinear._constraints["n_jobs"],
    }

    encoder_: Any
    ranker_: XRLinear
    _levels = "all"

    def __init__(
        self,
        *,
        encoder: str = "sentence-transformers/all-MiniLM-L6-v2",
        max_length: int = 128,
        pooling: str = "auto",
        epochs: float = 1.0,
        steps: int | Sequence[int] | None = None,
        loss: str = "softmax",
        scale: float = 20.0,
        batch_size: int = 32,
        learning_rate: float = 1e-4,
        head_learning_rate: float = 5e-3,
        min_positives: float = 10.0,
        warmup: float = 0.1,
        weight_decay: float = 0.01,
        max_grad_norm: float = 1.0,
        dropout: float | None = None,
        freeze_embeddings: bool = True,
        averaging: float = 0.0,
        negatives: str = "tfn+man",
        negative_beam: int = 10,
        matcher_branching_factor: int = 32,
        matcher_leaf_size: int = 16,
        validation_fraction: float = 0.0,
        patience: int = 3,
        ranker: XRLinear | None = None,
        vectorizer: Any = "tfidf",
        device: str = "auto",
        precision: str = "auto",
        checkpoint_dir: str | Path | None = None,
        checkpoint_seconds: float = 300.0,
        random_state: int = 0,
        n_jobs: int | None = None,
    ):
        self.encoder = encoder
        self.max_length = max_length
        self.pooling = pooling
        self.epochs = epochs
        self.steps = steps
        self.loss = loss
        self.scale = scale
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.min_positives = min_positives
        self.warmup = warmup
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.dropout = dropout
        self.freeze_embeddings = freeze_embeddings
        self.averaging = averaging
        self.negatives = negatives
        self.negative_beam = negative_beam
        self.matcher_branching_factor = matcher_branching_factor
        self.matcher_leaf_size = matcher_leaf_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.ranker = ranker
        self.vectorizer = vectorizer
        self.device = device
        self.precision = precision
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_seconds = checkpoint_seconds
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ------------------------------------------------------------------ training

    def fit(
        self,
        texts: Any,
        Y: Any,
        X: Any = None,
        *,
        classes: Any = None,
        progress: Progress | None = None,
    ) -> XRTransformer:
        """Train the model.

        Parameters
        ----------
        texts : iterable of str
        Y : sequence of N collections of str or int, or (N, L) indicator
            The positives of each row, as in ``XRLinear.fit``.
        X : sparse matrix or array-like of shape (N, D), default=None
            Features of your own in place of TF-IDF. Answers then take a pair (texts, X).
        classes : sequence of L str or int, default=None
            Names of the columns of an indicator.
        progress : callable or None, default=None
            ``progress(stage, done, total)``, called now and then; if it has a method ``note``, that is told loss and
            speed.

        Returns
        -------
        XRTransformer
            The model itself.

        Raises
        ------
        MissingExtraError
            When torch or transformers is not installed.
        InputError, InputTypeError
            When a parameter or an argument cannot be used; nothing has been trained then.
        """
        name = type(self).__name__
        check_all(self.get_params(deep=False), self._constraints, name)
        require_torch(name)
        texts = _texts(texts)
        if Y is None:
            raise InputError(f"{name} requires y to be passed, but the target y is None.")
        Y, classes = encode_labels(Y, classes)
        ranker = self._new_ranker()
        check_all(ranker.get_params(deep=False), ranker._constraints, "XRLinear")
        ranker._check_labels(Y, classes)
        self._check_rows("Y", Y.shape[0], len(texts))
        given = None if X is None else as_features(X)
        if given is not None:
            self._check_rows("X", given.n_rows, len(texts))
        encoder = self._load_encoder()
        seconds: dict[str, float] = {}
        clock = _Clock(seconds)

        features, vectorizer = self._sparse(texts, given, progress)
        clock.over("features")
        tokens = encoder.tokenize(texts, stage(progress, "tokens", len(texts)))
        clock.over("tokens")
        positives = InstanceLists.from_columns(Y)
        with torch_threads(available_threads(self.n_jobs)):
            embeddings, levels = self._fine_tune(encoder, tokens, features, positives, seconds, progress)
        clock.over("matcher")
        ranker.fit(with_dense(features, embeddings), Y, classes=classes, progress=progress)
        clock.over("rankers")

        self._forget()
        self.encoder_, self.vectorizer_ = encoder, vectorizer
        self.n_sparse_, self.own_features_ = features.n_features, given is not None
        self._take(ranker)
        self.fit_report_ = {"seconds": seconds, "matcher": levels, "ranker": ranker.fit_report_}
        return self

    def _fine_tune(
        self,
        encoder: Any,
        tokens: Any,
        X: Features,
        positives: InstanceLists,
        seconds: dict[str, float],
        progress: Progress | None,
    ) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
        """Return the embeddings of the texts by the encoder, which is fine-tuned unless it is frozen."""
        if self.encoder.startswith(_FROZEN):
            return encoder.embed(tokens, progress=stage(progress, "embeddings", tokens.n_rows)), []
        from ceiba.matchers.checkpoint import fingerprint
        from ceiba.matchers.train import train_matcher

        n_threads = available_threads(self.n_jobs)
        started = time.perf_counter()
        basis = X if X.n_features else dense_features(encoder.embed(tokens))
        tree = cluster_labels(
            pifa(basis, positives, max_features=PIFA_FEATURES, n_threads=n_threads),
            branching_factor=self.matcher_branching_factor,
            max_leaf_size=self.matcher_leaf_size,
            random_state=self.random_state,
            n_threads=n_threads,
        )
        tree, nodes = self._matcher_tree(tree, positives, tokens.n_rows)
        settings = self._settings(tree.depth)
        seconds["matcher's tree"] = time.perf_counter() - started
        params = {n: v for n, v in self.get_params(deep=False).items() if n not in _NOT_OF_THE_MATCHER}
        params["encoder"] = Path(self.encoder).name
        folder = None if self.checkpoint_dir is None else Path(self.checkpoint_dir)
        of = (
            ""
            if folder is None
            else fingerprint(
                type(self).__name__,
                params,
                tokens.ptr,
                tokens.ids,
                positives.ptr,
                positives.items,
                *(part for part in X.arrays() if part is not None),
            )
        )
        return train_matcher(
            encoder,
            tokens,
            X,
            tree,
            nodes,
            settings,
            seed=self.random_state,
            n_threads=n_threads,
            checkpoint_dir=folder,
            of=of,
            progress=progress,
        )

    def _matcher_tree(
        self, tree: LabelTree, positives: InstanceLists, n_instances: int
    ) -> tuple[LabelTree, InstanceLists]:
        """Return the tree to fine-tune on and the positives of what stands at its bottom."""
        return tree, positives

    def _settings(self, depth: int) -> MatcherSettings:
        if isinstance(self.steps, (list, tuple)) and len(self.steps) != depth:
            raise InputError(
                f"steps has {len(self.steps)} numbers, but the tree that is fine-tuned on has {depth} levels; change "
                "matcher_branching_factor or matcher_leaf_size for another number of levels."
            )
        names = MatcherSettings.__dataclass_fields__
        return MatcherSettings(**{name: getattr(self, name) for name in names})

    @staticmethod
    def default_ranker() -> XRLinear:
        """Return the rankers' template where none is given.

        Beside an encoder their time does not count, so they are three trees of larger clusters, and small weights, of
        which embeddings have many, are kept.
        """
        return XRLinear(n_trees=3, max_leaf_size=200, threshold=0.01)

    def _new_ranker(self) -> XRLinear:
        ranker = self.default_ranker() if self.ranker is None else clone(self.ranker)
        if isinstance(ranker.label_embedding, str) and "text" in ranker.label_embedding:
            raise InputError("ranker: label_embedding by label texts is for texts alone; use 'pifa' or 'pii'.")
        return ranker.set_params(random_state=self.random_state, n_jobs=self.n_jobs)

    def _load_encoder(self) -> Any:
        return load_encoder(
            self.encoder.removeprefix(_FROZEN),
            pooling=self.pooling,
            max_length=self.max_length,
            dropout=self.dropout,
            device=self.device,
            precision=self.precision,
        )

    def _sparse(self, texts: list[str], given: Features | None, progress: Progress | None) -> tuple[Features, Any]:
        if given is not None:
            return given, None
        if self.vectorizer is None:
            return _no_features(len(texts)), None
        stage(progress, "features", len(texts))
        own = isinstance(self.vectorizer, str)
        vectorizer = TfidfVectorizer(n_jobs=self.n_jobs) if own else clone(self.vectorizer)
        return as_features(vectorizer.fit_transform(texts)), vectorizer

    def _take(self, ranker: XRLinear) -> None:
        """Answer by a fitted ranker."""
        self.ranker_ = ranker
        self.partitions_, self.classes_ = ranker.partitions_, ranker.classes_
        self.label_counts_, self.n_train_ = ranker.label_counts_, ranker.n_train_
        self.n_features_in_ = ranker.n_features_in_

    # ------------------------------------------------------------------ answers

    def encode(self, texts: Any, *, progress: Progress | None = None) -> NDArray[np.float32]:
        """Return the embeddings of texts.

        Parameters
        ----------
        texts : iterable of str
        progress : callable or None, default=None
            ``progress("embeddings", done, N)``, called now and then.

        Returns
        -------
        ndarray of shape (N, d), float32
            Rows of length 1.
        """
        check_is_fitted(self)
        texts = _texts(texts)
        with torch_threads(available_threads(self.n_jobs)):
            tokens = self.encoder_.tokenize(texts)
            return self.encoder_.embed(tokens, progress=stage(progress, "embeddings", len(texts)))

    @property
    def reads_texts(self) -> bool:
        """Always: an encoder reads texts."""
        return True

    def _features(self, X: Any) -> Features:
        check_is_fitted(self)
        own = self.own_features_
        given = None
        if isinstance(X, tuple) and len(X) == 2 and not isinstance(X[1], str):
            X, given = X
        if own != (given is not None):
            expected = "a pair (texts, X): it was fitted on features" if own else "texts, without features"
            raise InputError(f"The model takes {expected}{' beside the texts' if own else ''}.")
        texts = _texts(X)
        if not texts:
            return as_features(sp.csr_array((0, self.n_features_in_)), allow_empty=True)
        if given is not None:
            sparse = as_features(given, self.n_sparse_, owner=type(self).__name__)
            self._check_rows("X", sparse.n_rows, len(texts))
        elif self.vectorizer_ is None:
            sparse = _no_features(len(texts))
        elif isinstance(self.vectorizer_, TfidfVectorizer):
            sparse = self.vectorizer_.features(texts)
        else:
            sparse = as_features(self.vectorizer_.transform(texts))
        return with_dense(sparse, self.encode(texts))

    def _searcher(self) -> BeamSearcher:
        return self.ranker_._searcher()

    # what the search asks the estimator for belongs to the ranker

    @property
    def beam_size(self) -> int:  # type: ignore[override]
        """The ranker's."""
        return self._of_ranker("beam_size")

    @property
    def combine(self) -> str:  # type: ignore[override]
        """The ranker's."""
        return self._of_ranker("combine")

    @property
    def prediction_threshold(self) -> float:  # type: ignore[override]
        """The ranker's."""
        return self._of_ranker("prediction_threshold")

    def _of_ranker(self, name: str) -> Any:
        return getattr(self.__dict__.get("ranker_") or self._new_ranker(), name)


# parameters that a checkpoint's training does not depend on
_NOT_OF_THE_MATCHER = ("ranker", "n_jobs", "device", "checkpoint_dir", "checkpoint_seconds", "vectorizer")


class _Clock:
    """Seconds of one stage after the other."""

    def __init__(self, seconds: dict[str, float]):
        self._seconds, self._last = seconds, time.perf_counter()

    def over(self, name: str) -> None:
        now = time.perf_counter()
        self._seconds[name], self._last = now - self._last, now


def _no_features(n: int) -> Features:
    """Return sparse features of N texts for a model without any: one column, which is empty."""
    return as_features(sp.csr_array((n, 1), dtype=np.float32))


def _texts(texts: Any) -> list[str]:
    """Return texts as a list, or say which one is none."""
    if sp.issparse(texts) or (hasattr(texts, "ndim") and texts.ndim != 1):
        raise InputTypeError("texts must be a sequence of str; an encoder reads texts, not features.")
    if isinstance(texts, str):
        is_text(texts)
    try:
        found = list(texts)
    except TypeError:
        raise InputTypeError(f"texts must be a sequence of str, not {type(texts).__name__}.") from None
    for row, text in enumerate(found):
        if not isinstance(text, str):
            raise InputTypeError(f"texts, row {row}: expected a str, found {type(text).__name__}.")
    return [str(text) for text in found]
