"""How far probabilities can be believed: calibration error, log-loss, Brier score, reliability curve.

These figures are shares, not percentages. They look at the pairs of a row and a label that have a probability. A right
label that was not returned has none; it counts in the recall of the ranking metrics, not here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ceiba._params import Exactly, Interval, Options, check
from ceiba.errors import InputError, InputTypeError
from ceiba.metrics.containers import DenseScores, Pattern, Rows, SparseScores, read_positives, read_scores
from ceiba.metrics.labels import CommonColumns, pattern
from ceiba.metrics.ranking import best_labels, best_of_sparse, hits

STRATEGIES = ("uniform", "quantile")
_CLIP = float(np.finfo(np.float32).eps)  # log-loss of a probability of 0 or 1 that is wrong stays finite

Vector = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class ReliabilityCurve(NamedTuple):
    """Bins of pairs by probability; those without a pair are left out.

    Attributes
    ----------
    probability : ndarray of shape (B,)
        The mean probability of the bin's pairs.
    frequency : ndarray of shape (B,)
        The share of them that is right.
    n_pairs : ndarray of shape (B,)
        How many there are.
    """

    probability: Vector
    frequency: Vector
    n_pairs: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of both over all pairs."""
        return _mean(np.abs(self.probability - self.frequency) * self.n_pairs, int(self.n_pairs.sum()))


def expected_calibration_error(
    Y_true: Any, Y_score: Any, k: int | None = 5, *, n_bins: int = 15, strategy: str = "uniform", classes: Any = None
) -> float:
    """Return the expected calibration error (ECE) of the first k labels of each row.

    Pairs are put into bins by probability. The error is the distance between a bin's mean probability and its share of
    right pairs, as a mean over all pairs.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics`.
    Y_score : sparse or dense container of probabilities, n rows
        In [0, 1]. A label without a stored value was not returned.
    k : int or None, default=5
        Labels of each row to look at, the most probable first; None looks at all that were returned.
    n_bins : int, default=15
        The number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equally many pairs.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where Y_true lists names.

    Returns
    -------
    float
        In [0, 1]; 0 where there are no pairs.

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`, and where a score is no probability.

    References
    ----------
    - Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    - Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from ceiba.metrics import expected_calibration_error
    >>> Y_true = np.array([[1, 0], [0, 0]])
    >>> Y_score = np.array([[0.75, 0.25], [0.75, 0.0]])
    >>> expected_calibration_error(Y_true, Y_score, k=1)
    0.25
    """
    owner = "expected_calibration_error"
    return _curve(Y_true, Y_score, k, n_bins, strategy, classes, owner).error


def reliability_curve(
    Y_true: Any, Y_score: Any, k: int | None = 5, *, n_bins: int = 15, strategy: str = "uniform", classes: Any = None
) -> ReliabilityCurve:
    """Return mean probability and share of right pairs in bins of probability.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics`.
    Y_score : sparse or dense container of probabilities, n rows
        In [0, 1]. A label without a stored value was not returned.
    k : int or None, default=5
        Labels of each row to look at, the most probable first; None looks at all that were returned.
    n_bins : int, default=15
        The number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equally many pairs.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where Y_true lists names.

    Returns
    -------
    ReliabilityCurve
        With the arrays ``probability``, ``frequency`` and ``n_pairs``, and the calibration error ``error``.

    Examples
    --------
    >>> import numpy as np
    >>> from ceiba.metrics import reliability_curve
    >>> curve = reliability_curve(np.array([[1, 0], [0, 0]]), np.array([[0.75, 0.25], [0.75, 0.0]]), k=1)
    >>> curve.probability, curve.frequency, curve.n_pairs
    (array([0.75]), array([0.5]), array([2]))
    """
    return _curve(Y_true, Y_score, k, n_bins, strategy, classes, "reliability_curve")


def log_loss(Y_true: Any, Y_score: Any, k: int | None = None, *, classes: Any = None) -> float:
    """Return the mean negative logarithm of the probability of what is the case, over all pairs returned.

    Parameters
    ----------
    Y_true, Y_score, k, classes : as in `expected_calibration_error`
        By default all pairs count that were returned.

    Returns
    -------
    float
        Natural logarithms; probabilities are kept 1.2e-7 away from 0 and 1. 0 where there are no pairs.

    Raises
    ------
    InputError, InputTypeError
        As for `expected_calibration_error`.

    Examples
    --------
    >>> import numpy as np
    >>> from ceiba.metrics import log_loss
    >>> round(log_loss(np.array([[1, 0]]), np.array([[0.8, 0.4]])), 4)
    0.367
    """
    p, right = _pairs(Y_true, Y_score, k, classes, "log_loss")
    p = np.clip(p, _CLIP, 1 - _CLIP)
    return _mean(-np.log(np.where(right, p, 1 - p)), len(p))


