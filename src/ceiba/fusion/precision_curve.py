"""Precision and recall of predictions at every threshold, for those who choose one by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._params import Interval, check
from ceiba.errors import InputError

_POINTS = 200


@dataclass(frozen=True)
class PrecisionCurve:
    """What to expect at some common thresholds, from the highest down; arrays of shape (S,).

    Attributes
    ----------
    thresholds : ndarray of float32
    precision : ndarray of float64
        The share of the predicted labels that are right.
    recall : ndarray of float64
        The share of the right labels that are predicted, those that the search did not reach counted too.
    labels_per_row : ndarray of float64
        How many labels a row gets on average.
    """

    thresholds: NDArray[np.float32]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    labels_per_row: NDArray[np.float64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """Micro F1 at each threshold."""
        total = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, total, out=np.zeros(len(total)), where=total > 0)

    def threshold_for(self, precision: float) -> float:
        """Return the lowest threshold of the curve with at least this precision.

        Raises
        ------
        InputError
            When no threshold of the curve has it.
        """
        check("precision", precision, [Interval(float, 0, 1)], "threshold_for")
        at = np.flatnonzero(self.precision >= precision)
        if not len(at):
            raise InputError(f"precision is {precision:g}, but the highest of the curve is {self.precision.max():.4g}.")
        return float(self.thresholds[at[-1]])


def precision_curve(
    scores: NDArray[np.float32], right: NDArray[np.bool_], n_right: int, n_rows: int, n_points: int = _POINTS
) -> PrecisionCurve:
    """Return the curve of scored pairs.

    Parameters
    ----------
    scores : ndarray of shape (P,)
        Descending.
    right : ndarray of shape (P,), bool
        Whether the label is right.
    n_right : int
        All right labels, reached or not.
    n_rows : int
    n_points : int, default=200
        Points at most. Their numbers of predicted labels are about a geometric series.
    """
    ends = np.flatnonzero(np.append(scores[1:] < scores[:-1], True)[: len(scores)])
    if len(ends) > n_points:
        wanted = np.geomspace(ends[0] + 1, ends[-1] + 1, n_points) - 1
        ends = ends[np.unique(np.searchsorted(ends, np.rint(wanted)))]
    true, predicted = np.cumsum(right)[ends], ends + 1
    return PrecisionCurve(midpoints(scores)[ends], true / predicted, true / max(1, n_right), predicted / max(1, n_rows))


def midpoints(scores: NDArray[np.float32], last: NDArray[Any] | None = None) -> NDArray[np.float32]:
    """Return, for descending scores, the middle between each and the next lower one; at an end the score itself.

    A middle is above the next score and at most the score, so it cuts exactly between them. `last` says where a
    descending series ends; None: it is one series.
    """
    below = np.append(scores[1:], scores[-1:])
    middle = below + (scores - below) * np.float32(0.5)
    middle = np.where(middle > below, middle, scores)
    if last is not None:
        middle[last] = scores[last]
    return middle
