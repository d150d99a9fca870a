"""Logistic regression that puts the features of a (text, label) pair together to a probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ceiba._native import core
from ceiba._params import Interval, check
from ceiba._progress import Report
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import Fields

_FILE = "logistic.safetensors"
_NAMES = ("mean", "scale", "coef", "intercept")
_MOST_FEATURES = 4096


@component("logistic", "fusion")
class LogisticFusion:
    """Logistic regression on standardized features, with an L2 penalty.

    Parameters
    ----------
    C : float, default=1.0
        What the loss counts beside the penalty, as in scikit-learn. The intercept has no penalty.
    max_iter : int, default=100
        The most steps of Newton's method.
    tol : float, default=1e-10
        A step that lowers the mean loss by less is the last one.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (F,), float64
        Mean and standard deviation of each feature. A constant feature has a scale of 1 and gets no coefficient.
    coef_ : ndarray of shape (F,), float64
        Coefficients of standardized features.
    intercept_ : float
    n_iter_ : int

    Notes
    -----
    The objective is C times the sum of log-losses plus half the squared length of the coefficients. Sums are in double
    precision and in an order that does not depend on the number of threads, so neither does the result. The penalty
    keeps coefficients finite where the features separate both classes.

    A weight of 2 is the same as a row that comes twice. A weight of 0 leaves the row out.

    Examples
    --------
    >>> import numpy as np
    >>> from ceiba.fusion.logistic import LogisticFusion
    >>> features = np.array([[0.1, 3], [0.4, 3], [0.6, 3], [0.9, 3]], np.float32)
    >>> fusion = LogisticFusion().fit(features, [0, 0, 1, 1])
    >>> fusion.probability(features).round(2)
    array([0.22, 0.42, 0.58, 0.78], dtype=float32)
    """

    kind: ClassVar[str]
    mean_: NDArray[np.float64]
    scale_: NDArray[np.float64]
    coef_: NDArray[np.float64]
    intercept_: float
    n_iter_: int

    def __init__(self, C: float = 1.0, *, max_iter: int = 100, tol: float = 1e-10):
        owner = "LogisticFusion"
        check("C", C, [Interval(float, 0, closed="neither")], owner)
        check("max_iter", max_iter, [Interval(int, 1)], owner)
        check("tol", tol, [Interval(float, 0)], owner)
        self.C, self.max_iter, self.tol = C, max_iter, tol

    def fit(
        self,
        features: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_threads: int = 1,
        progress: Report | None = None,
    ) -> LogisticFusion:
        """Fit the regression.

        Parameters
        ----------
        features : array-like of shape (P, F)
            A row for each pair. An array of float32 is read where it is.
        y : array-like of shape (P,)
            1 or True where the label is right, 0 or False where it is not.
        sample_weight : array-like of shape (P,), default=None
            What each pair counts, at least 0; 1 when None.
        n_threads : int, default=1
        progress : callable, default=None
            Called now and then.

        Returns
        -------
        LogisticFusion
            Itself.

        Raises
        ------
        InputError
            When lengths differ, a value is not finite, a weight is negative, or all pairs that count are of one class.
        """
        check("n_threads", n_threads, [Interval(int, 1)], "LogisticFusion.fit")
        rows = _rows(features)
        target = _target(y, len(rows))
        weight = None if sample_weight is None else _weight(sample_weight, len(rows))
        counts = slice(None) if weight is None else weight > 0
        for value, name in ((1, "right"), (0, "wrong")):
            if not (target[counts] == value).any():
                raise InputError(
                    f"y has no {name} pair of a weight above 0, but a regression needs right and wrong ones."
                )
        _require_finite(rows)
        found = core.fit_logistic(rows, target, weight, self.C, self.max_iter, self.tol, n_threads, progress)
        self.mean_, self.scale_, self.coef_, self.intercept_, self.n_iter_, _ = found
        return self

    def probability(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return the probability of each pair.

        Parameters
        ----------
        features : array-like of shape (P, F)

        Raises
        ------
        InputError
            When there is another number of features, or a value is not finite.
        """
        rows = self._known_rows(features)
        try:
            return core.logistic_probability(rows, self.mean_, self.scale_, self.coef_, self.intercept_)
        except ValueError:
            _require_finite(rows)
            raise

    def contributions(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return what each feature adds to the logit of each pair, beside the intercept: (P, F)."""
        rows = self._known_rows(features)
        _require_finite(rows)
        return (rows - self.mean_) / self.scale_ * self.coef_

    def arrays(self) -> dict[str, NDArray]:
        """Return what was learned, as arrays to be saved; see `from_arrays`."""
        values = (self.mean_, self.scale_, self.coef_, np.array([self.intercept_]))
        return dict(zip(_NAMES, values, strict=True))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], **params: Any) -> LogisticFusion:
        """Return a fitted regression from the arrays of another (`arrays`).

        Raises
        ------
        ModelFormatError
            When an array is missing, or the arrays are not those of a regression.
        """
        self = cls(**params)
        for name in _NAMES:
            array = arrays.get(name)
            if array is None or array.dtype != np.float64 or array.ndim != 1 or not np.isfinite(array).all():
                raise ModelFormatError(
                    f"The logistic regression is damaged: {name!r} must be a list of finite numbers."
                )
        if len({len(arrays[name]) for name in _NAMES[:3]}) != 1 or len(arrays["intercept"]) != 1:
            raise ModelFormatError("The logistic regression is damaged: its arrays differ in length.")
        if not (arrays["scale"] > 0).all():
            raise ModelFormatError("The logistic regression is damaged: 'scale' must be above 0.")
        self.mean_, self.scale_, self.coef_ = (np.ascontiguousarray(arrays[name]) for name in _NAMES[:3])
        self.intercept_ = float(arrays["intercept"][0])
        return self

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the regression."""
        writer.tensors(_FILE, self.arrays())
        return {}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> LogisticFusion:
        """Read what `save` wrote."""
        try:
            return cls.from_arrays(files.tensors(_FILE))
        except ModelFormatError as error:
            raise ModelFormatError(f"{files.path(_FILE)}: {error}") from error

    def _known_rows(self, features: ArrayLike) -> NDArray[np.float32]:
        rows = _rows(features)
        if rows.shape[1] != len(self.coef_):
            raise InputError(f"features has {rows.shape[1]} columns, the regression has {len(self.coef_)}.")
        return rows


def _rows(features: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(features)
    if array.dtype.kind not in "fiub":
        raise InputTypeError(f"features must hold numbers. Got values of type {array.dtype} instead.")
    if array.ndim != 2 or not 1 <= array.shape[1] <= _MOST_FEATURES:
        raise InputError(
            f"features must have 2 dimensions, with 1 to {_MOST_FEATURES} columns. Got shape {array.shape} instead."
        )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, np.float32)


def _require_finite(rows: NDArray[np.float32]) -> None:
    bad = ~np.isfinite(rows)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(f"features has NaN, infinity or too large a value in row {row}, column {column}.")


def _target(y: ArrayLike, n_rows: int) -> NDArray[np.uint8]:
    array = np.asarray(y)
    if array.shape != (n_rows,):
        raise InputError(f"y must have one value for each row of features ({n_rows}). Got shape {array.shape} instead.")
    if array.dtype.kind not in "fiub":
        raise InputTypeError(f"y must hold 0 and 1. Got values of type {array.dtype} instead.")
    wrong = (array != 0) & (array != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"y must hold 0 and 1. Got {array[row]} in row {row} instead.")
    return array.astype(np.uint8)


def _weight(sample_weight: ArrayLike, n_rows: int) -> NDArray[np.float64]:
    array = np.asarray(sample_weight)
    if array.shape != (n_rows,):
        raise InputError(f"sample_weight must have one value for each row of features ({n_rows}). Got {array.shape}.")
    if array.dtype.kind not in "fiub":
        raise InputTypeError(f"sample_weight must hold numbers. Got values of type {array.dtype} instead.")
    weight = np.ascontiguousarray(array, np.float64)
    if not (np.isfinite(weight).all() and weight.min(initial=0) >= 0):
        raise InputError("sample_weight holds a value that is negative, NaN or infinite.")
    return weight
