"""Methods of estimators that say, after ``fit``, what scores mean and which labels to predict."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._estimator import named_arguments
from ceiba.errors import CalibrationWarning
from ceiba.models.decision import TUNED

if TYPE_CHECKING:
    from ceiba.fusion.calibration import Calibrator
    from ceiba.fusion.thresholds import Thresholds
    from ceiba.models.model import Model
    from ceiba.retrieval.generator import SearchContext


class LearnsDecision:
    """Mixin of `PartitionedClassifier`: calibration, thresholds, and labels that are left out of all answers."""

    if TYPE_CHECKING:
        model_: Model
        prediction_threshold: float | str

        def _fitted(self) -> Model: ...

        def _context(self, beam_size: int | None = None, method: str = "") -> SearchContext: ...

    def predict_proba(self, X: Any, k: int | None = None) -> sp.csr_array:
        """Return the probabilities of the labels that the search reaches.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
        k : int or None, default=None
            Keep the k best labels of each row; None keeps all that the beam reaches.

        Returns
        -------
        csr_array of shape (N, L), float32
            Column l belongs to ``classes_[l]``. A label without a stored value was not reached: its probability is 0.
            Before ``calibrate`` values are the scores themselves, which lie in [0, 1] but are no probabilities.
            A `HybridClassifier` is calibrated by its training.

        Warns
        -----
        CalibrationWarning
            When the model was not calibrated. `gives_probabilities` says whether it was.
        """
        if not self.gives_probabilities:
            warnings.warn(
                "The model was not calibrated, so predict_proba returns its scores: call calibrate(X, y) first, on "
                "rows that it was not trained on, or use decision_function.",
                CalibrationWarning,
                stacklevel=2,
            )
        return self._fitted().predict_proba(X, k, context=self._context())

    @named_arguments({"Y": "y"}, texts="X", labels="y")
    def calibrate(self, X: Any, y: Any, method: str = "sigmoid") -> Self:
        """Learn what scores mean: the scores of ``predict_topk`` and ``score_labels`` become probabilities.

        The ranking stays the same. Calls that are under way in other threads end with the scores they began with.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Rows that the model was not trained on. Some hundred are enough.
        y : sequence of N collections of labels, or (N, L) indicator
            The right labels. Those that the model does not know do not count.
        method : {"sigmoid", "isotonic"}, default="sigmoid"
            A smooth curve of three numbers, or steps of any rising shape, which need about 1,000 right labels.

        Returns
        -------
        estimator
            The model itself.

        Raises
        ------
        InputError
            When Y has another number of rows than X, or no right label was reached.
        """
        self.model_ = self._fitted().calibrate(X, y, method, context=self._context())
        return self

    @named_arguments({"Y": "y"}, texts="X", labels="y")
    def tune_thresholds(
        self,
        X: Any,
        y: Any,
        *,
        objective: str = "micro_f1",
        min_precision: float | None = None,
        per_label: bool = False,
    ) -> Self:
        """Choose the thresholds of ``predict`` that are best on rows with known labels.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Rows that the model was not trained on.
        y : sequence of N collections of labels, or (N, L) indicator
            The right labels. Those that the model does not know or did not reach count as missed.
        objective : {"micro_f1", "macro_f1"}, default="micro_f1"
            F1 of all predictions together, or the mean of the labels' F1.
        min_precision : float in (0, 1], default=None
            The least share of predictions that must be right.
        per_label : bool, default=False
            Whether each label gets its own threshold. The rarer a label, the nearer its threshold is to the common one.

        Returns
        -------
        estimator
            The model itself; ``thresholds_`` says what was found.

        Raises
        ------
        InputError
            When Y has another number of rows than X, no right label was reached, or no threshold has `min_precision`.

        Warns
        -----
        UserWarning
            When `prediction_threshold` is a number, which counts more than what was tuned.
        """
        options: dict[str, Any] = {"objective": objective, "min_precision": min_precision, "per_label": per_label}
        self.model_ = self._fitted().tune_thresholds(X, y, context=self._context(), **options)
        if self.prediction_threshold != TUNED:
            warnings.warn(
                f"prediction_threshold={self.prediction_threshold} counts more than the thresholds that were tuned; "
                f"set it to {TUNED!r} to use them.",
                stacklevel=2,
            )
        return self

    def set_filters(self, *, allowed: Any = None, denied: Any = None) -> Self:
        """Keep with the model which labels it may answer with, and which it never does.

        Rankings, scores and predictions have no other labels then, also after the model is saved and loaded. The
        `allowed` and `denied` of a call can only take further labels away. ``score_labels`` and ``explain`` answer for
        any label that is named. Calls that are under way in other threads end with the filters they began with. ``fit``
        makes a model without any.

        Parameters
        ----------
        allowed : collection of labels, default=None
            The only labels that may be answered; None allows all.
        denied : collection of labels, default=None
            Labels that are never answered. Where neither is given, the model keeps no filters any more.

        Returns
        -------
        estimator
            The model itself.

        Raises
        ------
        InputError, InputTypeError
            When an argument is no collection of labels, a label is not known, or no label is left.

        Examples
        --------
        >>> from ceiba import XRLinear
        >>> model = XRLinear().fit(["red apple", "green apple", "old car"], [["fruit", "red"], ["fruit"], ["car"]])
        >>> model.set_filters(denied=["red"]).predict_topk(["a red apple"], k=1)[0].tolist()
        [['fruit']]
        """
        self.model_ = self._fitted().with_filters(allowed, denied)
        return self

    @property
    def allowed_labels_(self) -> NDArray | None:
        """The labels that answers are limited to by ``set_filters``; None where all are allowed."""
        model = self._fitted()
        return None if model.filters is None else _ids(model, model.filters.allowed)

    @property
    def denied_labels_(self) -> NDArray | None:
        """The labels that ``set_filters`` leaves out of answers; None where it was given none."""
        model = self._fitted()
        return None if model.filters is None else _ids(model, model.filters.denied)

    @property
    def gives_probabilities(self) -> bool:
        """Whether the scores of ``predict_topk`` are calibrated probabilities."""
        return self._fitted().gives_probabilities

    @property
    def calibrator_(self) -> Calibrator | None:
        """What turns scores into probabilities, after ``calibrate``."""
        decision = self._fitted().decision
        return None if decision is None else decision.calibrator

    @property
    def thresholds_(self) -> Thresholds | None:
        """What ``tune_thresholds`` found; thresholds are of scores before calibration."""
        decision = self._fitted().decision
        return None if decision is None else decision.thresholds


def _ids(model: Model, columns: NDArray[np.int32] | None) -> NDArray | None:
    return None if columns is None else model.labels.ids[columns]