def brier_score(Y_true: Any, Y_score: Any, k: int | None = None, *, classes: Any = None) -> float:
    """Return the mean squared distance of the probability to what is the case, over all pairs returned.

    Parameters
    ----------
    Y_true, Y_score, k, classes : as in `expected_calibration_error`
        By default all pairs count that were returned.

    Returns
    -------
    float
        In [0, 1]; 0 where there are no pairs.

    Raises
    ------
    InputError, InputTypeError
        As for `expected_calibration_error`.

    Examples
    --------
    >>> import numpy as np
    >>> from ceiba.metrics import brier_score
    >>> round(brier_score(np.array([[1, 0]]), np.array([[0.8, 0.4]])), 4)
    0.1
    """
    p, right = _pairs(Y_true, Y_score, k, classes, "brier_score")
    return _mean((p - right) ** 2, len(p))


def _curve(
    Y_true: Any, Y_score: Any, k: int | None, n_bins: int, strategy: str, classes: Any, owner: str
) -> ReliabilityCurve:
    check("n_bins", n_bins, [Interval(int, 1)], owner)
    check("strategy", strategy, [Options(*STRATEGIES)], owner)
    p, right = _pairs(Y_true, Y_score, k, classes, owner)
    shares = np.linspace(0, 1, n_bins + 1)
    edges = np.quantile(p, shares) if strategy == "quantile" and len(p) else shares
    bin_of = np.searchsorted(edges[1:-1], p)  # a bin has its upper edge
    count = np.bincount(bin_of, minlength=n_bins)
    some = count > 0
    mean = np.bincount(bin_of, p, minlength=n_bins)[some] / count[some]
    frequency = np.bincount(bin_of, right, minlength=n_bins)[some] / count[some]
    return ReliabilityCurve(mean, frequency, count[some])


def _pairs(Y_true: Any, Y_score: Any, k: int | None, classes: Any, owner: str) -> tuple[Vector, Bools]:
    """Return the probabilities of the pairs that count, and which of the pairs are right."""
    check("k", k, [Interval(int, 1), Exactly(None)], owner)
    true, scores = read_positives(Y_true, "Y_true"), read_scores(Y_score, "Y_score")
    if isinstance(scores, Rows):
        raise InputTypeError(f"{owner} needs probabilities. Y_score lists labels without any.")
    if true.n != scores.n:
        raise InputError(f"Y_true has {true.n} rows but Y_score has {scores.n}.")
    space = CommonColumns([true, scores], classes)
    positives = pattern(true, space)
    top, values = _best(scores, k, space) if k is not None else (None, None)
    if top is not None and values is not None:
        returned = top >= 0
        p, right = values[returned], hits(top, positives.indptr, positives.indices, space.size)[returned]
    else:
        p, right = _all_pairs(scores, positives)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        wrong = p.min() if p.min() < 0 else p.max()
        raise InputError(f"{owner} needs probabilities, numbers in [0, 1]. Y_score holds {wrong}.")
    return p.astype(np.float64), right


def _best(scores: SparseScores | DenseScores, k: int, space: CommonColumns) -> tuple[Any, Any]:
    if isinstance(scores, SparseScores):
        longest = max(1, int(np.diff(scores.indptr).max()))
        return best_of_sparse(scores.indptr, scores.indices, scores.data, min(k, longest))
    top = best_labels(scores, min(k, max(1, scores.n_labels)), space)
    return top, np.take_along_axis(scores.scores, np.maximum(top, 0), axis=1)


def _all_pairs(scores: SparseScores | DenseScores, positives: Pattern) -> tuple[Any, Bools]:
    """Return every score but those of -inf, and which are of a right label."""
    n_labels = positives.n_labels
    keys = np.repeat(np.arange(positives.n, dtype=np.int64) * n_labels, np.diff(positives.indptr)) + positives.indices
    if isinstance(scores, DenseScores):
        right = np.zeros((scores.n, n_labels), bool)
        right.ravel()[keys] = True
        right = right[:, : scores.n_labels]
        answered = scores.scores > -np.inf
        return scores.scores[answered], right[answered]
    rows = np.repeat(np.arange(scores.n, dtype=np.int64), np.diff(scores.indptr))
    wanted = rows * n_labels + scores.indices
    found: Bools = np.zeros(len(wanted), bool)
    if keys.size:
        found = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
    answered = scores.data > -np.inf
    return scores.data[answered], found[answered]


def _mean(values: Vector, count: int) -> float:
    return float(values.sum() / count) if count else 0.0
