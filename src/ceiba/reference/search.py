"""Search by its definition: score every node, keep the best; a twin of `ceiba.retrieval.tree_search`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.layer import Layer
from ceiba.reference.weights import unpack
from ceiba.retrieval.ranked import Ranked

# Labels for all rows, or a list for each (offsets and labels).
Labels = NDArray[np.int32] | tuple[NDArray[np.int64], NDArray[np.int32]] | None
SCORED_ALL = 1000  # a row that may get no more labels has all of them scored


def _labels_of(labels: Any, row: int) -> set[int]:
    if isinstance(labels, tuple):
        return set(labels[1][labels[0][row] : labels[0][row + 1]].tolist())
    return set(labels.tolist())


def log_score(margin: NDArray, combine: str) -> NDArray:
    """Return the logarithm of the score of margins."""
    if combine == "sigmoid":
        return -np.logaddexp(0.0, -margin)
    power = {"l1-hinge": 1, "l2-hinge": 2, "l3-hinge": 3}[combine]
    return -(np.maximum(0.0, 1.0 - margin) ** power)


class Searcher:
    """Searches trees of trained layers; interface and results are those of `ceiba.retrieval.tree_search.TreeSearch`.

    Every node of every level is scored for every row first, in double precision.
    """

    def __init__(self, trees: Sequence[tuple[Sequence[Layer], NDArray[np.int32]]], n_labels: int, combine: str):
        self._trees = [([unpack(layer) for layer in layers], layers, slots) for layers, slots in trees]
        self._n_labels = n_labels
        self._logarithms = combine.startswith("log-")
        self._combine = combine.removeprefix("log-")

    def node_scores(self, X: FeatureMatrix, tree: int = 0) -> list[NDArray]:
        """Return, per level below the root, the logarithm of the path score of each node: (N, K_t)."""
        rows = X.to_scipy().astype(np.float64)
        weights, layers, _ = self._trees[tree]
        above = np.zeros((X.n_rows, 1))
        levels = []
        for (W, intercepts), layer in zip(weights, layers, strict=True):
            margin = (rows @ sp.csc_array(W).astype(np.float64)).toarray() + intercepts
            parent = np.repeat(np.arange(len(layer.child_ptr) - 1), np.diff(layer.child_ptr))
            above = above[:, parent] + log_score(margin, self._combine)
            levels.append(above)
        return levels

    def label_scores(self, X: FeatureMatrix, tree: int = 0) -> NDArray:
        """Return the logarithm of every label's score, that of its best slot: (N, L)."""
        slots = self._trees[tree][2]
        scores = np.full((X.n_rows, self._n_labels), -np.inf)
        bottom = self.node_scores(X, tree)[-1]
        for slot, label in enumerate(slots):
            scores[:, label] = np.maximum(scores[:, label], bottom[:, slot])
        return scores

    def top_k(
        self,
        X: FeatureMatrix,
        k: int | None,
        beam_size: int,
        *,
        filter: Labels = None,
        allowed: Labels = None,
    ) -> Ranked:
        """Return the k best labels of each row, or with k None all that the beam reaches.

        A label's score is the mean over the trees of its score in each, 0 where the tree's beam does not reach it.
        Nodes without a label below that a row may get are no part of the tree.
        """
        scores = [self.node_scores(X, tree) for tree in range(len(self._trees))]
        found = []
        for row in range(X.n_rows):
            wanted = set(range(self._n_labels)) if allowed is None else _labels_of(allowed, row)
            beam = self._n_slots() if allowed is not None and len(wanted) <= SCORED_ALL else beam_size
            may = wanted - (set() if filter is None else _labels_of(filter, row))
            trees = [self._labels(scores[t], t, row, beam, may) for t in range(len(self._trees))]
            found.append(_best(self._mean(trees), k))
        return self._ranked(found)

    def nodes(self, X: FeatureMatrix, depth: int, beam_size: int, *, tree: int = 0) -> Ranked:
        """Return the beam of nodes after `depth` levels of one tree."""
        scores = self.node_scores(X, tree)[:depth]
        return self._ranked([_best(self._reached(scores, tree, row, beam_size), beam_size) for row in range(X.n_rows)])

    def score_labels(self, X: FeatureMatrix, ptr: NDArray[np.int64], labels: NDArray[np.int32]) -> NDArray:
        """Return the score of given labels, in their order."""
        row = np.repeat(np.arange(X.n_rows), np.diff(ptr))
        trees = [self.label_scores(X, tree)[row, labels] for tree in range(len(self._trees))]
        mean = _log_mean(np.array(trees))
        return mean if self._logarithms else np.exp(mean)

    def _reached(
        self, scores: list[NDArray], tree: int, row: int, beam_size: int, may: set[int] | None = None
    ) -> dict[int, float]:
        """Return the nodes of the last level of `scores` whose parents are in the beam."""
        open_nodes = self._open_nodes(tree, may)
        beam = [0]
        reached: dict[int, float] = {}
        for t, (layer, level) in enumerate(zip(self._trees[tree][1], scores, strict=False)):
            ptr = layer.child_ptr
            reached = {c: float(level[row, c]) for p in beam for c in range(ptr[p], ptr[p + 1]) if open_nodes[t][c]}
            beam = [node for node, _ in _best(reached, beam_size)]
        return reached

    def _open_nodes(self, tree: int, may: set[int] | None) -> list[list[bool]]:
        """Return, per level, whether a node has a label below that is among `may`; None: all are."""
        _, layers, slots = self._trees[tree]
        levels = [[may is None or int(label) in may for label in slots]]
        for layer in reversed(layers[1:]):
            ptr = layer.child_ptr
            levels.append([any(levels[-1][ptr[p] : ptr[p + 1]]) for p in range(len(ptr) - 1)])
        return levels[::-1]

    def _n_slots(self) -> int:
        return max(len(slots) for _, _, slots in self._trees)

    def _labels(self, scores: list[NDArray], tree: int, row: int, beam_size: int, may: set[int]) -> dict[int, float]:
        best: dict[int, float] = {}
        for slot, score in self._reached(scores, tree, row, beam_size, may).items():
            label = int(self._trees[tree][2][slot])
            best[label] = max(best.get(label, -np.inf), score)
        return best

    @staticmethod
    def _mean(trees: list[dict[int, float]]) -> dict[int, float]:
        labels = sorted(set().union(*trees))
        scores = np.array([[tree.get(label, -np.inf) for label in labels] for tree in trees])
        return dict(zip(labels, _log_mean(scores).tolist(), strict=True))

    def _ranked(self, rows: list[list[tuple[int, float]]]) -> Ranked:
        ptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        ids = np.array([label for row in rows for label, _ in row], np.int32)
        scores: Any = np.array([score for row in rows for _, score in row], np.float64)
        return Ranked(ptr, ids, scores if self._logarithms else np.exp(scores))


def _log_mean(scores: NDArray) -> NDArray:
    """Return the logarithm of the mean over the first axis of scores given as logarithms."""
    return np.logaddexp.reduce(scores, axis=0, initial=-np.inf) - np.log(len(scores))


def inner_products(left: NDArray, right: NDArray, ptr: NDArray[np.int64], items: NDArray[np.int32]) -> NDArray:
    """Return the inner products of each row on the left with listed rows on the right, one after the other."""
    row = np.repeat(np.arange(len(left)), np.diff(ptr))
    return (left.astype(np.float64)[row] * right[items]).sum(axis=1)


def _best(scores: dict[int, float], k: int | None) -> list[tuple[int, float]]:
    """Return the k highest, best first, equal scores by lower number."""
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
