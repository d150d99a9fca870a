"""Scores of a search blended with how near a text's embedding is to a label's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._progress import Report
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.searcher import Filter, Searcher

# The search's best labels whose cosines count. With 200 a text's first five were as good as with all (validation split
# of titles), with 64 a little worse. It is the same number for every k, so that scores do not depend on k.
N_CANDIDATES = 200
_CELLS = 2**24  # of the matrix of all cosines made at once
_ABOVE_0 = np.nextafter(np.float32(0), np.float32(1))
_ROWS = 4096  # searched at once, so that no more of what is reached is in memory


class FusedSearcher:
    """Ranks labels by a search's score and by the cosine between the embeddings of the text and of the label.

    A label's score is (s + weight x max(0, cosine)) / (1 + weight), where s is the search's score in (0, 1], or the
    logarithm of it where the search's scores are logarithms.

    Parameters
    ----------
    searcher : Searcher
    label_embeddings : ndarray of shape (L, d), float32
        Rows of length 1, or 0. The block "embedding" of a text's features is of length 1 too.
    weight : float
        What the cosine counts beside the search's score.
    everywhere : bool
        False: cosines count for the best `N_CANDIDATES` labels of the search. Further labels count with a cosine of 0,
        which leaves them below. True: cosines count for all labels, those that the search does not reach have a score
        of 0 there. It is for labels whose embeddings say more than their training texts. It takes L x d
        multiplications a row. Labels at 0 are none.

    Notes
    -----
    The k best labels are the first of any longer ranking, scores included. With k None a ranking has as many labels as
    the search reaches; with `everywhere` up to `N_CANDIDATES` more.

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
        X: FeatureMatrix,
        k: int,
        beam_size: int,
        *,
        filter: Filter | None = None,
        n_threads: int = 1,
        progress: Report | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the k best labels of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        ids, scores = np.full((X.n_rows, k), -1, np.int32), np.full((X.n_rows, k), -np.inf, np.float32)
        begin = 0
        for part in self._blocks(X, k, beam_size, filter, -np.inf, n_threads, progress):
            end = begin + len(part.ptr) - 1
            ids[begin:end], scores[begin:end] = part.padded(k)
            begin = end
        return ids, scores

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
        """Return the k best labels of each row, with k None as many as the notes say, of at least some score."""
        parts = [_NONE, *self._blocks(X, k, beam_size, filter, least, n_threads, progress)]
        sizes = np.concatenate([np.diff(part.ptr) for part in parts])
        ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Ranked(
            ptr, np.concatenate([part.ids for part in parts]), np.concatenate([part.scores for part in parts])
        )

    def nodes(self, X: FeatureMatrix, depth: int, beam_size: int, *, tree: int = 0, n_threads: int = 1) -> Ranked:
        """Return the beam of nodes, which have no texts: the search's own."""
        return self._searcher.nodes(X, depth, beam_size, tree=tree, n_threads=n_threads)

    def score_labels(
        self,
        X: FeatureMatrix,
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        tree: int | None = None,
        n_threads: int = 1,
    ) -> NDArray[np.float32]:
        """Return the score of given labels, in their order; with a number of a tree that in it, without cosines."""
        own = self._searcher.score_labels(X, ptr, labels, tree=tree, n_threads=n_threads)
        if tree is not None:
            return own
        return self._out(self._mix(self._plain(own), self.cosines(X, ptr, labels, n_threads)))

    def _blocks(
        self,
        X: FeatureMatrix,
        k: int | None,
        beam_size: int,
        filter: Filter | None,
        least: float,
        n_threads: int,
        progress: Report | None,
    ) -> Iterator[Ranked]:
        """Yield the rankings of blocks of rows, whose bounds do not depend on k where all cosines are multiplied."""
        rows = _ROWS
        if self._everywhere or k is None:
            rows = max(1, min(rows, _CELLS // len(self._labels)))
        for begin in range(0, X.n_rows, rows):
            end = min(begin + rows, X.n_rows)
            part, excluded = X.part(begin, end), filter
            if filter is not None:
                first, last = filter[0][begin], filter[0][end]
                excluded = filter[0][begin : end + 1] - first, filter[1][first:last]
            most = None if k is None or self._everywhere else max(k, N_CANDIDATES)
            reached = self._searcher.top_k(part, most, beam_size, filter=excluded, n_threads=n_threads)
            if self._everywhere:
                yield self._of_all(part, k, reached, excluded, least)
            else:
                yield self._of_reached(part, k, reached, least, n_threads)
            if progress is not None:
                progress(end)

    def _of_reached(self, X: FeatureMatrix, k: int | None, reached: Ranked, least: float, n_threads: int) -> Ranked:
        row, at = _entries(reached.ptr)
        place = at - reached.ptr[row]
        sizes = np.diff(reached.ptr)
        own = self._plain(reached.scores)
        if sizes.max(initial=0) <= N_CANDIDATES:
            mixed = self._mix(own, self.cosines(X, reached.ptr, reached.ids, n_threads))
            order = np.lexsort((reached.ids, -mixed, row))
        else:
            candidate = place < N_CANDIDATES
            ptr = np.concatenate([[0], np.cumsum(np.minimum(sizes, N_CANDIDATES))]).astype(np.int64)
            mixed = own / np.float32(1 + self.weight)  # of a cosine of 0
            mixed[candidate] = self._mix(own[candidate], self.cosines(X, ptr, reached.ids[candidate], n_threads))
            # Labels that are no candidates come in the search's order and after their equals, as with any other k.
            order = np.lexsort((np.where(candidate, reached.ids, place), ~candidate, -mixed, row))
        return self._cut(X.n_rows, row, place, reached.ids[order], mixed[order], k, least)

    def _of_all(self, X: FeatureMatrix, k: int | None, reached: Ranked, filter: Filter | None, least: float) -> Ranked:
        n_labels = len(self._labels)
        cosine = self._embeddings(X) @ self._labels.T
        row, _ = _entries(reached.ptr)
        of_reached = self._mix(self._plain(reached.scores), cosine[row, reached.ids])
        mixed = self._mix(np.float32(0), cosine)
        mixed[row, reached.ids] = of_reached
        if filter is not None:
            mixed[_entries(filter[0])[0], filter[1]] = 0
        numbers = np.diff(reached.ptr) + N_CANDIDATES if k is None else np.full(X.n_rows, k)
        limit = np.maximum(_below_kth(mixed, min(int(numbers.max()), n_labels)), _ABOVE_0)
        entry = np.flatnonzero(mixed >= limit)  # equals of the k-th, too: the lowest labels count
        row, label = np.divmod(entry, n_labels)
        value = mixed.ravel()[entry]
        order = np.lexsort((label, -value, row))
        place = np.arange(len(row)) - np.searchsorted(row, np.arange(X.n_rows))[row]
        return self._cut(X.n_rows, row, place, label[order].astype(np.int32), value[order], numbers[row], least)

    def _cut(
        self,
        n_rows: int,
        row: NDArray[np.intp],
        place: NDArray[np.int64],
        ids: NDArray[np.int32],
        mixed: NDArray[np.float32],
        k: Any,
        least: float,
    ) -> Ranked:
        """Return the first k of sorted entries that have a score of at least `least`; -inf is none."""
        scores = self._out(mixed)
        kept = (mixed > 0) & (scores >= least)
        if k is not None:
            kept &= place < k
        sizes = np.bincount(row[kept], minlength=n_rows)
        ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Ranked(ptr, ids[kept], scores[kept])

    def cosines(
        self, X: FeatureMatrix, ptr: NDArray[np.int64], labels: NDArray[np.int32], n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Return the cosine between each row and its labels."""
        embeddings = np.ascontiguousarray(self._embeddings(X))
        return core.inner_products(embeddings, self._labels, ptr, labels, n_threads)

    def _embeddings(self, X: FeatureMatrix) -> NDArray[np.float32]:
        return X.block(EMBEDDING)

    def _mix(self, own: Any, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        mixed = np.maximum(cosine, 0)
        mixed *= np.float32(self.weight)
        mixed += own
        mixed /= np.float32(1 + self.weight)
        return mixed

    def _plain(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.exp(scores) if self.logarithms else scores

    def _out(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.logarithms:
            return scores
        with np.errstate(divide="ignore"):
            return np.log(scores)


def _below_kth(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return, of each row, a value that at least k of its scores reach: (n, 1); not many more do."""
    n = scores.shape[1]
    groups = 16 * k
    if 4 * groups <= n:  # the k-th best of the groups' best ones is soon found
        width = n // groups
        scores, n = scores[:, : width * groups].reshape(len(scores), width, groups).max(axis=1), groups
    return np.partition(scores, n - k, axis=1)[:, n - k, None]


def _entries(ptr: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the row of each entry, and its place among all."""
    return np.repeat(np.arange(len(ptr) - 1), np.diff(ptr)), np.arange(ptr[-1])


_NONE = Ranked(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
