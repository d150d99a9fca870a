"""Scores of a search blended with how near a text's embedding is to a label's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._progress import Report
from ceiba.features.matrix import Features
from ceiba.search.searcher import Filter, Ranked, Searcher

# the search's best labels whose cosines count, where more are not asked for: with 200 of them alone a text's first five
# were as good as with all (validation split of titles), with 64 a little worse unless the labels left out count too
_REACHED, _BESIDE_ALL = 200, 64
_CELLS = 2**24  # of the matrix of all cosines made at once
_ROWS = 4096  # searched at once, so that no more of what is reached is in memory


class CosineSearcher:
    """Ranks labels by a search's score and by the cosine between the embeddings of the text and of the label.

    A label's score is (s + weight x max(0, cosine)) / (1 + weight), where s is the search's score in (0, 1], or the
    logarithm of it where the search's scores are logarithms.

    Parameters
    ----------
    searcher : Searcher
    label_embeddings : ndarray of shape (L, d), float32
        Rows of length 1, or 0; the last d features of a row are its embedding, of length 1 too.
    weight : float
        What the cosine counts beside the search's score.
    everywhere : bool
        Consider every label, those that the search does not reach with a score of 0: for labels whose embeddings say
        more than their training texts. It takes L x d multiplications a row; else only the labels reached are scored
        anew. Labels at 0 are none.

    References
    ----------
    - Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017: the mean of a class's
      embeddings as its classifier.
    - Dahiya et al., "SiameseXML: Siamese Networks meet Extreme Classifiers with 100M Labels", ICML 2021: embeddings of
      labels and classifiers side by side.
    """

    def __init__(
        self,
        searcher: Searcher,
        label_embeddings: NDArray[np.float32],
        weight: float,
        *,
        everywhere: bool,
    ):
        self._searcher, self._labels, self.weight = searcher, label_embeddings, weight
        self._everywhere, self.logarithms = everywhere, searcher.logarithms

    def rank(
        self,
        X: Features,
        k: int,
        beam_size: int,
        *,
        filter: Filter | None = None,
        n_threads: int = 1,
        progress: Report | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the k best labels of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        ids, scores = np.full((X.n_rows, k), -1, np.int32), np.full((X.n_rows, k), -np.inf, np.float32)
        for begin in range(0, X.n_rows, _ROWS):
            end = min(begin + _ROWS, X.n_rows)
            part, excluded = X.part(begin, end), filter
            if filter is not None:
                first, last = filter[0][begin], filter[0][end]
                excluded = filter[0][begin : end + 1] - first, filter[1][first:last]
            reached = self._searcher.top_k(part, self._asked(k), beam_size, filter=excluded, n_threads=n_threads)
            ids[begin:end], scores[begin:end] = self._best(part, k, reached, excluded, n_threads)
            if progress is not None:
                progress(end)
        return ids, scores

    def top_k(
        self,
        X: Features,
        k: int | None,
        beam_size: int,
        *,
        filter: Filter | None = None,
        n_threads: int = 1,
        progress: Report | None = None,
    ) -> Ranked:
        """Return the k best labels of each row, or with k None all that the beam reaches and the nearest ones."""
        most = None if k is None else self._asked(k)
        reached = self._searcher.top_k(X, most, beam_size, filter=filter, n_threads=n_threads, progress=progress)
        if k is None:
            k = int(np.diff(reached.ptr).max(initial=0)) + (_BESIDE_ALL if self._everywhere else 0)
        ids, scores = self._best(X, k, reached, filter, n_threads)
        found = ids >= 0
        ptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))]).astype(np.int64)
        return Ranked(ptr, ids[found], scores[found])

    def nodes(self, X: Features, depth: int, beam_size: int, *, tree: int = 0, n_threads: int = 1) -> Ranked:
        """Return the beam of nodes, which have no texts: the search's own."""
        return self._searcher.nodes(X, depth, beam_size, tree=tree, n_threads=n_threads)

    def score_labels(
        self, X: Features, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Return the score of given labels, in their order."""
        own = self._searcher.score_labels(X, ptr, labels, n_threads=n_threads)
        return self._out(self._mix(self._plain(own), self.cosines(X, ptr, labels, n_threads)))

    def _asked(self, k: int) -> int:
        """Return how many labels of the search count where k are asked for."""
        return max(2 * k, _BESIDE_ALL if self._everywhere else _REACHED)

    def _best(
        self,
        X: Features,
        k: int,
        reached: Ranked,
        filter: Filter | None,
        n_threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the k best labels of each row as (N, k) ids and scores, given what the search reached."""
        if self._everywhere:
            return self._of_all(X, k, reached, filter)
        return self._of_reached(X, k, reached, n_threads)

    def _of_reached(
        self, X: Features, k: int, reached: Ranked, n_threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        ids, scores = np.full((X.n_rows, k), -1, np.int32), np.full((X.n_rows, k), -np.inf, np.float32)
        row, at = _entries(reached.ptr, 0, X.n_rows)
        mixed = self._mix(self._plain(reached.scores), self.cosines(X, reached.ptr, reached.ids, n_threads))
        order = np.lexsort((reached.ids, -mixed, row))
        place = at - reached.ptr[row]
        kept = place < k
        row, place, order = row[kept], place[kept], order[kept]
        ids[row, place] = np.where(mixed[order] > 0, reached.ids[order], -1)
        scores[row, place] = np.where(mixed[order] > 0, self._out(mixed[order]), -np.inf)
        return ids, scores

    def _of_all(
        self, X: Features, k: int, reached: Ranked, filter: Filter | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        n_labels = len(self._labels)
        kept = min(k, n_labels)
        own, embeddings = self._plain(reached.scores), self._embeddings(X)
        ids, scores = np.full((X.n_rows, k), -1, np.int32), np.full((X.n_rows, k), -np.inf, np.float32)
        rows_at_once = max(1, _CELLS // n_labels)
        for begin in range(0, X.n_rows, rows_at_once):
            end = min(begin + rows_at_once, X.n_rows)
            cosine = embeddings[begin:end] @ self._labels.T
            mixed = self._mix(0.0, cosine)
            row, at = _entries(reached.ptr, begin, end)
            label = reached.ids[at]
            mixed[row, label] = self._mix(own[at], cosine[row, label])
            if filter is not None:
                row, at = _entries(filter[0], begin, end)
                mixed[row, filter[1][at]] = 0
            top = np.argpartition(-mixed, kept - 1, axis=1)[:, :kept]
            value = np.take_along_axis(mixed, top, axis=1)
            order = np.lexsort((top, -value), axis=1)
            top, value = np.take_along_axis(top, order, axis=1), np.take_along_axis(value, order, axis=1)
            ids[begin:end, :kept] = np.where(value > 0, top, -1)
            scores[begin:end, :kept] = np.where(value > 0, self._out(value), -np.inf)
        return ids, scores

    def cosines(
        self, X: Features, ptr: NDArray[np.int64], labels: NDArray[np.int32], n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Return the cosine between each row and its labels."""
        embeddings = np.ascontiguousarray(self._embeddings(X))
        return core.inner_products(embeddings, self._labels, ptr, labels, n_threads)

    def _embeddings(self, X: Features) -> NDArray[np.float32]:
        assert X.dense is not None  # a model that has label embeddings has the texts' beside the sparse features
        return X.dense[:, X.dense.shape[1] - self._labels.shape[1] :]

    def _mix(self, own: Any, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        return (own + np.float32(self.weight) * np.maximum(cosine, 0)) / np.float32(1 + self.weight)

    def _plain(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.exp(scores) if self.logarithms else scores

    def _out(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.logarithms:
            return scores
        with np.errstate(divide="ignore"):
            return np.log(scores)


def _entries(ptr: NDArray[np.int64], begin: int, end: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the stored entries of rows from begin up to end: the row of each, counted from begin, and its place."""
    return np.repeat(np.arange(end - begin), np.diff(ptr[begin : end + 1])), np.arange(ptr[begin], ptr[end])
