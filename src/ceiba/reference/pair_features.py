"""Pairs of rows and labels from rankings; a twin of the core's routines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ceiba.data.offsets import offsets
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.top import ranked_pairs


def union_of_rankings(rankings: Sequence[Ranked], n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the labels that any ranking has, ascending for each row."""
    rows: list[set[int]] = [set() for _ in range(n_rows)]
    for ranked in rankings:
        for row, label in zip(ranked.rows.tolist(), ranked.ids.tolist(), strict=True):
            rows[row].add(label)
    return offsets([len(row) for row in rows]), np.array([j for row in rows for j in sorted(row)], np.int32)


def look_up_pairs(
    rankings: Sequence[Ranked], ptr: NDArray[np.int64], labels: NDArray[np.int32], ranks: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each ranking says of given pairs: the score, and the value of `ranks` for the rank."""
    score = np.zeros((len(rankings), len(labels)), np.float32)
    rank = np.full((len(rankings), len(labels)), ranks[-1], np.float32)
    for number, ranked in enumerate(rankings):
        found = zip(ranked.rows.tolist(), ranked.ids.tolist(), ranked.scores, ranked.ranks.tolist(), strict=True)
        of_pair = {(row, label): (own, place) for row, label, own, place in found if place < len(ranks) - 1}
        for row in range(len(ptr) - 1):
            for pair in range(ptr[row], ptr[row + 1]):
                if (row, int(labels[pair])) in of_pair:
                    score[number, pair], place = of_pair[row, int(labels[pair])]
                    rank[number, pair] = ranks[place]
    return score, rank


def rank_pairs(
    ptr: NDArray[np.int64], labels: NDArray[np.int32], scores: NDArray[np.float32], n: int, least: float
) -> Ranked:
    """Return the n best labels of each row, of a score of `least` at least."""
    row = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    kept = scores >= np.float32(least)
    return ranked_pairs(len(ptr) - 1, row[kept], labels[kept], scores[kept], n)
