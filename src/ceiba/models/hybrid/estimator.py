"""Several sources of candidates, fused into calibrated probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._estimator import Nested, named_arguments
from ceiba._params import available_threads
from ceiba._progress import Progress, shows_progress, stage
from ceiba._random import seed_from
from ceiba._settings import check_parameters, parameters
from ceiba.data.frames import column_values
from ceiba.data.label_matrix import Labels, as_labels
from ceiba.data.label_space import LabelSpace
from ceiba.data.labels import check_classes
from ceiba.encoders import FROZEN
from ceiba.encoders.runtime import require_torch
from ceiba.errors import InputError, InputTypeError
from ceiba.executors.executor import Executor, start_executor
from ceiba.features import TfidfVectorizer
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, all_sparse, as_features
from ceiba.features.texts import check_texts, text_rows
from ceiba.fusion.pair_measures import stem_columns
from ceiba.linear.tree_model import TreeModel
from ceiba.models.classifier import PartitionedClassifier
from ceiba.models.column_names import feature_names
from ceiba.models.decision import Decision
from ceiba.models.encoder_queries import EncoderQueries
from ceiba.models.hybrid.base import models_of_base
from ceiba.models.hybrid.explanation import FusedExplanation, fused_explanation
from ceiba.models.hybrid.params import HybridModelSettings, HybridSourceSettings
from ceiba.models.hybrid.recipe import HybridParts, train_hybrid
from ceiba.models.hybrid.settings import (
    EMBEDDED_NEIGHBORS,
    LABEL_BLEND,
    LABEL_STEMS,
    LABEL_TERMS,
    NEIGHBORS,
    HybridSettings,
    LabelRows,
)
from ceiba.models.hybrid.several_encoders import SeveralEncoderQueries, TextEncoder
from ceiba.models.linear_recipe import LinearSettings
from ceiba.models.model import Model, check_rows
from ceiba.models.nearest_texts import nearest_texts
from ceiba.models.presets import Presets
from ceiba.models.query_makers import FeatureQueries, QueryMaker, VectorizerQueries, new_vectorizer
from ceiba.models.timer import Timer
from ceiba.models.xr_linear import XRLinear
from ceiba.retrieval.generator import SearchContext


@parameters(HybridSourceSettings, HybridModelSettings)
class HybridClassifier(Presets, PartitionedClassifier):
    """Stacks several sources of candidate labels; the scores are calibrated probabilities.

    Each source proposes labels for a text. The sources are label trees, the nearest training texts and, with label
    texts, the words or embeddings of the labels. A fusion gives every proposed label a probability. It is trained on
    texts held out from the sources. A label without training texts can be predicted if it has a label text.

    {parameters}

    Attributes
    ----------
    sources_ : list of str
        The sources in use.
    thresholds_ : Thresholds
        The thresholds, tuned on held-out texts.
    fit_report_ : dict
        Seconds of each stage. Not saved.

    Notes
    -----
    The fusion is a logistic regression. Its features are logarithms of each source's score and rank, similarities to
    the label's text, and the label's frequency. With LightGBM installed, boosted trees correct its logit; see `fusion`.
    With an encoder and label texts as well, a reranker then judges the 50 most probable labels beside each other.

    Texts are held out by cross-validation: up to 20,000 training texts, three of four folds in turn; up to 200,000,
    two of four; above that, a twentieth once. The sources are then trained again on all texts.

    The presets differ in the label trees of `base`. "fast" trains one tree, "balanced" (the defaults) three, and
    "accurate" those of ``XRLinear.from_preset("accurate")``.

    References
    ----------
    - Wolpert, "Stacked generalization", Neural Networks 1992.
    - Yu et al., "PECOS", JMLR 2022: the label trees.
    - Rocchio, "Relevance feedback in information retrieval", 1971: the mean of a class's rows as its classifier.

    Examples
    --------
    >>> from ceiba import HybridClassifier
    >>> texts = ["a ripe red apple", "a green apple", "fast red car", "a green car", "apple pie", "old car"]
    >>> labels = [["fruit"], ["fruit"], ["vehicle"], ["vehicle"], ["fruit"], ["vehicle"]]
    >>> names = {"fruit": "apple or pear", "vehicle": "car or bus", "boat": "sailing boat"}
    >>> model = HybridClassifier(random_state=0).fit(texts, labels, label_texts=names)
    >>> top, probabilities = model.predict_topk(["an old sailing boat", "one red apple"], k=1)
    >>> top.tolist()
    [['boat'], ['fruit']]
    """

    takes_every_label_text = True
    _presets: ClassVar[dict[str, dict[str, Any]]] = {
        "fast": {"base": XRLinear(relevance_norm="l2")},
        "balanced": {},
        "accurate": {"base": XRLinear.from_preset("accurate", relevance_norm="l2")},
    }
    _nested: ClassVar[dict[str, Nested]] = {"vectorizer": Nested("tfidf", TfidfVectorizer, shared=("n_jobs",))}

    base: Any
    sources: Any
    encoder: str | None
    max_length: int
    n_candidates: int
    n_neighbors: int
    dense_search: str
    fusion: str
    include_training_texts: bool
    vectorizer: Any
    random_state: Any

    @named_arguments({"Y": "y"}, texts="X", labels="y")
    @shows_progress
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        classes: Any = None,
        label_texts: Any = None,
        executor: Executor | None = None,
        progress: Any = None,
    ) -> HybridClassifier:
        """Train the model.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts, or features.
        y : sequence of N collections of str or int, or (N, L) indicator
            Y, the positives of each row.
        classes : sequence of str or int, default=None
            Names of the columns of an indicator.
        label_texts : dict of label to str or list of str, default=None
            The texts of labels, such as their names and synonyms. A label without training texts becomes a label of
            the model if it has a text here. Not every label needs one. X must be texts.
        executor : Executor, default=None
            Trains folds and label trees, as in ``XRLinear.fit``.
        progress : callable, bool or None, default=None
            As in ``XRLinear.fit``.

        Returns
        -------
        HybridClassifier
            The model itself.

        Raises
        ------
        InputError, InputTypeError, MissingExtraError
            When a parameter or an argument cannot be used; nothing has been trained then.
        ClusterError
            When the executor's cluster cannot do the work.
        """
        check_parameters(self)
        if executor is not None:
            start_executor(executor)
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        linear, transformers = models_of_base(self.base)
        columns = feature_names(X)
        rows = text_rows(X)
        texts = None if rows is None else check_texts(rows, "X")
        labels, ids = as_labels(y, classes)
        if texts == [] or (isinstance(X, (list, tuple)) and not X):
            raise InputError("X is empty: it has no rows.")
        if not labels.counts.any():
            raise InputError("y holds no labels at all.")
        labels, ids, names, owners = _with_label_texts(labels, ids, label_texts)
        _check_labels(labels, names)
        self._check_texts(texts, names, transformers)
        check_rows("y", labels.n_rows, X.shape[0] if texts is None else len(texts))
        timer = Timer()
        features, queries = self._features(
            X if texts is None else [*texts, *names], columns, texts is not None, progress
        )
        timer.lap("features")
        n, label_rows = labels.n_rows, None
        if names:
            wanted = self.sources == "auto" or {LABEL_STEMS, LABEL_TERMS, LABEL_BLEND} & set(self.sources)
            stems = _stems(queries.vectorizer) if wanted else None
            label_rows = LabelRows(features.part(n, features.n_rows), owners, names, stems)
            features = features.part(0, n)
        settings = self._training_settings(linear, transformers, len(ids))
        context = settings.context
        parts = train_hybrid(features, labels, label_rows, settings, texts=texts, progress=progress, executor=executor)
        timer.lap("training")
        if parts.tuned:
            queries = self._with_tuned(queries, parts)
        space = LabelSpace(ids, labels.counts, n, _first_texts(names, owners, len(ids)))
        decision = Decision(context.combine, thresholds=parts.thresholds)
        name = parts.generators[-1].name
        kept = nearest_texts(texts, parts.generators) if self.include_training_texts and texts is not None else None
        model = Model(space, queries, parts.generators, name, context, self.prediction_threshold, decision, kept)
        report: dict[str, Any] = {"seconds": timer.seconds, "pairs": parts.n_pairs}
        if parts.tuned:
            report["transformers"] = {each.name: each.report for each in parts.tuned}
        self.__dict__.update(model_=model, sources_=parts.names, fit_report_=report)
        return self

    def explain(self, X: Any, label: Any, *, n_features: int = 10, tree: int | None = None) -> FusedExplanation:  # type: ignore[override]
        """Explain a label's probability for one text: which sources found the label, and what each contributes.

        With `include_training_texts` the explanation also has the nearest training texts and their labels.

        Parameters
        ----------
        X : str, or features of shape (1, D)
            One instance.
        label : str or int
            A label of ``classes_``.
        n_features : int, default=10
            Not used; all sources are listed.
        tree : None
            A hybrid model has no tree of its own; any other value is an error.

        Returns
        -------
        FusedExplanation
            Prints as a table.

        Raises
        ------
        InputError
            When X has not exactly one row, or there is no such label.
        """
        if tree is not None:
            raise InputError("tree must be None: a hybrid model answers by all its sources together.")
        model, context = self._fitted(), self._context()
        evidence = model.evidence(X, label, context=context)
        return fused_explanation(label, evidence, model.near_training_texts(X, label, context=context))

    @property
    def gives_probabilities(self) -> bool:
        """Whether the scores of ``predict_topk`` are calibrated probabilities."""
        return True

    @property
    def partitions_(self) -> list[TreeModel]:
        """No trees: those of the sources know a part of the labels each."""
        self._fitted()
        return []

    def fitted_facts(self) -> dict[str, Any]:
        """Return the sources, and whether the training texts are kept."""
        return {"sources": self.sources_, "training_texts": self.has_training_texts}

    def fitted_state(self) -> dict[str, Any]:
        """Return what `restore` needs besides the model."""
        return {"sources": self.sources_}

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        """Take a model that was loaded, and what `fitted_state` returned when it was saved."""
        self.__dict__.update(model_=model, sources_=list(state["sources"]))

    def _training_settings(
        self, linear: Sequence[XRLinear], transformers: Sequence[Any], n_labels: int
    ) -> HybridSettings:
        """Return the parameters as the recipe takes them."""
        seed, n_threads = seed_from(self.random_state), available_threads(self.n_jobs)
        return HybridSettings(
            linear=tuple(LinearSettings.of(each, seed=seed, n_threads=n_threads) for each in linear),
            transformers=tuple(transformers),
            sources=None if self.sources == "auto" else tuple(self.sources),
            n_candidates=min(self.n_candidates, n_labels),
            n_neighbors=self.n_neighbors,
            fusion=self.fusion,
            seed=seed,
            context=SearchContext(self.beam_size, self.combine, n_threads),
            dense_search=self.dense_search,
        )

    def _with_tuned(self, queries: QueryMaker, parts: HybridParts) -> QueryMaker:
        """Return a query maker that adds the embeddings of the fine-tuned encoders."""
        frozen = [TextEncoder(EMBEDDING, queries.encoder)] if queries.dim else []  # type: ignore[attr-defined]
        encoders = [*frozen, *(each.encoder for each in parts.tuned)]
        n_sparse = queries.n_features - queries.dim
        return SeveralEncoderQueries(encoders, queries.vectorizer, n_sparse, owner=type(self).__name__)

    def _check_texts(self, texts: list[str] | None, names: Sequence[str], transformers: Sequence[Any]) -> None:
        if self.include_training_texts:
            if texts is None:
                raise InputError("include_training_texts=True needs X to be texts.")
            if self.sources != "auto" and not {NEIGHBORS, EMBEDDED_NEIGHBORS} & set(self.sources):
                raise InputError(
                    f'include_training_texts=True needs "{NEIGHBORS}" or "{EMBEDDED_NEIGHBORS}" among sources.'
                )
        if texts is None and names:
            raise InputError("label_texts need X to be texts.")
        if transformers:
            if texts is None:
                raise InputError(f"base: {type(transformers[0]).__name__} needs X to be texts.")
            require_torch(type(self).__name__)
        if self.encoder is None:
            return
        if texts is None:
            raise InputError("encoder needs X to be texts.")
        if not self.encoder.startswith(FROZEN):
            raise InputError(
                f'encoder={self.encoder!r}: an encoder is used as it is here; write "{FROZEN}" before it. To have one '
                "fine-tuned, give it to an XRTransformer or XTransformer in base."
            )

    def _features(
        self, X: Any, columns: NDArray | None, texts: bool, progress: Progress | None
    ) -> tuple[FeatureMatrix, QueryMaker]:
        """Return the features of texts and label texts, or the given features, and the query maker."""
        owner = type(self).__name__
        if not texts:
            given = all_sparse(as_features(X))
            return given, FeatureQueries(given.n_features, columns, owner=owner)
        stage(progress, "features", len(X))
        vectorizer = new_vectorizer(self.vectorizer, self.n_jobs)
        sparse = as_features(vectorizer.fit_transform(X))
        if self.encoder is None:
            return sparse, VectorizerQueries(vectorizer, sparse.n_features, owner=owner)
        from ceiba.encoders.load import load_encoder

        require_torch(owner)
        encoder = load_encoder(
            self.encoder.removeprefix(FROZEN),
            pooling="auto",
            max_length=self.max_length,
            dropout=None,
            device="auto",
            precision="auto",
        )
        queries = EncoderQueries(encoder, sparse.n_features, vectorizer=vectorizer, owner=owner)
        report = stage(progress, "embeddings", len(X))
        embeddings = queries.embed(X, progress=report, n_threads=available_threads(self.n_jobs))
        return sparse.with_block(EMBEDDING, embeddings), queries


def _check_labels(labels: Labels, names: Sequence[str]) -> None:
    """Raise InputError where the fusion would have nothing to learn from."""
    if int(labels.counts.sum()) == labels.n_rows * labels.n_labels:
        raise InputError(
            "y holds every label in every row, so that there is no wrong label to learn from. XRLinear takes such rows."
        )
    if not names and labels.counts.max() < 2:
        raise InputError(
            "y has no label of two rows, and there are no label_texts: no label of a row held out could be found, "
            "so that there is nothing to learn from. XRLinear takes such rows."
        )


def _with_label_texts(
    labels: Labels, ids: NDArray, label_texts: Any
) -> tuple[Labels, NDArray, list[str], NDArray[np.int32]]:
    """Return labels with those that have texts only, all texts by label, and the label of each text."""
    nothing = np.empty(0, np.int32)
    if label_texts is None:
        return labels, ids, [], nothing
    if not (isinstance(label_texts, Mapping) or (hasattr(label_texts, "keys") and hasattr(label_texts, "items"))):
        raise InputTypeError("label_texts must be a dict of label to str, or to a list of str.")
    pairs = list(label_texts.items())  # a Series has items too
    names = check_classes([label for label, _ in pairs], "label_texts").tolist()
    of_label = {name: _texts_of(name, given) for name, (_, given) in zip(names, pairs, strict=True)}
    known = set(ids.tolist())
    more = [label for label in of_label if label not in known]
    if len({type(label) for label in (*ids.tolist()[:1], *of_label)}) > 1:
        raise InputTypeError("label_texts: all labels must be str, or all int, as those of y are.")
    if more:
        merged = np.array(sorted([*ids.tolist(), *more]), dtype=ids.dtype)
        column = {label: i for i, label in enumerate(merged.tolist())}
        columns = np.array([column[label] for label in ids.tolist()], np.int32)
        Y = labels.by_row
        shape = (Y.shape[0], len(merged))
        wider = sp.csr_array((Y.data, columns[Y.indices], Y.indptr), shape=shape)
        wider.sort_indices()
        labels, ids = Labels(wider), merged
    texts, owners = [], []
    for number, label in enumerate(ids.tolist()):
        for text in of_label.get(label, ()):
            texts.append(text)
            owners.append(number)
    return labels, ids, texts, np.array(owners, np.int32)


def _stems(vectorizer: Any) -> NDArray[np.int32] | None:
    """Return the number of the stem of each of a vectorizer's words; None where its features are others."""
    if not isinstance(vectorizer, TfidfVectorizer) or not vectorizer.vocabularies_.get("word"):
        return None
    return stem_columns(vectorizer.get_feature_names_out().tolist())


def _texts_of(label: Any, given: Any) -> list[str]:
    values = None if isinstance(given, str) else column_values(given)
    texts = [given] if isinstance(given, str) else given if values is None else list(values)
    if isinstance(texts, np.ndarray):
        texts = texts.tolist()
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise InputTypeError(f"label_texts: the label {label!r} needs a str or a list of str.")
    if not texts or not all(text.strip() for text in texts):
        raise InputError(f"label_texts: the label {label!r} has an empty text; leave the label out instead.")
    return check_texts(list(texts), "label_texts")


def _first_texts(texts: Sequence[str], owners: NDArray[np.int32], n_labels: int) -> NDArray | None:
    """Return the first text of each label, an empty one where it has none."""
    if not len(texts):
        return None
    found = np.full(n_labels, "", object)
    labels, first = np.unique(owners, return_index=True)
    for label, at in zip(labels.tolist(), first.tolist(), strict=True):
        found[label] = texts[at]
    return found
