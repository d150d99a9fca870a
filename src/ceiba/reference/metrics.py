"""The metrics of `ceiba.metrics` as their definitions read: one row, one label at a time.

Slow and obvious on purpose; tests compare the fast ones with these.  Positives are sets of column numbers,
one per row; rankings are lists of column numbers, best first, one per row, with None in an empty place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def rank(scores: Mapping[int, float], k: int) -> list[int]:
    """Return the k labels of the highest scores, best first; of equal scores the lower label first."""
    answered = [label for label, score in scores.items() if score != -math.inf]
    return sorted(answered, key=lambda label: (-scores[label], label))[:k]


def inverse_propensity(train: Sequence[set[int]], n_labels: int, A: float = 0.55, B: float = 1.5) -> list[float]:
    """Return 1 + C (n_l + B)^-A for every label, with C = (ln N - 1)(B + 1)^A, at least 0."""
    C = max(0.0, (math.log(len(train)) - 1) * (B + 1) ** A)
    counts = [sum(label in row for row in train) for label in range(n_labels)]
    return [1 + C * (count + B) ** -A for count in counts]


def evaluate(
    true: Sequence[set[int]],
    ranked: Sequence[Sequence[int | None]],
    n_labels: int,
    ks: Sequence[int],
    weights: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return every metric at every k, in percent; PSP and PSnDCG need ``weights``, inverse propensities."""
    figures = {}
    for k in ks:
        hits = [_hits(y, row, k) for y, row in zip(true, ranked, strict=True)]
        answered = [(y, hit) for y, hit in zip(true, hits, strict=True) if y]
        figures[f"P@{k}"] = _mean([len(hit) / k for hit in hits])
        figures[f"R@{k}"] = _mean([len(hit) / len(y) for y, hit in answered])
        figures[f"nDCG@{k}"] = _mean([_dcg(dict.fromkeys(hit, 1.0)) / _ideal(y, k) for y, hit in answered])
        if weights is not None:
            gains = [{place: weights[label] for place, label in hit.items()} for _, hit in answered]
            best = [_best_gains(y, k, weights) for y, _ in answered]
            figures[f"PSP@{k}"] = _quotient(
                sum(sum(gain.values()) for gain in gains), sum(sum(gain.values()) for gain in best)
            )
            ideals = [_ideal(y, k) for y, _ in answered]
            figures[f"PSnDCG@{k}"] = _quotient(
                sum(_dcg(gain) / ideal for gain, ideal in zip(gains, ideals, strict=True)),
                sum(_dcg(gain) / ideal for gain, ideal in zip(best, ideals, strict=True)),
            )
        figures |= _label_figures(true, ranked, hits, n_labels, k)
    return {name: 100 * value for name, value in figures.items()}


def _label_figures(
    true: Sequence[set[int]],
    ranked: Sequence[Sequence[int | None]],
    hits: Sequence[Mapping[int, int]],
    n_labels: int,
    k: int,
) -> dict[str, float]:
    precision, recall, f1 = [], [], []
    seen, covered = 0, 0
    for label in range(n_labels):
        right = sum(label in hit.values() for hit in hits)
        returned = sum(label in row[:k] for row in ranked)
        positive = sum(label in y for y in true)
        precision.append(_quotient(right, returned))
        recall.append(_quotient(right, positive))
        f1.append(_quotient(2 * right, returned + positive))
        seen += positive > 0
        covered += right > 0
    return {
        f"coverage@{k}": _quotient(covered, seen),
        f"macro-P@{k}": _mean(precision),
        f"macro-R@{k}": _mean(recall),
        f"macro-F1@{k}": _mean(f1),
    }


def _hits(y: set[int], row: Sequence[int | None], k: int) -> dict[int, int]:
    """Return place (from 1) -> label for the right labels among the first k, each at its first place."""
    found: dict[int, int] = {}
    for place, label in enumerate(row[:k], start=1):
        if label is not None and label in y and label not in found.values():
            found[place] = label
    return found


def _best_gains(y: set[int], k: int, weights: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(sorted((weights[label] for label in y), reverse=True)[:k], start=1))


def _dcg(gains: Mapping[int, float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in gains.items())


def _ideal(y: set[int], k: int) -> float:
    return sum(1 / math.log2(place + 1) for place in range(1, min(k, len(y)) + 1))


def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0


def _mean(values: Sequence[float]) -> float:
    return _quotient(sum(values), len(values))
