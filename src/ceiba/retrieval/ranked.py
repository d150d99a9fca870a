"""Ranked labels of several rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.data.offsets import row_numbers


class Ranked(NamedTuple):
    """Labels (or nodes) of each row, best first, as CSR-like arrays."""

    ptr: NDArray[np.int64]
    ids: NDArray[np.int32]
    scores: NDArray[np.float32]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of each label."""
        return row_numbers(self.ptr)

    @property
    def ranks(self) -> NDArray[np.int64]:
        """The rank of each label within its row, from 0."""
        return np.arange(len(self.ids)) - np.repeat(self.ptr[:-1], np.diff(self.ptr))

    def padded(self, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the first k of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        return core.pad_rankings(self.ptr, self.ids, self.scores, k)
