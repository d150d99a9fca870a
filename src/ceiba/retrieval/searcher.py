"""What a search is asked and what it answers, whatever a score is made of."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ceiba._progress import Report
from ceiba.features.matrix import FeatureMatrix
from ceiba.retrieval.ranked import Ranked

Filter = tuple[NDArray[np.int64], NDArray[np.int32]]  # per row, ascending labels it must not get: offsets and labels


class Searcher(Protocol):
    """Ranks labels for rows of features."""

    logarithms: bool  # whether scores are logarithms
    weight: float  # what cosines count beside the trees' scores; 0 where there are none

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
        ...

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
        """Return the k best labels of each row, or with k None all that the search reaches, of at least some score."""
        ...

    def nodes(self, X: FeatureMatrix, depth: int, beam_size: int, *, tree: int = 0, n_threads: int = 1) -> Ranked:
        """Return the beam of nodes after `depth` levels of one tree."""
        ...

    def score_labels(
        self,
        X: FeatureMatrix,
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        tree: int | None = None,
        n_threads: int = 1,
    ) -> NDArray[np.float32]:
        """Return the score of given labels, in their order, whatever a search would reach.

        With a number of a tree it is the score in that tree alone, without cosines.
        """
        ...

    def cosines(
        self, X: FeatureMatrix, ptr: NDArray[np.int64], labels: NDArray[np.int32], n_threads: int = 1
    ) -> NDArray[np.float32] | None:
        """Return the cosine between each row and its labels; None where cosines do not count."""
        ...
