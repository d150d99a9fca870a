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
    rankings: Sequence[Ranked],
    ptr: NDArray[np.int64],
    labels: NDArray[np.int32],
    ranks: NDArray[np.float32],
    added: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each ranking says of given pairs: the score, at least 0, plus a constant; `ranks` at the rank."""
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
    return np.maximum(score, 0) + np.float32(added), rank


def join_features(
    score: NDArray[np.float32],
    rank: NDArray[np.float32],
    blocks: Sequence[NDArray[np.float32]],
    of_labels: NDArray[np.float32],
    labels: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Return the features of pairs: score and rank of each source in turn, the blocks, and those of the label."""
    of_sources = np.stack([score, rank], axis=1).reshape(2 * len(score), len(labels)).T
    return np.concatenate([of_sources, *blocks, of_labels[labels]], axis=1)


def rank_pairs(
    ptr: NDArray[np.int64], labels: NDArray[np.int32], scores: NDArray[np.float32], n: int, least: float
) -> Ranked:
    """Return the n best labels of each row, of a score of `least` at least."""
    row = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    kept = scores >= np.float32(least)
    return ranked_pairs(len(ptr) - 1, row[kept], labels[kept], scores[kept], n)


def pad_rankings(
    ptr: NDArray[np.int64], ids: NDArray[np.int32], scores: NDArray[np.float32], width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the first ids of each row and their scores as rectangles; short rows end in -1 and -inf."""
    n = len(ptr) - 1
    padded, values = np.full((n, width), -1, np.int32), np.full((n, width), -np.inf, np.float32)
    for row in range(n):
        first = slice(ptr[row], min(ptr[row + 1], ptr[row] + width))
        padded[row, : first.stop - first.start], values[row, : first.stop - first.start] = ids[first], scores[first]
    return padded, values
