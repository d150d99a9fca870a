"""Each metric's formula: from the sums of a `Tally` to a fraction for each k, by its name in the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ceiba.metrics.tally import RowSums, Tally, Vector


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Return numerator / denominator, and 0 where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def _label_mean(values: Vector) -> Vector:
    return values.mean(axis=1) if values.shape[1] else np.zeros(len(values))


Formula = Callable[[Tally], Vector]


@dataclass(frozen=True)
class Fraction:
    """A metric as a quotient of two sums over rows, each taken from what one row or many rows have together.

    Attributes
    ----------
    numerator, denominator : callable of (RowSums) to array
        The last axis is k.
    """

    numerator: Callable[[RowSums], Any]
    denominator: Callable[[RowSums], Any]

    def __call__(self, sums: RowSums) -> Vector:
        """Return the quotient, and 0 where the denominator is 0."""
        return _ratio(self.numerator(sums), self.denominator(sums))


PLAIN: dict[str, Fraction] = {
    "P": Fraction(lambda s: s.hits, lambda s: s.n * np.array(s.ks, np.float64)),
    "nDCG": Fraction(lambda s: s.ndcg, lambda s: s.n_with_positives),
    "R": Fraction(lambda s: s.recall, lambda s: s.n_with_positives),
}
PSP = Fraction(lambda s: s.gain, lambda s: s.best_gain)
PROPENSITY: dict[str, Formula] = {
    "PSP": PSP,
    "PSnDCG": lambda t: _ratio(t.discounted_gain, t.best_discounted_gain),
}
PER_LABEL: dict[str, Formula] = {
    "coverage": lambda t: _ratio(np.count_nonzero(t.true_positives, axis=1), np.count_nonzero(t.positives)),
    "macro-P": lambda t: _label_mean(_ratio(t.true_positives, t.returned)),
    "macro-R": lambda t: _label_mean(_ratio(t.true_positives, t.positives)),
    "macro-F1": lambda t: _label_mean(_ratio(2 * t.true_positives, t.returned + t.positives)),
}
