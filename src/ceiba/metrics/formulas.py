"""Each metric's formula: from the sums of a `Tally` to a fraction for each k, by its name in the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ceiba.metrics.tally import Tally, Vector


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Return numerator / denominator, and 0 where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def _label_mean(values: Vector) -> Vector:
    return values.mean(axis=1) if values.shape[1] else np.zeros(len(values))


Formula = Callable[[Tally], Vector]

PLAIN: dict[str, Formula] = {
    "P": lambda t: t.hits / (t.n * np.array(t.ks, np.float64)),
    "nDCG": lambda t: _ratio(t.ndcg, t.n_with_positives),
    "R": lambda t: _ratio(t.recall, t.n_with_positives),
}
PROPENSITY: dict[str, Formula] = {
    "PSP": lambda t: _ratio(t.gain, t.best_gain),
    "PSnDCG": lambda t: _ratio(t.discounted_gain, t.best_discounted_gain),
}
PER_LABEL: dict[str, Formula] = {
    "coverage": lambda t: _ratio(np.count_nonzero(t.true_positives, axis=1), np.count_nonzero(t.positives)),
    "macro-P": lambda t: _label_mean(_ratio(t.true_positives, t.returned)),
    "macro-R": lambda t: _label_mean(_ratio(t.true_positives, t.positives)),
    "macro-F1": lambda t: _label_mean(_ratio(2 * t.true_positives, t.returned + t.positives)),
}
