"""Beam search through one tree or several: from features to ranked labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._progress import Report
from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.layer import Layer
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.searcher import Filter

# A node's score from its margin m; "log-" forms return logarithms. The number is the core's.
COMBINE = {"l1-hinge": 0, "l2-hinge": 1, "l3-hinge": 2, "sigmoid": 3}
COMBINE_NAMES = (*COMBINE, *(f"log-{name}" for name in COMBINE))

ALL_NODES = 2**31 - 1  # a beam wider than any level: search is exhaustive


class TreeSearcher:
    """Searches trees of trained layers.

    Parameters
    ----------
    trees : sequence of (layers, slot_label)
        Per tree its layers from the root down and the label at each slot of the bottom.
    n_labels : int
        L.
    combine : str
        How a margin becomes a score and scores combine down the tree, see `XRLinear`.

    Raises
    ------
    ValueError
        When an array of a layer is inconsistent; the message says which.

    Notes
    -----
    Chunk by chunk for a batch (each chunk is visited once per block of rows) and row by row for a few rows; both give
    the same result bit for bit. Scores are kept as logarithms, in which all the combine functions are sums of terms
    that are at most 0. A node below the k-th best score found so far can then be left out, children and all, without
    changing the result.

    With several trees a label's score is the mean over all trees, 0 for one whose beam does not reach it.
    The k best labels are the first of any longer ranking, scores included.
    """

    weight = 0.0  # no cosines count

    def __init__(self, trees: Sequence[tuple[Sequence[Layer], NDArray[np.int32]]], n_labels: int, combine: str):
        self._core = core.Searcher(
            [
                {
                    "features": layers[0].n_features,
                    "layers": [layer.for_core() for layer in layers],
                    "slot_label": slot_label,
                }
                for layers, slot_label in trees
            ],
            n_labels,
        )
        self.logarithms = combine.startswith("log-")
        self._combine = COMBINE[combine.removeprefix("log-")]

    def top_k(
        self,
        X: FeatureMatrix,
        k: int | None,
        beam_size: int,
        *,
        filter: Filter | None = None,
        least: float = -np.inf,
        n_threads: int = 1,
        progress: Report | None = None,
    ) -> Ranked:
        """Return the k best labels of each row, or with k None all that the beam reaches, of at least some score."""
        options = beam_size, k or 0, self._combine, filter, n_threads, progress, self.logarithms, least
        return Ranked(*self._core.top_k(*X.arrays(), *options)[:3])

    def rank(
        self,
        X: FeatureMatrix,
        k: int,
        beam_size: int,
        *,
        filter: Filter | None = None,
        n_threads: int = 1,
        progress: Report | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the k best labels of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        options = beam_size, k, self._combine, filter, n_threads, progress, self.logarithms
        return self._core.rank(*X.arrays(), *options)

    def work(self, X: FeatureMatrix, k: int, beam_size: int) -> dict[str, int]:
        """Count what `top_k` does: chunks visited, features looked up, those found, and weights added."""
        return self._core.top_k(*X.arrays(), beam_size, k, self._combine)[3]

    def nodes(self, X: FeatureMatrix, depth: int, beam_size: int, *, tree: int = 0, n_threads: int = 1) -> Ranked:
        """Return the beam of nodes after `depth` levels of one tree."""
        return Ranked(
            *self._core.beam_nodes(tree, depth, *X.arrays(), beam_size, self._combine, n_threads, self.logarithms)
        )

    def score_labels(
        self,
        X: FeatureMatrix,
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        tree: int | None = None,
        n_threads: int = 1,
    ) -> NDArray[np.float32]:
        """Return the score of given labels, in their order, whatever a beam would reach: in one tree, or the mean."""
        which = -1 if tree is None else tree
        return self._core.score_labels(which, *X.arrays(), ptr, labels, self._combine, n_threads, self.logarithms)

    def cosines(self, X: FeatureMatrix, ptr: NDArray[np.int64], labels: NDArray[np.int32], n_threads: int = 1) -> None:
        """Return None: no cosines count."""
