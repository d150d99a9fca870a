"""What every partitioned classifier answers once it is fitted: ranked labels, scores, explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ceiba._cpus import usable_cpus
from ceiba._estimator import NamedParameters, named_arguments, renamed_arguments
from ceiba._params import Exactly, Interval, available_threads, check
from ceiba._settings import constraints_of
from ceiba.data.labels import encode_with
from ceiba.models.exports import Exports
from ceiba.models.learned_decision import LearnsDecision
from ceiba.models.model import Model, check_rows
from ceiba.retrieval.generator import SearchContext

if TYPE_CHECKING:
    from ceiba.linear.tree_model import TreeModel
    from ceiba.models.explain import Explanation
    from ceiba.tree.label_tree import LabelTree

_BEAM = [Interval(int, 1, None), Exactly(None)]


class PartitionedClassifier(Exports, LearnsDecision, NamedParameters, BaseEstimator):
    """Base of the models that walk a label tree; not to be used by itself.

    A subclass has the parameters `beam_size`, `combine`, `prediction_threshold` and `n_jobs`, and its ``fit`` sets
    ``model_``, a `Model`. All other fitted attributes are parts of it. Methods call it with the current parameters.
    """

    takes_every_label_text: ClassVar[bool] = False  # whether ``label_texts`` may name labels that no row has
    tunes_encoder: ClassVar[bool] = False  # whether ``fit`` fine-tunes an encoder, and so reads texts

    beam_size: int
    combine: str
    prediction_threshold: float | str
    n_jobs: int | None
    model_: Model

    # ------------------------------------------------------------------ answers

    @renamed_arguments(filter="denied")
    def predict_topk(
        self,
        X: Any,
        k: int = 5,
        *,
        beam_size: int | None = None,
        allowed: Any = None,
        denied: Any = None,
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
        allowed : collection of labels, sequence of N such collections, or (N, L) indicator, default=None
            The only labels that rows may get: one collection for all rows, or one for each. The trees are searched as
            if they had no other labels. Where a row may get up to 1,000 labels, all of them are scored.
        denied : as `allowed`, default=None
            Labels that rows must not get, such as the row itself where documents are labels too.
        progress : callable or None, default=None
            ``progress("predict", done, N)``, called now and then.

        Returns
        -------
        labels : ndarray of shape (N, min(k, L)), object
            The labels, best first, equal scores in the order of ``classes_``; None where the search reached fewer.
        scores : ndarray of shape (N, min(k, L)), float32
            Their scores in (0, 1], or logarithms where `combine` is a "log-" form; of a calibrated model, their
            probabilities. -inf where there is no label.

        Raises
        ------
        InputError, InputTypeError
            When X does not fit the model, k is below 1, `allowed` or `denied` has another number of rows or names a
            label that the model does not know, or no label is allowed.

        Notes
        -----
        Neither labels nor scores depend on k: the answer for k is the first k columns of that for any larger k. With
        several trees a score is the mean over all trees. A tree whose beam does not reach the label counts as 0.

        Where ``set_filters`` was called, `allowed` and `denied` narrow what the model keeps.

        Examples
        --------
        >>> from ceiba import XRLinear
        >>> model = XRLinear().fit(["red apple", "green apple", "old car"], [["fruit", "red"], ["fruit"], ["car"]])
        >>> labels, scores = model.predict_topk(["a green apple", "an old car"], k=1)
        >>> labels.tolist(), scores.shape
        ([['fruit'], ['car']], (2, 1))
        """
        context = self._context(beam_size, "predict_topk")
        return self._fitted().predict_topk(X, k, allowed=allowed, denied=denied, progress=progress, context=context)

    def decision_function(self, X: Any, k: int | None = None, *, beam_size: int | None = None) -> sp.csr_array:
        """Return the scores of the labels that the search reaches.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
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
        context = self._context(beam_size, "decision_function")
        return self._fitted().decision_function(X, k, context=context)

    def predict(self, X: Any, *, allowed: Any = None, denied: Any = None) -> sp.csr_array:
        """Return the labels whose score reaches their threshold.

        The threshold is `prediction_threshold`. Where that is "tuned", it is what ``tune_thresholds`` found, or 0.5.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
        allowed, denied : collection of labels, sequence of N such collections, or (N, L) indicator, default=None
            As in ``predict_topk``.

        Returns
        -------
        csr_array of shape (N, L), int8
            An indicator, as scikit-learn's multi-label metrics take it.
        """
        context = self._context()
        return self._fitted().predict(
            X, allowed=allowed, denied=denied, threshold=self.prediction_threshold, context=context
        )

    def predict_labels(self, X: Any, *, allowed: Any = None, denied: Any = None) -> list[NDArray]:
        """Return the labels of each row whose score reaches the threshold.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
        allowed, denied : collection of labels, sequence of N such collections, or (N, L) indicator, default=None
            As in ``predict_topk``.

        Returns
        -------
        list of N ndarray of labels
            For each row the labels whose score reaches their threshold, best first; empty where there is none.

        Examples
        --------
        >>> from ceiba import XRLinear
        >>> model = XRLinear(prediction_threshold=0.1)
        >>> model = model.fit(["red apple", "green apple", "old car"], [["fruit", "red"], ["fruit"], ["car"]])
        >>> [row.tolist() for row in model.predict_labels(["a green apple", "an old car"])]
        [['fruit'], ['car']]
        """
        context = self._context()
        return self._fitted().predict_labels(
            X, allowed=allowed, denied=denied, threshold=self.prediction_threshold, context=context
        )

    def score_labels(self, X: Any, candidates: Any) -> Any:
        """Score given labels only, whatever a search would reach.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
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
        return self._fitted().score_labels(X, candidates, context=self._context())

    @named_arguments({"Y": "y"}, texts="X", labels="y")
    def score(self, X: Any, y: Any) -> float:
        """Return precision at 1 as a share, so that grid search has something to maximise.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
        y : sequence of N collections of labels, or (N, L) indicator
            The true labels; those the model does not know count as not found.

        Returns
        -------
        float
            In [0, 1].
        """
        from ceiba.metrics import precision_at_k

        columns, _ = self._fitted().rank(X, 1, context=self._context())
        truth, _ = encode_with(y, self.classes_)
        check_rows("Y", truth.shape[0], len(columns))
        return precision_at_k(truth, columns, 1) / 100

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
        context = self._context()
        return self._fitted().explain(X, label, n_features=n_features, tree=tree, context=context)

    def match(
        self, X: Any, k: int = 10, *, tree: int = 0, beam_size: int | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the bottom clusters that the matcher finds for each row.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
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
        check("beam_size", beam_size, _BEAM, "match")
        return self._fitted().match(X, k, tree=tree, beam_size=beam_size, context=self._context())

    # ------------------------------------------------------------------ fitted attributes

    @property
    def reads_texts(self) -> bool:
        """Whether the fitted model takes texts, not features."""
        return self._fitted().queries.reads_texts

    @property
    def classes_(self) -> NDArray:
        """The labels, in the order of columns."""
        return self._fitted().labels.ids

    @property
    def label_counts_(self) -> NDArray[np.int64]:
        """Training instances of each label."""
        return self._fitted().labels.counts

    @property
    def label_texts_(self) -> NDArray | None:
        """The text of each label, where ``fit`` was given texts."""
        return self._fitted().labels.texts

    @property
    def n_train_(self) -> int:
        """The number of training instances."""
        return self._fitted().labels.n_instances

    @property
    def encoder_devices(self) -> tuple[str, ...]:
        """The kind of device that each encoder of the model computes on, such as "cpu"; empty where it has none."""
        return self._fitted().queries.encoder_devices

    @property
    def has_training_texts(self) -> bool:
        """Whether the model keeps its training texts, and explanations show the nearest ones."""
        return self._fitted().training_texts is not None

    @property
    def n_features_in_(self) -> int:
        """The number of features."""
        return self._fitted().queries.n_features

    @property
    def feature_names_in_(self) -> NDArray:
        """The columns of the data frame that ``fit`` was given; there is no such attribute where it was none."""
        names = self._fitted().queries.feature_names
        if names is None:
            raise AttributeError(f"{type(self).__name__} was fitted without names of features.")
        return names

    @property
    def vectorizer_(self) -> Any:
        """The fitted vectorizer; None where features were given."""
        return self._fitted().queries.vectorizer

    @property
    def partitions_(self) -> list[TreeModel]:
        """The trees with their trained layers."""
        return list(self._fitted().tree_search.trees)

    @property
    def trees_(self) -> list[LabelTree]:
        """The label tree of each member of the ensemble."""
        return [model.tree for model in self.partitions_]

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

    def fitted_facts(self) -> dict[str, Any]:
        """Return what the command line says of a fitted model besides its sizes, as JSON values."""
        return {}

    def fitted_state(self) -> dict[str, Any]:
        """Return what `restore` needs besides the model."""
        return {}

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        """Take a model that was loaded, and what `fitted_state` returned when it was saved."""
        self.model_ = model

    # ------------------------------------------------------------------ parts

    def _fitted(self) -> Model:
        model = self.__dict__.get("model_")
        if model is None:
            check_is_fitted(self)  # raises
        return model  # type: ignore[return-value]

    def _prediction_owner(self) -> PartitionedClassifier:
        """Return the estimator whose `beam_size`, `combine` and `prediction_threshold` count."""
        return self

    def _context(self, beam_size: int | None = None, method: str = "") -> SearchContext:
        """Return what counts at prediction: the current parameters, checked, and the beam of one call."""
        owner, n_jobs = self._prediction_owner(), self.n_jobs
        cpus = 0 if type(n_jobs) is int and n_jobs > 0 else usable_cpus()
        given = type(owner), owner.beam_size, owner.combine, owner.prediction_threshold, n_jobs, cpus
        try:
            context = _checked_context(*given)  # type: ignore[arg-type]
        except TypeError:  # a value that cannot be hashed is looked at each time
            context = _checked_context.__wrapped__(*given)
        if beam_size is None:
            return context
        check("beam_size", beam_size, _BEAM, method)
        return context._replace(beam_size=beam_size)

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in self.__dict__

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


@lru_cache(maxsize=64, typed=True)  # one text's answer must not take the time of it
def _checked_context(
    owner: type[PartitionedClassifier],
    beam_size: Any,
    combine: Any,
    prediction_threshold: Any,
    n_jobs: Any,
    cpus: int,  # what n_jobs may stand for
) -> SearchContext:
    """Return the context of parameters that count at prediction, once they are checked as in ``fit``."""
    constraints = constraints_of(owner)
    given = {
        "beam_size": beam_size,
        "combine": combine,
        "prediction_threshold": prediction_threshold,
        "n_jobs": n_jobs,
    }
    for name, value in given.items():
        check(name, value, constraints[name], owner.__name__)
    return SearchContext(beam_size, combine, available_threads(n_jobs))
