"""What every partitioned classifier answers once it is fitted: ranked labels, scores, explanations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from ceiba._estimator import NamedParameters, named_arguments
from ceiba._params import Exactly, Interval, available_threads, check
from ceiba._settings import constraints_of
from ceiba.data.frames import column_values, is_table
from ceiba.data.indicators import is_indicator
from ceiba.data.labels import describe, encode_with
from ceiba.errors import CeibaError, InputError, InputTypeError
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.features.texts import checked, text_rows
from ceiba.features.tfidf import TfidfVectorizer
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.searcher import Searcher
from ceiba.retrieval.tree_search import ALL_NODES, TreeSearcher

if TYPE_CHECKING:
    from ceiba.linear.tree_model import TreeModel
    from ceiba.models.explain import Explanation

# Parameters that count when predicting: whoever sets one after fit gets the same message as at fit.
_AT_PREDICTION = ("beam_size", "combine", "prediction_threshold", "n_jobs")

_K = [Interval(int, 1, None)]
_K_OR_NONE = [Interval(int, 1, None), Exactly(None)]
_BEAM = [Interval(int, 1, None), Exactly(None)]
_N_FEATURES = [Interval(int, 0, None)]
_TREE = [Interval(int, 0, None), Exactly(None)]


class PartitionedClassifier(NamedParameters, BaseEstimator):
    """Base of the models that walk a label tree; not to be used by itself.

    A subclass has the parameters `beam_size`, `combine`, `prediction_threshold` and `n_jobs`, and its ``fit`` sets
    ``partitions_``, ``classes_``, ``n_features_in_``, ``vectorizer_``, ``label_counts_`` and ``n_train_``.
    """

    beam_size: int
    combine: str
    prediction_threshold: float
    n_jobs: int | None
    partitions_: list[TreeModel]
    classes_: NDArray
    n_features_in_: int
    vectorizer_: Any
    label_texts_: NDArray | None = None

    # ------------------------------------------------------------------ answers

    def predict_topk(
        self,
        X: Any,
        k: int = 5,
        *,
        beam_size: int | None = None,
        filter: Any = None,
        progress: Callable[[str, int, int], Any] | None = None,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Rank the k best labels of each row.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts, for a model fitted on texts, or features.
        k : int, default=5
            Labels per row; no more than there are labels.
        beam_size : int or None, default=None
            Nodes kept per level; the model's own when None.
        filter : sequence of N collections of labels, or (N, L) indicator, default=None
            Labels that a row must not get, such as the row itself where documents are labels too. Unknown labels are
            passed over.
        progress : callable or None, default=None
            ``progress("predict", done, N)``, called now and then.

        Returns
        -------
        labels : ndarray of shape (N, min(k, L)), object
            The labels, best first, equal scores in the order of ``classes_``; None where the search reached fewer.
        scores : ndarray of shape (N, min(k, L)), float32
            Their scores in (0, 1], or logarithms where `combine` is a "log-" form; -inf where there is no label.

        Raises
        ------
        InputError, InputTypeError
            When X does not fit the model, k is below 1, or `filter` has another number of rows.

        Notes
        -----
        Neither labels nor scores depend on k: the answer for k is the first k columns of that for any larger k. With
        several trees a score is the mean over all trees. A tree whose beam does not reach the label counts as 0.
        """
        check("k", k, _K, "predict_topk")
        ids, scores = self._rank(X, k, beam_size, filter, progress)
        return self._label_objects().take(ids, mode="wrap"), scores

    def decision_function(self, X: Any, k: int | None = None, *, beam_size: int | None = None) -> sp.csr_array:
        """Return the scores of the labels that the search reaches.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
        k : int or None, default=None
            Keep the k best labels of each row; None keeps all that the beam reaches. Where the embeddings of all labels
            count (models with label texts), None keeps 200 more.
        beam_size : int or None, default=None
            Nodes kept per level; the model's own when None.

        Returns
        -------
        csr_array of shape (N, L), float32
            Column l belongs to ``classes_[l]``. A stored value is a score; labels without one were not reached.
        """
        check("k", k, _K_OR_NONE, "decision_function")
        check("beam_size", beam_size, _BEAM, "decision_function")
        found = self._found(X, k, beam_size)
        return self._matrix(found, found.scores)

    def predict(self, X: Any) -> sp.csr_array:
        """Return the labels whose score reaches `prediction_threshold`.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)

        Returns
        -------
        csr_array of shape (N, L), int8
            An indicator, as scikit-learn's multi-label metrics take it.
        """
        limit = self.prediction_threshold
        if self.combine.startswith("log-"):
            limit = float(np.log(limit)) if limit > 0 else -np.inf
        found = self._found(X, None, None, limit)
        return self._matrix(found, np.ones(len(found.ids), np.int8))

    def score_labels(self, X: Any, candidates: Any) -> Any:
        """Score given labels only, whatever a search would reach.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
        candidates : sequence of N sequences of labels, or (N, L) indicator (sparse, bool, or a data frame)
            The labels to score for each row.

        Returns
        -------
        list of N ndarray of float32, or csr_array of shape (N, L)
            Lists give the scores in the order of the labels given; an indicator gives a matrix with a stored score
            for each of its non-zeros.

        Raises
        ------
        InputError
            When a label is unknown, or `candidates` has another number of rows than X.
        """
        features = self._features(X)
        searcher = self._searcher()
        n_threads = available_threads(self.n_jobs)
        if is_indicator(candidates, len(self.classes_)):
            wanted = self._encode("candidates", candidates)
            self._check_rows("candidates", wanted.shape[0], features.n_rows)
            ptr, ids = wanted.indptr.astype(np.int64), wanted.indices.astype(np.int32)
            data = searcher.score_labels(features, ptr, ids, n_threads=n_threads)
            return sp.csr_array((data, ids, ptr), shape=wanted.shape)
        rows = _candidate_rows(candidates)
        self._check_rows("candidates", len(rows), features.n_rows)
        ids = np.array([self._column("candidates", label) for row in rows for label in row], np.int32)
        ptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        data = searcher.score_labels(features, ptr, ids, n_threads=n_threads)
        return np.split(data, ptr[1:-1]) if rows else []

    @named_arguments({"Y": "y"}, texts="X", labels="y")
    def score(self, X: Any, y: Any) -> float:
        """Return precision at 1 as a share, so that grid search has something to maximise.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
        y : sequence of N collections of labels, or (N, L) indicator
            The true labels; those the model does not know count as not found.
        """
        from ceiba.metrics import precision_at_k

        ids, _ = self._rank(X, 1)
        truth, _ = encode_with(y, self.classes_)
        self._check_rows("Y", truth.shape[0], len(ids))
        return precision_at_k(truth, ids, 1) / 100

    def explain(self, X: Any, label: Any, *, n_features: int = 10, tree: int | None = None) -> Explanation:
        """Explain a label's score for one text: the path down the tree and the features that carried it.

        Parameters
        ----------
        X : str, or features of shape (1, D)
            One instance.
        label : str or int
            A label of ``classes_``.
        n_features : int, default=10
            Features to show per node, the largest contributions first.
        tree : int or None, default=None
            Which tree of an ensemble; None takes the one that gives the label its best score.

        Returns
        -------
        Explanation
            Prints as a table; its ``steps`` hold the nodes with margin, score and contributions.

        Raises
        ------
        InputError
            When X has not exactly one row, or there is no such label or tree.
        """
        from ceiba.models.explain import explain

        check("n_features", n_features, _N_FEATURES, "explain")
        check("tree", tree, _TREE, "explain")
        features = self._features([X] if isinstance(X, str) else X)
        if features.n_rows != 1:
            raise InputError(f"explain takes one instance. Got {features.n_rows} instead.")
        column = self._column("label", label)
        return explain(self, self._searcher(), features, label, column, n_features=n_features, tree=tree)

    def match(
        self, X: Any, k: int = 10, *, tree: int = 0, beam_size: int | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the bottom clusters that the matcher finds for each row.

        Parameters
        ----------
        X : as in ``predict_topk``
        k : int, default=10
            Clusters per row.
        tree : int, default=0
            Which tree of an ensemble.
        beam_size : int or None, default=None
            Nodes kept per level on the way; the model's own or k, whichever is more, when None.

        Returns
        -------
        clusters : ndarray of shape (N, min(k, number of clusters)), int32
            Best first; ``trees_[tree].labels_under(depth - 1, c)`` are the labels of cluster c. -1 where there are
            fewer. Where all labels hang below the root (one-vs-all), the root is the one cluster, 0.
        scores : ndarray of the same shape, float32
            Their scores; -inf where there is no cluster.

        Raises
        ------
        InputError
            When there is no such tree.
        """
        check("k", k, _K, "match")
        check("beam_size", beam_size, _BEAM, "match")
        features, searcher = self._features(X), self._searcher()
        if not 0 <= tree < len(self.partitions_):
            raise InputError(f"The model has {len(self.partitions_)} trees, there is no tree {tree}.")
        depth = self.partitions_[tree].tree.depth - 1
        if depth == 0:
            score = 0.0 if self.combine.startswith("log-") else 1.0
            return np.zeros((features.n_rows, 1), np.int32), np.full((features.n_rows, 1), score, np.float32)
        k = min(k, len(self.partitions_[tree].layers[depth].child_ptr) - 1)
        beam = max(k, self.beam_size) if beam_size is None else beam_size
        n_threads = available_threads(self.n_jobs)
        found = searcher.nodes(features, depth, min(beam, ALL_NODES), tree=tree, n_threads=n_threads)
        return found.padded(k)

    @property
    def reads_texts(self) -> bool:
        """Whether the fitted model takes texts, not features."""
        return self.vectorizer_ is not None

    @property
    def gives_probabilities(self) -> bool:
        """Whether the scores of ``predict_topk`` are calibrated probabilities."""
        return False

    @property
    def trees_(self) -> list[Any]:
        """The label tree of each member of the ensemble."""
        check_is_fitted(self)
        return [partition.tree for partition in self.partitions_]

    def save(self, folder: str | Path) -> None:
        """Save the model to a folder.

        The folder keeps the older model until the new one is whole; a load beside a save gets one of the two. Savers of
        one folder wait for each other.

        Parameters
        ----------
        folder : str or Path
            A new folder, an empty one, or that of an older model, which is replaced. ``~`` is expanded, symbolic links
            are followed.

        Raises
        ------
        InputError
            When the path is a file, or the folder holds something else.
        StorageError
            When the folder cannot be written to, or the disk is full. It is an OSError too. The older model stays, and
            so does this one in memory.
        """
        from ceiba.models.saving import save

        check_is_fitted(self)
        save(self, folder)

    # ------------------------------------------------------------------ parts

    def _found(self, X: Any, k: int | None, beam_size: int | None, least: float = -np.inf) -> Ranked:
        beam = min(self.beam_size if beam_size is None else beam_size, ALL_NODES)
        k = None if k is None else min(k, len(self.classes_))
        features, searcher = self._features(X), self._searcher()
        return searcher.top_k(features, k, beam, least=least, n_threads=available_threads(self.n_jobs))

    def _matrix(self, found: Ranked, data: NDArray) -> sp.csr_array:
        """Return a value for each label found; without a copy, which SciPy makes of offsets and ids that differ."""
        ptr = found.ptr.astype(found.ids.dtype) if found.ptr[-1] <= np.iinfo(found.ids.dtype).max else found.ptr
        matrix = sp.csr_array((data, found.ids, ptr), shape=(len(ptr) - 1, len(self.classes_)))
        matrix.sort_indices()
        return matrix

    def _rank(
        self, X: Any, k: int, beam_size: int | None = None, filter: Any = None, progress: Callable | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the columns of the k best labels of each row, -1 where there are fewer, and their scores."""
        if beam_size is None:
            beam_size = self.beam_size
        else:
            check("beam_size", beam_size, _BEAM, "predict_topk")
        features = self._features(X)
        searcher = self._searcher()
        excluded = None
        if filter is not None:
            pairs = self._encode("filter", filter)
            self._check_rows("filter", pairs.shape[0], features.n_rows)
            excluded = (pairs.indptr.astype(np.int64), pairs.indices.astype(np.int32))
        report = None
        if progress is not None:
            progress("predict", 0, features.n_rows)
            report = lambda done: progress("predict", done, features.n_rows)  # noqa: E731
        return searcher.rank(
            features,
            min(k, len(self.classes_)),
            min(beam_size, ALL_NODES),
            filter=excluded,
            n_threads=available_threads(self.n_jobs),
            progress=report,
        )

    def _set_feature_names(self, names: NDArray | None) -> None:
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        if names is not None:
            self.feature_names_in_ = names

    def _check_names(self, X: Any) -> None:
        """Hold the names of a data frame's columns against those of ``fit``; other names are scikit-learn's error."""
        try:
            validate_data(self, X, "no_validation", reset=False, skip_check_array=True, ensure_2d=False)
        except (TypeError, ValueError) as error:
            kind = InputTypeError if isinstance(error, TypeError) else InputError
            raise kind(str(error)) from None

    def _features(self, X: Any) -> FeatureMatrix:
        if "partitions_" not in self.__dict__:  # check_is_fitted takes longer than a single text's features
            check_is_fitted(self)
        vectorizer = self.vectorizer_
        if vectorizer is not None:
            if _is_empty(X):
                return as_features(sp.csr_array((0, self.n_features_in_)), allow_empty=True)
            texts = text_rows(X)
            if texts is not None:
                if isinstance(vectorizer, TfidfVectorizer):
                    return vectorizer.features(texts)
                X = vectorizer.transform(checked(texts))
        sparse = sp.issparse(X)  # asked once: for a single row every look at X counts
        if vectorizer is None and not sparse and text_rows(X) is not None:
            raise InputError("X holds texts, but the model was fitted on features.")
        if "feature_names_in_" in self.__dict__ or (not sparse and is_table(X)):
            self._check_names(X)
        return as_features(X, self.n_features_in_, allow_empty=True, owner=type(self).__name__)

    def _searcher(self) -> Searcher:
        parameters = tuple(getattr(self, name) for name in _AT_PREDICTION)
        derived = self._derived()
        kept = derived.get("searcher")
        if kept is not None and kept[0] == parameters:
            return kept[2]
        for name, value in zip(_AT_PREDICTION, parameters, strict=True):
            check(name, value, constraints_of(type(self))[name], type(self).__name__)
        if kept is not None and kept[1] == self.combine:
            searcher = kept[2]
        else:
            trees = [(partition.layers, partition.tree.slot_label) for partition in self.partitions_]
            searcher = TreeSearcher(trees, len(self.classes_), self.combine)
        derived["searcher"] = parameters, self.combine, searcher
        return searcher

    def _encode(self, name: str, labels: Any) -> sp.csr_array:
        """Turn an argument that holds labels into a matrix; errors begin with its name."""
        try:
            return encode_with(labels, self.classes_)[0]
        except CeibaError as error:
            raise type(error)(f"{name}: {error}") from error

    def _column(self, name: str, label: Any) -> int:
        try:
            return self._columns()[label]
        except (KeyError, TypeError):
            raise InputError(f"{name}: the label {label!r} is not among the model's classes.") from None

    def _label_objects(self) -> NDArray:
        """Return the classes as objects with None at the end, where the index -1 finds it."""
        derived = self._derived()
        objects = derived.get("objects")
        if objects is None:
            objects = np.array([*self.classes_.tolist(), None], dtype=object)
            derived["objects"] = objects
        return objects

    def _columns(self) -> dict[Any, int]:
        derived = self._derived()
        columns = derived.get("columns")
        if columns is None:
            columns = {label: column for column, label in enumerate(self.classes_.tolist())}
            derived["columns"] = columns
        return columns

    def _derived(self) -> dict[str, Any]:
        """Return what answers need besides the fitted attributes and make from them when first asked."""
        return self.__dict__.setdefault("_derived_", {})

    def _forget(self) -> None:
        """Drop what was derived from the fitted attributes."""
        self._derived_: dict[str, Any] = {}

    @staticmethod
    def _check_rows(name: str, given: int, expected: int) -> None:
        if given != expected:
            raise InputError(f"{name} has {given} rows, X has {expected}.")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_derived_", None)
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "partitions_")

    def __sklearn_tags__(self) -> Any:
        # Not tagged a classifier: scikit-learn's splitters for classifiers refuse lists of label lists.
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = False
        tags.target_tags.two_d_labels = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags


def _is_empty(X: Any) -> bool:
    """Return whether X is a list, an array or a column without rows."""
    if isinstance(X, (list, tuple)):
        return not X
    if sp.issparse(X) or not isinstance(X, Sized) or is_table(X):
        return False
    return len(X) == 0 and getattr(X, "ndim", 1) == 1


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
