"""Calibration: from the score of a (text, label) pair to the probability that the label is right.

A calibrator is fitted on pairs that a search reached, on texts that the model was not trained on. A pair that the
search did not reach has no score. Its probability is 0, and so is that of a score of -inf.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ceiba._params import Options, check
from ceiba.errors import InputError, ModelFormatError

# What scores are: any numbers; probabilities or the like, in [0, 1]; logarithms of those.
SCALES = ("linear", "probability", "log-probability")
_SOFTENING = 0.01  # added to 1 - s: scores of 1 are frequent, since a hinge saturates
_LOWEST = -200.0  # logarithms below are taken for this one
_MOST_STEPS = 100
_TOLERANCE = 1e-10
_CHUNK = 1 << 20  # scores at once, which bounds the working memory

Floats = NDArray[np.floating[Any]]


class Calibrator(Protocol):
    """Turns scores into probabilities."""

    method: ClassVar[str]
    scale: str

    def fit(self, scores: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Calibrator:
        """Learn from scored pairs whether each was right."""
        ...

    def probability(self, scores: ArrayLike) -> Floats:
        """Return the probability of each score."""
        ...

    def arrays(self) -> dict[str, NDArray]:
        """Return what was learned, as arrays to be saved."""
        ...


class SigmoidCalibrator:
    """Platt scaling: a logistic regression on the score.

    Parameters
    ----------
    scale : {"linear", "probability", "log-probability"}, default="linear"
        What scores are. "linear": any numbers; the logit of the probability is a s + b. "probability": numbers in
        [0, 1], for which Platt's form does not fit; the logit is a log(s) - b log(1.01 - s) + c (beta calibration).
        "log-probability": logarithms of such numbers, with the same result.

    Attributes
    ----------
    coef_ : ndarray of float64
        a, or a and b. They are never negative, so probabilities rise with the score.
    intercept_ : float

    Notes
    -----
    Targets are Platt's: (n1 + 1) / (n1 + 2) for the n1 right pairs and 1 / (n0 + 2) for the n0 others. So probabilities
    stay between 0 and 1 even where the scores separate both.

    References
    ----------
    - Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    - Lin, Lin and Weng, "A note on Platt's probabilistic outputs for support vector machines", Machine Learning, 2007.
    - Kull, Silva Filho and Flach, "Beta calibration", AISTATS 2017.

    Examples
    --------
    >>> from ceiba.fusion.calibration import SigmoidCalibrator
    >>> calibrator = SigmoidCalibrator().fit([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])
    >>> calibrator.probability([-2.0, 0.0, 2.0]).round(2)
    array([0.21, 0.5 , 0.79])
    """

    method: ClassVar[str] = "sigmoid"
    coef_: NDArray[np.float64]
    intercept_: float

    def __init__(self, scale: str = "linear"):
        check("scale", scale, [Options(*SCALES)], "SigmoidCalibrator")
        self.scale = scale

    def fit(self, scores: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SigmoidCalibrator:
        """Fit the sigmoid.

        Parameters
        ----------
        scores : array-like of shape (P,)
            The score of each pair. Those of -inf do not count.
        y : array-like of shape (P,)
            True, or anything but 0, where the label is right.
        sample_weight : array-like of shape (P,), default=None
            What each pair counts, at least 0; 1 when None.

        Returns
        -------
        SigmoidCalibrator
            Itself.

        Raises
        ------
        InputError
            When lengths differ, a score is NaN, a weight is negative, or no pair that counts is right.
        """
        s, right, weight = _fit_data(scores, y, sample_weight, self.scale)
        x = _features(s, self.scale)
        target = _platt_targets(right, weight)
        used = list(range(x.shape[1]))
        while True:
            coef, intercept = _logistic(x[:, used], target, weight)
            if not used or coef.min() >= 0:
                break
            del used[int(np.argmin(coef))]  # a probability that falls with the score would reverse the ranking
        self.coef_ = np.zeros(x.shape[1])
        self.coef_[used] = coef
        self.intercept_ = intercept
        return self

    def probability(self, scores: ArrayLike) -> Floats:
        """Return the probability of each score.

        Parameters
        ----------
        scores : array-like of any shape
            Scores on the scale of those in `fit`; -inf is no answer, with the probability 0.

        Returns
        -------
        ndarray of the same shape
            float32 where scores are, otherwise float64.
        """
        return _in_chunks(scores, self.scale, lambda s: expit(_features(s, self.scale) @ self.coef_ + self.intercept_))

    def arrays(self) -> dict[str, NDArray]:
        """Return what was learned, as arrays to be saved."""
        return {"coef": self.coef_, "intercept": np.array([self.intercept_])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], scale: str) -> SigmoidCalibrator:
        """Return the calibrator that `arrays` came from; ModelFormatError where they cannot be."""
        calibrator = cls(scale)
        n = 1 if scale == "linear" else 2
        calibrator.coef_ = _float_array(arrays, "coef", n)
        calibrator.intercept_ = float(_float_array(arrays, "intercept", 1)[0])
        if (calibrator.coef_ < 0).any():
            raise ModelFormatError("the array 'coef' of a sigmoid holds a negative value")
        return calibrator


class IsotonicCalibrator:
    """Isotonic regression: the best fit that rises with the score, with linear interpolation between its steps.

    Parameters
    ----------
    scale : {"linear", "probability", "log-probability"}, default="linear"
        As in `SigmoidCalibrator`.

    Attributes
    ----------
    scores_ : ndarray of shape (S,), float64
        Scores where a step begins or ends, ascending; of the scale "log-probability" they are exponentials.
    probabilities_ : ndarray of shape (S,), float64
        The probabilities there, ascending.

    Notes
    -----
    Targets are Platt's, see `SigmoidCalibrator`. So no probability is 0 or 1, and log-loss stays finite. Isotonic
    regression fits any shape, and needs more pairs than a sigmoid: about a thousand right ones.

    References
    ----------
    - Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.

    Examples
    --------
    >>> from ceiba.fusion.calibration import IsotonicCalibrator
    >>> calibrator = IsotonicCalibrator().fit([0.0, 1.0, 2.0, 3.0], [0, 1, 0, 1])
    >>> calibrator.probability([0.0, 1.0, 1.5, 3.0]).round(2)
    array([0.25, 0.5 , 0.5 , 0.75])
    """

    method: ClassVar[str] = "isotonic"
    scores_: NDArray[np.float64]
    probabilities_: NDArray[np.float64]

    def __init__(self, scale: str = "linear"):
        check("scale", scale, [Options(*SCALES)], "IsotonicCalibrator")
        self.scale = scale

    def fit(self, scores: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> IsotonicCalibrator:
        """Fit the steps; parameters and errors as in `SigmoidCalibrator.fit`."""
        from sklearn.isotonic import IsotonicRegression

        s, right, weight = _fit_data(scores, y, sample_weight, self.scale)
        fit = IsotonicRegression(y_min=0, y_max=1)
        fit.fit(_plain(s, self.scale), _platt_targets(right, weight), weight)
        self.scores_ = np.asarray(fit.X_thresholds_, np.float64)
        self.probabilities_ = np.asarray(fit.y_thresholds_, np.float64)
        return self

    def probability(self, scores: ArrayLike) -> Floats:
        """Return the probability of each score; as in `SigmoidCalibrator.probability`."""
        return _in_chunks(
            scores, self.scale, lambda s: np.interp(_plain(s, self.scale), self.scores_, self.probabilities_)
        )

    def arrays(self) -> dict[str, NDArray]:
        """Return what was learned, as arrays to be saved."""
        return {"scores": self.scores_, "probabilities": self.probabilities_}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], scale: str) -> IsotonicCalibrator:
        """Return the calibrator that `arrays` came from; ModelFormatError where they cannot be."""
        calibrator = cls(scale)
        calibrator.scores_ = scores = _float_array(arrays, "scores")
        calibrator.probabilities_ = probabilities = _float_array(arrays, "probabilities", len(scores))
        if not len(scores) or (np.diff(scores) <= 0).any():
            raise ModelFormatError("the scores of an isotonic regression do not ascend")
        if (np.diff(probabilities) < 0).any() or probabilities[0] < 0 or probabilities[-1] > 1:
            raise ModelFormatError("the probabilities of an isotonic regression do not rise from 0 to 1")
        return calibrator


CALIBRATORS: dict[str, type[SigmoidCalibrator] | type[IsotonicCalibrator]] = {
    "sigmoid": SigmoidCalibrator,
    "isotonic": IsotonicCalibrator,
}


def make_calibrator(method: str, scale: str = "linear") -> SigmoidCalibrator | IsotonicCalibrator:
    """Return an unfitted calibrator by its method's name, "sigmoid" or "isotonic"."""
    check("method", method, [Options(*CALIBRATORS)], "calibrate")
    return CALIBRATORS[method](scale)


