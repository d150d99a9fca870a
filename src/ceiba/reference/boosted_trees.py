"""Regression trees walked row by row; a twin of the core's `BoostedTrees`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def sum_trees(trees: Mapping[str, NDArray], features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sum of each row's leaves, in the order of the trees."""
    sums = np.zeros(len(features))
    for row, values in enumerate(features.astype(np.float64)):
        for tree, begin in enumerate(trees["node_ptr"][:-1]):
            child = -1 if trees["node_ptr"][tree + 1] == begin else 0
            while child >= 0:
                node = begin + child
                goes_left = values[trees["feature"][node]] <= trees["threshold"][node]
                child = trees["left" if goes_left else "right"][node]
            sums[row] += trees["leaf"][trees["leaf_ptr"][tree] - 1 - child]
    return sums
