"""The fitted model: what ``fit`` makes, what is saved, loaded and served."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._params import Exactly, Interval, Options, check
from ceiba.data.frames import column_values
from ceiba.data.indicators import is_indicator
from ceiba.data.label_matrix import is_positive
from ceiba.data.label_space import LabelSpace
from ceiba.data.labels import describe
from ceiba.data.offsets import offsets
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.fusion.thresholds import tune_thresholds
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component, load_component, save_component
from ceiba.io.sealed import LIST, OBJECT, STRING, Fields
from ceiba.linear.nodes import COMBINE_NAMES
from ceiba.models.decision import N_LEARNED_FROM, TUNED, Decision, learn_calibrator, lowered, new_decision, plain_scores
from ceiba.models.explain import Explanation, largest
from ceiba.models.label_filters import LabelFilters, encode_filter
from ceiba.models.nearest_texts import NearestTexts, NearTrainingText
from ceiba.models.query_makers import QueryMaker, name_of_feature
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.tree_search import TreeSearch

TREE = "tree"  # the name of the generator that searches the label trees

_K = [Interval(int, 1, None)]
_K_OR_NONE = [Interval(int, 1, None), Exactly(None)]
_N_FEATURES = [Interval(int, 0, None)]
_TREE = [Interval(int, 0, None), Exactly(None)]
_THRESHOLD = Interval(float, 0, 1)
_DEFAULT = SearchContext()
_ROWS = 4096  # predicted at once, so that no more of what is reached is in memory
_NO_IDS = np.empty(0, np.int32)


@component("model", "model")
@dataclass(frozen=True, eq=False)
class Model:
    """A fitted model, made of exchangeable parts.

    Nothing in it changes after it is made, so any number of threads may ask it at once. An estimator makes it, and
    passes its current parameters as the context. Without a context those of ``fit`` count.

    Attributes
    ----------
    labels : LabelSpace
    queries : QueryMaker
        Makes queries of texts or features.
    generators : tuple of CandidateGenerator
        Names are unique. A generator comes after those that it is made of.
    answers_by : str
        The name of the generator whose ranking is the model's answer.
    context : SearchContext
        What counts at prediction unless the caller says otherwise.
    prediction_threshold : float or "tuned"
        The score that `predict` asks for. "tuned": the thresholds of the decision, or 0.5 where it has none.
    decision : Decision or None
        Calibrator and thresholds; None where neither was learned.
    training_texts : NearestTexts or None
        The texts of the training, which explanations show; None where the model does not keep them.
    filters : LabelFilters or None
        Labels that answers are limited to, and those that are left out of them.
    """

    kind: ClassVar[str]
    labels: LabelSpace
    queries: QueryMaker
    generators: tuple[CandidateGenerator, ...]
    answers_by: str = TREE
    context: SearchContext = _DEFAULT
    prediction_threshold: float | str = TUNED
    decision: Decision | None = None
    training_texts: NearestTexts | None = None
    filters: LabelFilters | None = None

    # ------------------------------------------------------------------ answers

    def predict_topk(
        self,
        X: Any,
        k: int = 5,
        *,
        allowed: Any = None,
        denied: Any = None,
        progress: Callable[[str, int, int], Any] | None = None,
        context: SearchContext | None = None,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Rank the k best labels of each row; see `PartitionedClassifier.predict_topk`."""
        columns, scores = self.rank(X, k, allowed=allowed, denied=denied, progress=progress, context=context)
        return self.labels.take(columns), scores

    def rank(
        self,
        X: Any,
        k: int = 5,
        *,
        allowed: Any = None,
        denied: Any = None,
        progress: Callable[[str, int, int], Any] | None = None,
        context: SearchContext | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the columns of the k best labels of each row, -1 where there are fewer, and their scores."""
        check("k", k, _K, "predict_topk")
        ctx = self.context if context is None else context
        Q = self.queries.queries(X, ctx.n_threads)
        ctx = self._filtered(self._with_filters(ctx, Q, allowed, denied), Q)
        if progress is not None:
            n_rows = Q.n_rows
            progress("predict", 0, n_rows)
            ctx = ctx._replace(progress=lambda done: progress("predict", done, n_rows))
        columns, scores = self._ranker.rank(Q, min(k, len(self.labels)), ctx=ctx)
        return columns, self._outcome(scores, ctx)

    def decision_function(self, X: Any, k: int | None = None, *, context: SearchContext | None = None) -> sp.csr_array:
        """Return the scores of the labels that the search reaches; see `PartitionedClassifier.decision_function`."""
        check("k", k, _K_OR_NONE, "decision_function")
        found = self._found(X, k, self.context if context is None else context)
        return self._matrix(found, found.scores)

    def predict_proba(self, X: Any, k: int | None = None, *, context: SearchContext | None = None) -> sp.csr_array:
        """Return the probabilities of the labels that the search reaches; see `PartitionedClassifier.predict_proba`."""
        check("k", k, _K_OR_NONE, "predict_proba")
        ctx = self.context if context is None else context
        found = self._found(X, k, ctx)
        known = self.decision is not None and self.decision.calibrator is not None
        data = self._outcome(found.scores, ctx) if known else plain_scores(found.scores, ctx).astype(np.float32)
        return self._matrix(found, data)

    def predict(
        self,
        X: Any,
        *,
        allowed: Any = None,
        denied: Any = None,
        threshold: float | str | None = None,
        context: SearchContext | None = None,
    ) -> sp.csr_array:
        """Return the labels whose score reaches a threshold; see `PartitionedClassifier.predict`."""
        ranked = self._predicted(X, allowed, denied, threshold, context)
        return self._matrix(ranked, np.ones(len(ranked.ids), np.int8))

    def predict_labels(
        self,
        X: Any,
        *,
        allowed: Any = None,
        denied: Any = None,
        threshold: float | str | None = None,
        context: SearchContext | None = None,
    ) -> list[NDArray]:
        """Return the labels whose score reaches a threshold; see `PartitionedClassifier.predict_labels`."""
        ranked = self._predicted(X, allowed, denied, threshold, context)
        names, ptr = self.labels.take(ranked.ids), ranked.ptr.tolist()
        return [names[begin:end] for begin, end in itertools.pairwise(ptr)]

    def _predicted(
        self, X: Any, allowed: Any, denied: Any, threshold: float | str | None, context: SearchContext | None
    ) -> Ranked:
        ctx = self.context if context is None else context
        wanted: Any = self.prediction_threshold if threshold is None else threshold
        limit = None if wanted == TUNED else float(wanted)
        decision = self._checked_decision(ctx) or new_decision(ctx)
        least = decision.least(limit)
        if ctx.logarithms:
            least = float(np.log(least)) if least > 0 else -np.inf
        Q, parts, sizes = self.queries.queries(X, ctx.n_threads), [_NO_IDS], [np.zeros(1, np.int64)]
        ctx = self._filtered(self._with_filters(ctx, Q, allowed, denied), Q)
        for begin in range(0, Q.n_rows, _ROWS):
            end = min(begin + _ROWS, Q.n_rows)
            own = ctx.part(begin, end)._replace(least=lowered(least))
            found = self._ranker.candidates(Q.part(begin, end), None, ctx=own)
            kept = decision.predicts(found, limit, ctx)
            parts.append(found.ids[kept])
            sizes.append(np.bincount(found.rows[kept], minlength=end - begin))
        return Ranked(np.cumsum(np.concatenate(sizes)), np.concatenate(parts), np.empty(0, np.float32))

    def calibrate(self, X: Any, y: Any, method: str, *, context: SearchContext | None = None) -> Model:
        """Return the model with a calibrator; see `PartitionedClassifier.calibrate`."""
        ctx = self.context if context is None else context
        found, Y, _ = self._learn_from(X, y, ctx)
        decision = self._checked_decision(ctx) or new_decision(ctx)
        return replace(self, decision=replace(decision, calibrator=learn_calibrator(found, Y, method, ctx)))

    def tune_thresholds(self, X: Any, y: Any, *, context: SearchContext | None = None, **options: Any) -> Model:
        """Return the model with tuned thresholds; see `PartitionedClassifier.tune_thresholds`."""
        ctx = self.context if context is None else context
        found, Y, n_unknown = self._learn_from(X, y, ctx)
        scores = self._matrix(found, plain_scores(found.scores, ctx).astype(np.float32))
        thresholds = tune_thresholds(scores, Y, n_unknown=n_unknown, **options)
        decision = self._checked_decision(ctx) or new_decision(ctx)
        return replace(self, decision=replace(decision, thresholds=thresholds))

    def with_filters(self, allowed: Any, denied: Any) -> Model:
        """Return the model with filters of its own; see `PartitionedClassifier.set_filters`."""
        return replace(self, filters=LabelFilters.of(allowed, denied, self.labels))

    def score_labels(self, X: Any, candidates: Any, *, context: SearchContext | None = None) -> Any:
        """Score given labels only; see `PartitionedClassifier.score_labels`."""
        ctx = self.context if context is None else context
        Q = self.queries.queries(X, ctx.n_threads)
        if is_indicator(candidates, len(self.labels)):
            wanted = self.labels.encode(candidates, "candidates")
            check_rows("candidates", wanted.shape[0], Q.n_rows)
            ptr, ids = wanted.indptr.astype(np.int64), wanted.indices.astype(np.int32)
            scores = self._outcome(self._ranker.score(Q, ptr, ids, ctx=ctx), ctx)
            return sp.csr_array((scores, ids, ptr), shape=wanted.shape)
        rows = _candidate_rows(candidates)
        check_rows("candidates", len(rows), Q.n_rows)
        ids = np.array([self.labels.column(label, "candidates") for row in rows for label in row], np.int32)
        ptr = offsets([len(row) for row in rows])
        scores = self._outcome(self._ranker.score(Q, ptr, ids, ctx=ctx), ctx)
        return np.split(scores, ptr[1:-1]) if rows else []

    def explain(
        self,
        X: Any,
        label: Any,
        *,
        n_features: int = 10,
        tree: int | None = None,
        context: SearchContext | None = None,
    ) -> Explanation:
        """Explain a label's score for one text; see `PartitionedClassifier.explain`."""
        check("n_features", n_features, _N_FEATURES, "explain")
        check("tree", tree, _TREE, "explain")
        ctx = self.context if context is None else context
        Q, column = self._one_query(X, ctx), self.labels.column(label)
        path = self.tree_search.explain(Q, column, ctx=ctx, tree=tree)
        more = {} if self.answers_by == TREE else self._ranker.explain(Q, column, ctx=ctx).details
        return Explanation(
            label,
            path.details["tree"],
            path.score,
            largest(path.details["steps"], n_features, name_of_feature(self.queries)),
            more.get("cosine"),
            more.get("cosine_weight", 0.0),
        )

    def evidence(self, X: Any, label: Any, *, context: SearchContext | None = None) -> Evidence:
        """Return what the answering generator says of a label for one text."""
        ctx = self.context if context is None else context
        return self._ranker.explain(self._one_query(X, ctx), self.labels.column(label), ctx=ctx)

    def near_training_texts(
        self, X: Any, label: Any, *, context: SearchContext | None = None
    ) -> list[NearTrainingText] | None:
        """Return training texts near to one text, and whether each has a label; None where the model keeps none."""
        if self.training_texts is None:
            return None
        ctx = self.context if context is None else context
        Q, column = self._one_query(X, ctx), self.labels.column(label)
        return self.training_texts.near(Q, column, self.labels, ctx=ctx)

    def _one_query(self, X: Any, ctx: SearchContext) -> Queries:
        Q = self.queries.queries([X] if isinstance(X, str) else X, ctx.n_threads)
        if Q.n_rows != 1:
            raise InputError(f"explain takes one instance. Got {Q.n_rows} instead.")
        return Q

    def match(
        self, X: Any, k: int = 10, *, tree: int = 0, beam_size: int | None = None, context: SearchContext | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the bottom clusters that the matcher finds for each row; see `PartitionedClassifier.match`."""
        check("k", k, _K, "match")
        ctx = self.context if context is None else context
        Q, search = self.queries.queries(X, ctx.n_threads), self.tree_search
        search.check_tree(tree)
        model = search.trees[tree]
        depth = model.tree.depth - 1
        if depth == 0:
            score = 0.0 if ctx.logarithms else 1.0
            return np.zeros((Q.n_rows, 1), np.int32), np.full((Q.n_rows, 1), score, np.float32)
        k = min(k, len(model.layers[depth].child_ptr) - 1)
        beam = max(k, ctx.beam_size) if beam_size is None else beam_size
        return search.nodes(Q, depth, tree=tree, ctx=ctx._replace(beam_size=beam)).padded(k)

    # ------------------------------------------------------------------ parts

    def generator(self, name: str) -> CandidateGenerator:
        """Return a generator by its name; InputError where the model has none of it."""
        for each in self.generators:
            if each.name == name:
                return each
        raise InputError(f"The model has no generator {name!r}; it has {[each.name for each in self.generators]}.")

    @cached_property
    def tree_search(self) -> TreeSearch:
        """The generator that searches the label trees."""
        return cast(TreeSearch, self.generator(TREE))

    @cached_property
    def _ranker(self) -> CandidateGenerator:
        return self.generator(self.answers_by)

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are calibrated probabilities."""
        return self.decision is not None and self.decision.calibrator is not None

    def _checked_decision(self, ctx: SearchContext) -> Decision | None:
        if self.decision is not None:
            self.decision.check(ctx)
        return self.decision

    def _outcome(self, scores: NDArray[np.float32], ctx: SearchContext) -> NDArray[np.float32]:
        """Return the probabilities of scores where the model is calibrated."""
        if self.decision is None or self.decision.calibrator is None:
            return scores
        self.decision.check(ctx)
        return self.decision.outcome(scores, ctx)

    def _learn_from(self, X: Any, y: Any, ctx: SearchContext) -> tuple[Ranked, sp.csr_array, int]:
        """Return the ranked labels of rows, the right ones, and how many right ones are unknown."""
        Y, n_unknown = self.labels.encode_counted(y, "y")
        found = self._found(X, N_LEARNED_FROM, ctx)
        check_rows("y", Y.shape[0], len(found.ptr) - 1)
        if n_unknown and not Y.nnz:
            raise InputError("y: none of its labels is among the model's classes, so there is nothing to learn from.")
        if not is_positive(Y, found.rows, found.ids).any():
            raise InputError(
                "y has no right label among those that the search reached, and one is needed to learn from."
            )
        return found, Y, n_unknown

    def _found(self, X: Any, k: int | None, ctx: SearchContext) -> Ranked:
        Q: Queries = self.queries.queries(X, ctx.n_threads)
        return self._ranker.candidates(Q, None if k is None else min(k, len(self.labels)), ctx=self._filtered(ctx, Q))

    def _with_filters(self, ctx: SearchContext, Q: Queries, allowed: Any, denied: Any) -> SearchContext:
        """Return the context with the labels that a call allows and denies."""
        if allowed is None and denied is None:
            return ctx
        return ctx._replace(
            allowed=encode_filter(allowed, self.labels, Q.n_rows, "allowed"),
            denied=encode_filter(denied, self.labels, Q.n_rows, "denied"),
        )

    def _filtered(self, ctx: SearchContext, Q: Queries) -> SearchContext:
        """Return a context with the filters that the model keeps."""
        return ctx if self.filters is None else self.filters.narrowed(ctx, Q.n_rows)

    def _matrix(self, found: Ranked, data: NDArray) -> sp.csr_array:
        """Return a value for each label found; without a copy, which SciPy makes of offsets and ids that differ."""
        ptr = found.ptr.astype(found.ids.dtype) if found.ptr[-1] <= np.iinfo(found.ids.dtype).max else found.ptr
        matrix = sp.csr_array((data, found.ids, ptr), shape=(len(ptr) - 1, len(self.labels)))
        matrix.sort_indices()
        return matrix

    # ------------------------------------------------------------------ on disk

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write all parts."""
        return {
            "labels": save_component(self.labels, writer),
            "queries": save_component(self.queries, writer),
            "generators": [save_component(each, writer) for each in self.generators],
            "answers_by": self.answers_by,
            "beam_size": self.context.beam_size,
            "combine": self.context.combine,
            "prediction_threshold": self.prediction_threshold,
            "decision": None if self.decision is None else save_component(self.decision, writer),
            "training_texts": None if self.training_texts is None else save_component(self.training_texts, writer),
            "filters": None if self.filters is None else save_component(self.filters, writer),
        }

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> Model:
        """Read what `save` wrote."""
        parts: dict[str, Any] = {}
        loading = replace(context, parts=parts)
        for name in ("labels", "queries"):
            parts[name] = load_component(name, files, fields.within(name), loading)
        generators = []
        for number, values in enumerate(fields.get("generators", LIST)):
            if not OBJECT.accepts(values):
                raise ModelFormatError(f"{fields.path}: the entry {number} of 'generators' is not an object.")
            generators.append(load_component("generator", files, Fields(values, fields.path), loading))
            name = generators[-1].name
            if name in parts:
                raise ModelFormatError(f"{fields.path} has two parts of the name {name!r}.")
            if name == TREE and generators[-1].kind != TreeSearch.kind:
                raise ModelFormatError(f"{fields.path}: the generator {TREE!r} searches no trees.")
            parts[name] = generators[-1]
        answers_by = fields.get("answers_by", STRING)
        if answers_by not in parts or answers_by in ("labels", "queries"):
            raise ModelFormatError(f"{fields.path}: 'answers_by' names no generator of the model: {answers_by!r}.")
        search = SearchContext(
            beam_size=fields.get("beam_size", Interval(int, 1, None)),
            combine=fields.get("combine", Options(*COMBINE_NAMES)),
        )
        threshold = fields.get("prediction_threshold", _THRESHOLD, Options(TUNED))
        decision = None
        if fields.values.get("decision") is not None:
            decision = load_component("decision", files, fields.within("decision"), loading)
        texts = None
        if fields.values.get("training_texts") is not None:
            texts = load_component("training texts", files, fields.within("training_texts"), loading)
        filters = None
        if fields.values.get("filters") is not None:
            filters = load_component("filters", files, fields.within("filters"), loading)
        own = decision, texts, filters
        return cls(parts["labels"], parts["queries"], tuple(generators), answers_by, search, threshold, *own)


def check_rows(name: str, given: int, expected: int) -> None:
    """Raise InputError where an argument has another number of rows than X."""
    if given != expected:
        raise InputError(f"{name} has {given} rows, X has {expected}.")


def _candidate_rows(candidates: Any) -> list[list[Any]]:
    if isinstance(candidates, str) or not isinstance(candidates, Iterable):
        raise InputTypeError(f"candidates must be a sequence of label lists, not {describe(candidates)}.")
    rows = []
    given = column_values(candidates)
    for number, row in enumerate(candidates if given is None else given):
        if isinstance(row, (str, bytes)) or not isinstance(row, Iterable):
            raise InputTypeError(f"candidates, row {number}: expected a list of labels, found {describe(row)}.")
        rows.append(list(row))
    return rows
