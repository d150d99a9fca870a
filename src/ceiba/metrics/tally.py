"""One pass over the rows that gathers every sum the metrics are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ceiba.metrics.containers import IntArray, Pattern
from ceiba.metrics.ranking import CELLS, best_of_sparse, hits

Vector = npt.NDArray[np.float64]


@dataclass
class RowSums:
    """Sums over rows, one entry for each k of ``ks`` in the last axis.

    Written for a row i with the positives y_i, the weights w (inverse propensities), the discount
    d_j = 1 / log2(j + 1) of place j, and D_j = d_1 + ... + d_j, the DCG of j hits at the top.
    """

    ks: tuple[int, ...]
    n: Any  # rows: a number, or 1 for each of some rows
    n_with_positives: Any
    hits: Vector  # hits in the first k places
    recall: Vector  # hits in the first k places / |y_i|
    ndcg: Vector  # discounted hits in the first k places / D_min(k, |y_i|)
    gain: Vector  # w of the hits in the first k places
    best_gain: Vector  # the largest gain that any ranking reaches


@dataclass
class Tally(RowSums):
    """What every metric is made of; per label in the last axis where there are two."""

    discounted_gain: Vector  # discounted w of the hits in the first k places / D_min(k, |y_i|)
    best_discounted_gain: Vector  # the largest of those that any ranking reaches
    true_positives: IntArray  # (len(ks), L): rows where label l is a hit in the first k places
    returned: IntArray  # (len(ks), L): rows where label l stands in the first k places
    positives: IntArray  # (L,): rows where label l is a positive


@dataclass(frozen=True)
class RowBlock:
    """Some rows in turn, and what every metric of them is made of; one array of shape (rows,) for each k of ``ks``."""

    top: IntArray  # (rows, places): the labels of the ranking
    hit: npt.NDArray[np.bool_]  # (rows, places): which of them are positives
    counts: IntArray  # (rows,): |y_i|
    hits: list[Vector]  # hits in the first k places
    recall: list[Vector]  # hits in the first k places / |y_i|
    ndcg: list[Vector]  # discounted hits in the first k places / D_min(k, |y_i|)
    gain: Vector | None  # (rows, places): w of the hits; None without weights
    best_gain: Vector | None  # (rows, largest k): w of the positives, largest first

    def each_row(self, ks: Sequence[int], within: Sequence[int]) -> RowSums:
        """Return the sums of each row by itself, of shape (rows, ks), for the first `within` places of each k."""
        none = np.zeros((len(self.top), len(ks)))
        gains = [
            none if each is None else np.stack(first_sums(each, within), 1) for each in (self.gain, self.best_gain)
        ]
        return RowSums(
            ks=tuple(ks),
            n=np.ones((len(self.top), 1)),
            n_with_positives=(self.counts > 0)[:, None].astype(np.float64),
            hits=np.stack(self.hits, 1),
            recall=np.stack(self.recall, 1),
            ndcg=np.stack(self.ndcg, 1),
            gain=gains[0],
            best_gain=gains[1],
        )


def row_blocks(
    top: IntArray, positives: Pattern, ks: Sequence[int], discount: Vector, weights: Vector | None
) -> Iterator[RowBlock]:
    """Yield rankings (n, places) beside their positives, a bounded number of rows at a time."""
    ideal = ideal_sums(discount)
    step = max(1, CELLS // max(ks))
    for start in range(0, positives.n, step):
        block = top[start : start + step]
        offsets = positives.indptr[start : start + len(block) + 1]
        columns = positives.indices[offsets[0] : offsets[-1]]
        offsets = offsets - offsets[0]
        hit = hits(block, offsets, columns, positives.n_labels)
        counts = np.diff(offsets)
        right = first_sums(np.asarray(hit, dtype=np.float64), ks)
        dcg = first_sums(hit * discount[: hit.shape[1]], ks)
        gain = best = None
        if weights is not None:
            gain = np.zeros(block.shape)
            gain[hit] = weights[block[hit]]
            best = np.maximum(best_of_sparse(offsets, columns, weights[columns], max(ks))[1], 0.0)
        yield RowBlock(
            top=block,
            hit=hit,
            counts=counts,
            hits=right,
            recall=[each / np.maximum(counts, 1) for each in right],
            ndcg=[each / ideal[np.minimum(counts, k)] for each, k in zip(dcg, ks, strict=True)],
            gain=gain,
            best_gain=best,
        )


def places(ks: Sequence[int], n_labels: int, top: IntArray) -> list[int]:
    """Return each k, at most the places that can hold a label: those further down are empty."""
    most = max(1, n_labels, top.shape[1])
    return [min(k, most) for k in ks]


def discounts(ks: Sequence[int]) -> Vector:
    """Return d_1, ..., d_k for the largest k."""
    return 1 / np.log2(np.arange(2, max(ks) + 2))


def ideal_sums(discount: Vector) -> Vector:
    """Return D_0, D_1, ..., where D_0 is 1: rows without positives are divided by it."""
    return np.concatenate([[1.0], np.cumsum(discount)])


def tally(top: IntArray, positives: Pattern, ks: Sequence[int], weights: Vector | None = None) -> Tally:
    """Gather the sums for rankings (n, places) against positives; without weights the gains stay 0."""
    n, n_labels = positives.n, positives.n_labels
    asked = tuple(ks)
    ks = places(asked, n_labels, top)
    sums = {name: np.zeros(len(ks)) for name in ("hits", "recall", "ndcg", "gain", "best_gain")}
    sums |= {name: np.zeros(len(ks)) for name in ("discounted_gain", "best_discounted_gain")}
    true_positives = np.zeros((len(ks), n_labels), dtype=np.int64)
    returned = np.zeros_like(true_positives)
    discount = discounts(ks)
    ideal = ideal_sums(discount)
    for block in row_blocks(top, positives, ks, discount, weights):
        for name, values in (("hits", block.hits), ("recall", block.recall), ("ndcg", block.ndcg)):
            sums[name] += [each.sum() for each in values]
        if block.gain is not None and block.best_gain is not None:
            _add_gains(sums, block.gain, block.best_gain, block.counts, ks, discount, ideal)
        _add_labels(true_positives, returned, block.top, block.hit, ks)
    return Tally(
        ks=asked,
        n=n,
        n_with_positives=int(np.count_nonzero(np.diff(positives.indptr))),
        true_positives=np.cumsum(true_positives, axis=0),
        returned=np.cumsum(returned, axis=0),
        positives=np.bincount(positives.indices, minlength=n_labels),
        **sums,
    )


def _add_gains(
    sums: dict[str, Vector],
    gain: Vector,
    best: Vector,
    counts: IntArray,
    ks: Sequence[int],
    discount: Vector,
    ideal: Vector,
) -> None:
    for prefix, values in (("", gain), ("best_", best)):
        whole, discounted = first_sums(values, ks), first_sums(values * discount[: values.shape[1]], ks)
        for j, k in enumerate(ks):
            sums[f"{prefix}gain"][j] += whole[j].sum()
            sums[f"{prefix}discounted_gain"][j] += (discounted[j] / ideal[np.minimum(counts, k)]).sum()


def first_sums(values: Vector, ks: Sequence[int]) -> list[Vector]:
    """Return, for each k, the sum of each row's first k values.

    Added up place by place, so that empty places at the end change no bit of a figure.
    """
    running = np.cumsum(values, axis=1)
    return [running[:, min(k, values.shape[1]) - 1] for k in ks]


def _add_labels(
    true_positives: IntArray, returned: IntArray, top: IntArray, hit: npt.NDArray[np.bool_], ks: Sequence[int]
) -> None:
    # Each k adds only the places since the k before it; the caller sums them up.
    for j, (before, k) in enumerate(zip([0, *ks], ks, strict=False)):
        labels, right = top[:, before:k], hit[:, before:k]
        np.add.at(true_positives[j], labels[right], 1)
        np.add.at(returned[j], labels[labels >= 0], 1)