# ------------------------------------------------------------------ fit


def _fit_data(
    scores: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, scale: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return scores, what is right and weights of the pairs that count."""
    s = _checked_scores(scores, scale).astype(np.float64, copy=False).ravel()
    right = np.asarray(y).ravel() != 0
    weight = np.ones(len(s)) if sample_weight is None else np.asarray(sample_weight, np.float64).ravel()
    for name, values in (("y", right), ("sample_weight", weight)):
        if len(values) != len(s):
            raise InputError(f"{name} has {len(values)} values, but there are {len(s)} scores.")
    if len(weight) and not (np.isfinite(weight).all() and weight.min() >= 0):
        raise InputError("sample_weight holds a value that is negative, NaN or infinite.")
    counts = (s > -np.inf) & (weight > 0)
    if not counts.all():
        s, right, weight = s[counts], right[counts], weight[counts]
    if not right.any():
        raise InputError("Calibration needs a right label among the pairs that were reached; there is none.")
    return s, right, weight


def _platt_targets(right: NDArray[np.bool_], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = float(weight[right].sum())
    negative = float(weight.sum()) - positive
    return np.where(right, (positive + 1) / (positive + 2), 1 / (negative + 2))


def _logistic(
    x: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return coefficients and intercept of a logistic regression, by Newton's method with backtracking."""
    mean = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    spread[spread == 0] = 1.0
    z = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    share = float(np.average(target, weights=weight))
    theta = np.zeros(z.shape[1])
    theta[-1] = np.log(share / (1 - share))
    total = weight.sum()
    loss, margin = _loss(z, theta, target, weight), z @ theta
    for _ in range(_MOST_STEPS):
        p = expit(margin)
        gradient = z.T @ (weight * (p - target)) / total
        if np.abs(gradient).max() < _TOLERANCE:
            break
        hessian = (z * (weight * p * (1 - p) / total)[:, None]).T @ z + 1e-12 * np.eye(len(theta))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10:
            trial = theta - size * step
            trial_loss = _loss(z, trial, target, weight)
            if trial_loss < loss:
                break
            size /= 2
        else:
            break  # no step lowers the loss any more
        theta, loss, margin = trial, trial_loss, z @ trial
    coef = theta[:-1] / spread
    return coef, float(theta[-1] - coef @ mean)


def _loss(
    z: NDArray[np.float64], theta: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    margin = z @ theta
    return float(weight @ (np.logaddexp(0.0, margin) - target * margin)) / float(weight.sum())


# ------------------------------------------------------------------ scores


def _checked_scores(scores: ArrayLike, scale: str) -> Floats:
    s = np.asarray(scores)
    if s.dtype.kind != "f":
        s = s.astype(np.float64)
    if not s.size:
        return s
    highest, lowest = s.max(), s.min()
    if np.isnan(highest):
        raise InputError("scores holds NaN.")
    if lowest == -np.inf:
        lowest = s[s > -np.inf].min(initial=highest)
    if scale == "probability" and -np.inf < lowest < 0:
        raise InputError(f"scores must be in [0, 1]. Got {lowest}.")
    limit = {"linear": np.inf, "probability": 1.0, "log-probability": 0.0}[scale]
    if highest > limit + 1e-5 or highest == np.inf:
        raise InputError(f"scores must be {'finite' if scale == 'linear' else f'at most {limit:g}'}. Got {highest}.")
    return s


def _in_chunks(scores: ArrayLike, scale: str, function: Any) -> Floats:
    s = _checked_scores(scores, scale)
    out = np.empty(s.shape, np.float32 if s.dtype == np.float32 else np.float64)
    flat, flat_out = s.reshape(-1), out.reshape(-1)
    for begin in range(0, len(flat), _CHUNK):
        part = flat[begin : begin + _CHUNK].astype(np.float64)
        flat_out[begin : begin + _CHUNK] = np.where(part > -np.inf, function(np.where(part > -np.inf, part, 0.0)), 0.0)
    return out


def _features(s: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    """Return what the logit is linear in."""
    if scale == "linear":
        return s[:, None]
    logs = s
    if scale == "probability":
        with np.errstate(divide="ignore"):
            logs = np.log(s)
    logs = np.clip(logs, _LOWEST, 0.0)
    return np.column_stack([logs, -np.log(1 + _SOFTENING - np.exp(logs))])


def _plain(s: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    return np.exp(s) if scale == "log-probability" else s


def _float_array(arrays: Mapping[str, NDArray], name: str, size: int | None = None) -> NDArray[np.float64]:
    array = arrays.get(name)
    if array is None or array.ndim != 1 or array.dtype != np.float64 or (size is not None and len(array) != size):
        of = "" if size is None else f" of {size} values"
        raise ModelFormatError(f"a calibrator lacks its float64 array {name!r}{of}")
    if not np.isfinite(array).all():
        raise ModelFormatError(f"the array {name!r} of a calibrator holds a value that is not finite")
    return np.array(array)
