"""Lists of several rows, one after the other, and the offsets where each row begins and ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def offsets(sizes: ArrayLike) -> NDArray[np.int64]:
    """Return where lists of these sizes begin and end: (n + 1,), from 0."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def row_numbers(ptr: NDArray) -> NDArray[np.int64]:
    """Return the row of each entry of lists with these offsets."""
    return np.repeat(np.arange(len(ptr) - 1, dtype=np.int64), np.diff(ptr))


def ranges(begins: NDArray, sizes: NDArray) -> NDArray[np.int64]:
    """Return the numbers from each begin on, as many as its size, one range after the other."""
    ends = np.cumsum(sizes)
    return np.repeat(begins - (ends - sizes), sizes) + np.arange(ends[-1] if len(ends) else 0)
