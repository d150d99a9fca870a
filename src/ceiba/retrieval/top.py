"""The best labels of each row: from scores to rankings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ceiba.data.offsets import offsets
from ceiba.retrieval.ranked import Ranked

_ROUNDING = 4e-6  # how far two ways to add up a cosine may differ


def ranked_dense(scores: NDArray[np.float32], n: int) -> Ranked:
    """Return the n best columns of each row, and those that rounding may have put below them."""
    n = min(n, scores.shape[1])
    limit = np.partition(scores, scores.shape[1] - n, axis=1)[:, scores.shape[1] - n, None]
    row, ids = np.nonzero(scores >= limit - _ROUNDING)
    return ranked_pairs(len(scores), row, ids, scores[row, ids])


def ranked_pairs(n_rows: int, row: NDArray, ids: NDArray, scores: NDArray, n: int | None = None) -> Ranked:
    """Return pairs of row and label as rankings of at most n labels."""
    order = np.lexsort((ids, -scores, row))
    row, ids, scores = row[order], ids[order], scores[order]
    if n is not None:
        sizes = np.bincount(row, minlength=n_rows)
        place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        row, ids, scores = row[place < n], ids[place < n], scores[place < n]
    ptr = offsets(np.bincount(row, minlength=n_rows))
    return Ranked(ptr, ids.astype(np.int32), scores.astype(np.float32))


def joined(parts: list[Ranked]) -> Ranked:
    """Return the rankings of several blocks of rows, one below the other."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.ptr) for part in parts)])
    return Ranked(
        offsets(sizes),
        np.concatenate([np.zeros(0, np.int32), *(part.ids for part in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
    )
