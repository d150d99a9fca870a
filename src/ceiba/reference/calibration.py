"""The figures of `ceiba.metrics.calibration` as their definitions read: one pair at a time.

Slow and obvious on purpose; tests compare the fast ones with these.  A pair is (probability, whether it is right).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ceiba.reference.metrics import rank

Pair = tuple[float, bool]


def pairs(true: Sequence[set[int]], scores: Sequence[Mapping[int, float]], k: int | None) -> list[Pair]:
    """Return the pairs of the k most probable labels of each row, of all labels with k None."""
    found = []
    for y, row in zip(true, scores, strict=True):
        found += [(row[label], label in y) for label in rank(row, len(row) if k is None else k)]
    return found


def bins(pairs: Sequence[Pair], n_bins: int, strategy: str = "uniform") -> list[list[Pair]]:
    """Return the pairs of each bin; a bin has its upper edge, the first one its lower edge too."""
    edges = [i / n_bins for i in range(n_bins + 1)]
    if strategy == "quantile":
        edges = np.quantile([p for p, _ in pairs], edges).tolist()
    found: list[list[Pair]] = [[] for _ in range(n_bins)]
    for p, right in pairs:
        at = next((i for i in range(n_bins - 1) if p <= edges[i + 1]), n_bins - 1)
        found[at].append((p, right))
    return found


def reliability_curve(pairs: Sequence[Pair], n_bins: int, strategy: str = "uniform") -> list[tuple[float, float, int]]:
    """Return mean probability, share of right pairs and number of pairs of each bin that has any."""
    curve = []
    for held in bins(pairs, n_bins, strategy):
        if held:
            curve.append((sum(p for p, _ in held) / len(held), sum(right for _, right in held) / len(held), len(held)))
    return curve


def expected_calibration_error(pairs: Sequence[Pair], n_bins: int, strategy: str = "uniform") -> float:
    """Return the mean over all pairs of the distance between their bin's two shares."""
    error = sum(abs(p - share) * count for p, share, count in reliability_curve(pairs, n_bins, strategy))
    return error / len(pairs) if pairs else 0.0


def log_loss(pairs: Sequence[Pair]) -> float:
    """Return the mean negative logarithm of the probability of what is the case."""
    low = float(np.finfo(np.float32).eps)
    total = 0.0
    for p, right in pairs:
        p = min(max(p, low), 1 - low)
        total -= math.log(p if right else 1 - p)
    return total / len(pairs) if pairs else 0.0


def brier_score(pairs: Sequence[Pair]) -> float:
    """Return the mean squared distance of the probability to what is the case."""
    return sum((p - right) ** 2 for p, right in pairs) / len(pairs) if pairs else 0.0
