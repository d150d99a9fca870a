"""Votes counted one by one; a twin of `ceiba.retrieval.neighbor_votes`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ceiba.retrieval.ranked import Ranked


def count_votes(neighbors: Ranked, Y: Any, power: float) -> list[dict[int, np.float32]]:
    """Return the score of each label that has a vote, for each query."""
    counts = []
    for begin, end in zip(neighbors.ptr[:-1], neighbors.ptr[1:], strict=True):
        found = [
            (r, float(s)) for r, s in zip(neighbors.ids[begin:end], neighbors.scores[begin:end], strict=True) if s > 0
        ]
        best = max((score for _, score in found), default=1.0)
        votes: dict[int, float] = {}
        total = 0.0
        for row, score in found:
            weight = (score / best) ** power
            total += weight
            for label in Y.indices[Y.indptr[row] : Y.indptr[row + 1]].tolist():
                votes[label] = votes.get(label, 0.0) + weight
        counts.append({label: np.float32(own / total) for label, own in votes.items()})
    return counts


def rank_votes(neighbors: Ranked, Y: Any, power: float, n: int) -> Ranked:
    """Return the n labels of the most votes of each query."""
    ptr: list[int] = [0]
    ids: list[int] = []
    scores: list[np.float32] = []
    for votes in count_votes(neighbors, Y, power):
        best = sorted((label for label in votes if votes[label] > 0), key=lambda label: (-votes[label], label))[:n]
        ptr.append(ptr[-1] + len(best))
        ids.extend(best)
        scores.extend(votes[label] for label in best)
    return Ranked(np.array(ptr, np.int64), np.array(ids, np.int32), np.array(scores, np.float32))
