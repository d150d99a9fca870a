"""XR-Transformer: an encoder fine-tuned level by level down the label tree, and linear rankers on what it sees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ceiba._estimator import named_arguments
from ceiba._params import available_threads
from ceiba._progress import Progress, shows_progress, stage
from ceiba._random import seed_from
from ceiba._settings import check_parameters, settings_of
from ceiba.data.frames import is_table
from ceiba.data.instances import InstanceLists
from ceiba.data.label_matrix import as_labels
from ceiba.encoders.load import load_encoder
from ceiba.encoders.runtime import choose_device, require_accelerate, require_torch, torch_threads
from ceiba.errors import InputError, InputTypeError
from ceiba.features import TfidfVectorizer
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features, stacked
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.models.column_names import feature_names
from ceiba.models.fusion_weight import AUTO, TUNED_WITHOUT_TEXTS, WITHOUT_TEXTS, tune_fusion_weight, validation_rows
from ceiba.models.label_texts import embeddings_of_labels, in_class_order, kept_texts
from ceiba.models.timer import Timer
from ceiba.models.training_texts import TrainingTexts, as_texts, grow_rows, no_features
from ceiba.models.transformer_params import OVERLAP, TransformerParameters, transformer_parameters
from ceiba.models.xr_linear import PIFA_FEATURES, XRLinear
from ceiba.retrieval.score_fusion import FusedSearcher
from ceiba.retrieval.searcher import Searcher
from ceiba.tree.clustering import cluster_labels
from ceiba.tree.embeddings import pifa
from ceiba.tree.label_tree import LabelTree

_FROZEN = "frozen:"


@transformer_parameters
class XRTransformer(TransformerParameters):
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

    Notes
    -----
    Any number of threads may ask one model; answers are the same, byte for byte, for any `n_jobs`. Start processes by
    "spawn" or "forkserver": what is forked while another thread predicts may hang, and a fork of a process that trained
    with several threads cannot train (`ForkError`).

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

    encoder_: Any
    ranker_: XRLinear
    label_embeddings_: NDArray[np.float32] | None
    cosine_weight_: float
    read_label_texts_: bool
    _reads_labels = True  # whether fine-tuning goes down to the labels, where they have texts

    # ------------------------------------------------------------------ training

    @named_arguments({"Y": "y", "texts": "X"}, labels="y", X="features")
    @shows_progress
    def fit(
        self,
        X: Any,
        y: Any,
        features: Any = None,
        *,
        classes: Any = None,
        label_texts: Any = None,
        progress: Any = None,
    ) -> XRTransformer:
        """Train the model.

        In a script that `accelerate launch` or `torchrun` started as several processes, they fine-tune together, each
        on a part of every batch, and all end with the same model; save it where the environment's RANK is 0. Needs the
        extra ceiba[distributed], and for `checkpoint_dir` a folder that all of them see.

        Parameters
        ----------
        X : iterable of str
            The texts.
        y : sequence of N collections of str or int, or (N, L) indicator
            Y, the positives of each row, as in ``XRLinear.fit``.
        features : sparse matrix or array-like of shape (N, D), default=None
            Features of your own in place of TF-IDF. Answers then take a pair (texts, features).
        classes : sequence of L str or int, default=None
            Names of the columns of an indicator.
        label_texts : sequence of L str or dict, default=None
            A text per label, in the order of the classes (sorted, where Y is lists) or by label. The encoder is then
            trained to bring a text near its labels' texts, and their cosines count when labels are ranked
            for every label (`cosine_weight`); `ranker_label_documents` says what else they are used for.
        progress : callable, bool or None, default=None
            ``progress(stage, done, total)``, called now and then; if it has a method ``note``, that is told loss and
            speed. None, True, False: as in ``XRLinear.fit``.

        Returns
        -------
        XRTransformer
            The model itself.

        Raises
        ------
        MissingExtraError
            When torch, transformers or what a parameter needs is not installed.
        InputError, InputTypeError
            When a parameter or an argument cannot be used; nothing has been trained then.
        """
        check_parameters(self)
        require_torch(type(self).__name__)
        self._seed = seed_from(self.random_state, shared=require_accelerate("Training in several processes"))
        columns = feature_names(features)
        given, ranker = self._given(X, y, features, classes, label_texts)
        if self.lora_rank is not None:
            from ceiba.encoders.lora import require_peft

            require_peft("lora_rank")
        cache = None
        if self.cache_dir is not None:
            from ceiba.encoders.cache import Cache

            cache = Cache(self.cache_dir)
        n = len(given.texts)
        every_text = [*given.texts, *(given.names or [])]
        encoder = self._new_encoder(every_text, stage(progress, "vocabulary", n))
        timer = Timer()

        features, vectorizer = self._sparse(every_text, given.X, progress)
        timer.lap("features")
        read = encoder.tokenize if cache is None else partial(cache.tokens, encoder)
        chunks, told = None, stage(progress, "tokens", n)
        if self.long_texts == "chunks":
            chunks = encoder.tokenize_chunks(given.texts, told)
        tokens = read(given.texts, told) if chunks is None else chunks.first
        label_tokens = None if given.names is None else read(given.names)
        timer.lap("tokens")
        with torch_threads(available_threads(self.n_jobs)), encoder.compiling(self.compile):
            embeddings, levels = self._fine_tune(
                encoder, tokens, label_tokens, features.part(0, n), given, timer, progress, cache
            )
            if chunks is not None:
                embeddings = encoder.embed_chunks(chunks, embeddings)
            if label_tokens is not None:
                embeddings = grow_rows(embeddings, label_tokens.n_rows)
                if cache is not None and self.encoder.startswith(_FROZEN):
                    embeddings[n:] = cache.embeddings(encoder, label_tokens)
                else:
                    encoder.embed(label_tokens, out=embeddings[n:])
        timer.lap("matcher")
        inputs = features.with_block(EMBEDDING, embeddings)
        weight = self._fit_rankers(ranker, inputs, given, timer, progress)

        self._forget()
        self.encoder_, self.vectorizer_ = encoder, vectorizer
        of_texts = None if given.names is None else embeddings[n:]
        self.label_embeddings_ = (
            embeddings_of_labels(of_texts, embeddings[:n], given.labels.by_row) if weight > 0 else None
        )
        self.cosine_weight_, self.read_label_texts_ = weight, given.names is not None
        self.n_sparse_, self.own_features_ = features.n_features, given.X is not None
        self._take(ranker)
        self._set_feature_names(columns)
        self.label_texts_ = kept_texts(given.names)
        self.fit_report_ = {"seconds": timer.seconds, "matcher": levels, "ranker": ranker.fit_report_}
        return self

    def _given(
        self, texts: Any, y: Any, features: Any, classes: Any, label_texts: Any
    ) -> tuple[TrainingTexts, XRLinear]:
        """Check what there is to train on, and return it beside a ranker that is yet to be fitted."""
        texts = as_texts(texts)
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        labels, classes = as_labels(y, classes)
        ranker = self._new_ranker()
        check_parameters(ranker)
        ranker._check_labels(labels, classes)
        self._check_rows("Y", labels.n_rows, len(texts))
        given = None if features is None else as_features(features)
        if given is not None:
            self._check_rows("features", given.n_rows, len(texts))
        names = in_class_order(label_texts, classes)
        if isinstance(names, FeatureMatrix):
            raise InputTypeError("label_texts must be texts; an encoder reads texts, not features.")
        found = TrainingTexts(texts, labels, classes, given, names)
        if names is not None and AUTO in (self.ranker_label_documents, self.cosine_weight):
            found = found.holdout_first(validation_rows(len(texts), self._seed))
        return found, ranker

    def _fit_rankers(
        self,
        ranker: XRLinear,
        inputs: FeatureMatrix,
        given: TrainingTexts,
        timer: Timer,
        progress: Progress | None,
    ) -> float:
        """Fit the rankers on sparse features and embeddings of texts and, below them, of labels' texts.

        Returns
        -------
        float
            What cosines to the embeddings of labels weigh.
        """
        n = len(given.texts)
        without = WITHOUT_TEXTS if self.encoder.startswith(_FROZEN) else TUNED_WITHOUT_TEXTS
        weight = without if self.cosine_weight == AUTO else float(self.cosine_weight)
        documents, label_rows = False, None
        if given.names is not None:
            label_rows, inputs = inputs.part(n, inputs.n_rows), inputs.part(0, n)
            use = self.ranker_label_documents, self.cosine_weight
            documents, weight = tune_fusion_weight(ranker, inputs, given.labels, label_rows, given.n_held_out, *use)
            timer.lap("use of label texts")
        ranker.set_params(label_documents=documents)
        ranker.fit(inputs, given.labels, classes=given.classes, label_texts=label_rows, progress=progress)
        timer.lap("rankers")
        return weight

    def _fine_tune(
        self,
        encoder: Any,
        tokens: Any,
        label_tokens: Any,
        X: FeatureMatrix,
        given: TrainingTexts,
        timer: Timer,
        progress: Progress | None,
        cache: Any,
    ) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
        """Return the embeddings of the texts by the encoder, which is fine-tuned unless it is frozen."""
        if self.encoder.startswith(_FROZEN):
            told = stage(progress, "embeddings", tokens.n_rows)
            return encoder.embed(tokens, progress=told) if cache is None else cache.embeddings(
                encoder, tokens, told
            ), []
        from ceiba.encoders.cache import encoder_fingerprint
        from ceiba.encoders.static import static_dim
        from ceiba.finetuning.checkpoint import fingerprint
        from ceiba.finetuning.train import train_matcher

        n_threads, positives = available_threads(self.n_jobs), given.labels.by_label
        basis = X
        if len(X.indices) == 0 and X.dense is None:
            basis = FeatureMatrix.from_block(EMBEDDING, encoder.embed(tokens))
        tree = cluster_labels(
            pifa(basis, positives, max_features=PIFA_FEATURES, n_threads=n_threads),
            branching_factor=self.matcher_branching_factor,
            max_leaf_size=self.matcher_leaf_size,
            random_state=self._seed,
            n_threads=n_threads,
        )
        tree, nodes = self._matcher_tree(tree, positives, tokens.n_rows)
        settings = self._settings(tree.depth)
        timer.lap("matcher's tree")
        params = {n: v for n, v in self.get_params(deep=False).items() if n not in _NOT_OF_THE_MATCHER}
        params["random_state"] = self._seed
        folder = None if self.checkpoint_dir is None else Path(self.checkpoint_dir)
        training = ""
        if folder is not None:
            if static_dim(self.encoder) is None:  # a static one follows from the texts
                params["encoder"] = encoder_fingerprint(encoder)  # wherever it was loaded from
            parts: Any = (tokens, label_tokens or (), (positives.ptr, positives.indices), X.arrays())
            training = fingerprint(type(self).__name__, params, *(a for part in parts for a in part if a is not None))
        return train_matcher(
            encoder,
            tokens,
            X,
            tree,
            nodes,
            settings,
            label_tokens=label_tokens if self._reads_labels else None,
            held_out=np.arange(given.n_held_out),
            seed=self._seed,
            n_threads=n_threads,
            checkpoint_dir=folder,
            fingerprint=training,
            progress=progress,
        )

    def _matcher_tree(
        self, tree: LabelTree, positives: InstanceLists, n_instances: int
    ) -> tuple[LabelTree, InstanceLists]:
        """Return the tree to fine-tune on and the positives of what stands at its bottom."""
        return tree, positives

    def _settings(self, depth: int) -> FineTuningSettings:
        if isinstance(self.steps, (list, tuple)) and len(self.steps) != depth:
            raise InputError(
                f"steps has {len(self.steps)} numbers, but the tree that is fine-tuned on has {depth} levels; change "
                "matcher_branching_factor or matcher_leaf_size for another number of levels."
            )
        return settings_of(self, FineTuningSettings)

    def _new_ranker(self) -> XRLinear:
        ranker = self.default_ranker() if self.ranker is None else clone(self.ranker)
        if isinstance(ranker.label_embedding, str) and "text" in ranker.label_embedding:
            raise InputError("ranker: label_embedding by label texts is for texts alone; use 'pifa' or 'pii'.")
        if ranker.label_documents:
            raise InputError(
                "ranker: label_documents is not set there; use ranker_label_documents of the model itself."
            )
        if self.overlap > 1:
            ranker.set_params(**{name: getattr(self, name) for name in OVERLAP})
        return ranker.set_params(random_state=self.random_state, n_jobs=self.n_jobs)

    def _new_encoder(self, texts: list[str], progress: Any) -> Any:
        """Return the encoder to begin with: loaded, or learned from the texts if it is a static one."""
        from ceiba.encoders.static import fit_static_encoder, static_dim

        name = self.encoder.removeprefix(_FROZEN)
        dim = static_dim(name)
        if dim is not None:
            device = choose_device(self.device)
            if self.pooling not in ("auto", "mean"):
                raise InputError(f"pooling={self.pooling!r}, but a static encoder has no order of tokens: use 'auto'.")
            encoder = fit_static_encoder(
                texts, dim, max_length=self.max_length, dropout=self.dropout, seed=self._seed, progress=progress
            )
            return encoder.to(device)
        return load_encoder(
            name,
            pooling=self.pooling,
            max_length=self.max_length,
            dropout=self.dropout,
            device=self.device,
            precision=self.precision,
        )

    def _sparse(
        self, texts: list[str], given: FeatureMatrix | None, progress: Progress | None
    ) -> tuple[FeatureMatrix, Any]:
        if given is not None:
            more = len(texts) - given.n_rows  # label texts, of which there are no features
            return stacked(given, no_features(more, given.n_features)) if more else given, None
        if self.vectorizer is None:
            return no_features(len(texts)), None
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
        texts = as_texts(texts)
        return self._embed(texts, stage(progress, "embeddings", len(texts)))

    def _embed(self, texts: list[str], progress: Callable[[int], Any] | None = None) -> NDArray[np.float32]:
        """Embed texts that were checked. Nothing of process or encoder changes, so threads may do so at once."""
        encoder, n_threads = self.encoder_, available_threads(self.n_jobs)
        if self.long_texts != "chunks":
            return encoder.embed(encoder.tokenize(texts), progress=progress, n_threads=n_threads)
        chunks = encoder.tokenize_chunks(texts)
        first = encoder.embed(chunks.first, progress=progress, n_threads=n_threads)
        return encoder.embed_chunks(chunks, first, n_threads=n_threads)

    @property
    def reads_texts(self) -> bool:
        """Always: an encoder reads texts."""
        return True

    def _features(self, X: Any) -> FeatureMatrix:
        check_is_fitted(self)
        own = self.own_features_
        given = None
        if isinstance(X, tuple) and len(X) == 2 and not isinstance(X[1], str):
            X, given = X
        if own != (given is not None):
            expected = "a pair (texts, X): it was fitted on features" if own else "texts, without features"
            raise InputError(f"The model takes {expected}{' beside the texts' if own else ''}.")
        texts = as_texts(X)
        if not texts:
            none = as_features(sp.csr_array((0, self.n_sparse_)), allow_empty=True)
            return none.with_block(EMBEDDING, np.empty((0, self.encoder_.dim), np.float32))
        if given is not None:
            if is_table(given) or "feature_names_in_" in self.__dict__:
                self._check_names(given)
            sparse = as_features(given, self.n_sparse_, owner=type(self).__name__)
            self._check_rows("X", sparse.n_rows, len(texts))
        elif self.vectorizer_ is None:
            sparse = no_features(len(texts))
        elif isinstance(self.vectorizer_, TfidfVectorizer):
            sparse = self.vectorizer_.features(texts)
        else:
            sparse = as_features(self.vectorizer_.transform(texts))
        return sparse.with_block(EMBEDDING, self._embed(texts))

    def _searcher(self) -> Searcher:
        searcher = self.ranker_._searcher()
        if self.label_embeddings_ is None:
            return searcher
        return FusedSearcher(searcher, self.label_embeddings_, self.cosine_weight_, everywhere=self.read_label_texts_)

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
_NOT_OF_THE_MATCHER = (
    *OVERLAP,
    "ranker",
    "n_jobs",
    "device",
    "compile",
    "checkpoint_dir",
    "checkpoint_seconds",
    "cache_dir",
    "vectorizer",
    "long_texts",
)
