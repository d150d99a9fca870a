"""Ranked labels of several rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Ranked(NamedTuple):
    """Labels (or nodes) of each row, best first, as CSR-like arrays."""

    ptr: NDArray[np.int64]
    ids: NDArray[np.int32]
    scores: NDArray[np.float32]

    def padded(self, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the first k of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        n = len(self.ptr) - 1
        ids, scores = np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)
        row = np.repeat(np.arange(n), np.diff(self.ptr))
        place = np.arange(len(self.ids)) - self.ptr[row]
        kept = place < k
        ids[row[kept], place[kept]], scores[row[kept], place[kept]] = self.ids[kept], self.scores[kept]
        return ids, scores
