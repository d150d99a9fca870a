"""Scores of a generator fused with how near a text's embedding is to a label's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import Flag, Interval
from ceiba.data.offsets import offsets, row_numbers
from ceiba.features.matrix import EMBEDDING
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.dense_labels import read_dense
from ceiba.retrieval.generator import CandidateGenerator, Evidence, LabelFilter, SearchContext, single_pair
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.top import joined

# The best labels of the source whose cosines count. With 200 a text's first five were as good as with all (validation
# split of titles), with 64 a little worse. It is the same number for every k, so that scores do not depend on k.
N_CANDIDATES = 200
_CELLS = 2**24  # of the matrix of all cosines made at once
_ABOVE_0 = np.nextafter(np.float32(0), np.float32(1))
_ROWS = 4096  # searched at once, so that no more of what is reached is in memory


@component("score-fusion", "generator")
class ScoreFusion(CandidateGenerator):
    """Ranks labels by another generator's score and by the cosine between the embeddings of the text and of the label.

    A label's score is (s + weight x max(0, cosine)) / (1 + weight), where s is the source's score in (0, 1]. Where
    scores are logarithms, it is the logarithm of that.

    Parameters
    ----------
    source : CandidateGenerator
    label_embeddings : ndarray of shape (L, d), float32
        Rows of length 1, or 0. The block "embedding" of a text's features is of length 1 too.
    weight : float
        What the cosine counts beside the source's score.
    exhaustive : bool
        False: cosines count for the best `N_CANDIDATES` labels of the source. Further labels get a cosine of 0,
        so they rank below. True: cosines count for all labels, those that the source does not reach have a score
        of 0 there. Use it for labels whose embeddings say more than their training texts. It takes L x d
        multiplications a row. Labels with a fused score of 0 are left out.
    name : str, default="score_fusion"

    Notes
    -----
    The k best labels are the first of any longer ranking, scores included. With n None a ranking has as many labels as
    the source reaches; with `exhaustive` up to `N_CANDIDATES` more.

    References
    ----------
    - Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017: the mean of a class's
      embeddings as its classifier.
    - Dahiya et al., "SiameseXML: Siamese Networks meet Extreme Classifiers with 100M Labels", ICML 2021: embeddings of
      labels and classifiers side by side.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        source: CandidateGenerator,
        label_embeddings: NDArray[np.float32],
        weight: float,
        *,
        exhaustive: bool,
        name: str = "score_fusion",
    ):
        self.source, self.label_embeddings, self.weight = source, label_embeddings, weight
        self.exhaustive, self.name = exhaustive, name

    def rank(self, Q: Queries, k: int, *, ctx: SearchContext) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the k best labels of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        ids, scores = np.full((Q.n_rows, k), -1, np.int32), np.full((Q.n_rows, k), -np.inf, np.float32)
        begin = 0
        for part in self._blocks(Q, k, ctx):
            end = begin + len(part.ptr) - 1
            ids[begin:end], scores[begin:end] = part.padded(k)
            begin = end
        return ids, scores

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None as many as the notes say."""
        return joined(list(self._blocks(Q, n, ctx)))

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels, in their order."""
        own = _plain(self.source.score(Q, ptr, labels, ctx=ctx), ctx)
        return _out(self._fuse(own, self.cosines(Q, ptr, labels, ctx.n_threads)), ctx)

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the details "cosine" and "cosine_weight"."""
        pair = single_pair(label)
        cosine, score = self.cosines(Q, *pair)[0], self.score(Q, *pair, ctx=ctx)[0]
        return Evidence(self.name, float(score), {"cosine": float(cosine), "cosine_weight": self.weight})

    def cosines(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Return the cosine between each row and its labels."""
        embeddings = np.ascontiguousarray(Q.features.block(EMBEDDING))
        return core.inner_products(embeddings, self.label_embeddings, ptr, labels, n_threads)

    def _blocks(self, Q: Queries, k: int | None, ctx: SearchContext) -> Iterator[Ranked]:
        """Yield the rankings of blocks of rows, whose bounds do not depend on k where all cosines are computed."""
        rows = _ROWS
        if self.exhaustive or k is None:
            rows = max(1, min(rows, _CELLS // len(self.label_embeddings)))
        n = None if k is None or self.exhaustive else max(k, N_CANDIDATES)
        for begin in range(0, Q.n_rows, rows):
            end = min(begin + rows, Q.n_rows)
            part, own = Q.part(begin, end), ctx.part(begin, end)._replace(least=-np.inf)
            reached = self.source.candidates(part, n, ctx=own)
            yield (
                self._rank_all(part, k, reached, ctx.least, own)
                if self.exhaustive
                else self._rank_reached(part, k, reached, ctx.least, own)
            )
            if ctx.progress is not None:
                ctx.progress(end)

    def _rank_reached(self, Q: Queries, k: int | None, reached: Ranked, least: float, ctx: SearchContext) -> Ranked:
        row, place = reached.rows, reached.ranks
        sizes = np.diff(reached.ptr)
        own = _plain(reached.scores, ctx)
        if sizes.max(initial=0) <= N_CANDIDATES:
            fused = self._fuse(own, self.cosines(Q, reached.ptr, reached.ids, ctx.n_threads))
            order = np.lexsort((reached.ids, -fused, row))
        else:
            candidate = place < N_CANDIDATES
            ptr = offsets(np.minimum(sizes, N_CANDIDATES))
            fused = own / np.float32(1 + self.weight)  # of a cosine of 0
            fused[candidate] = self._fuse(own[candidate], self.cosines(Q, ptr, reached.ids[candidate], ctx.n_threads))
            # Labels that are no candidates come in the source's order and after their equals, as with any other k.
            order = np.lexsort((np.where(candidate, reached.ids, place), ~candidate, -fused, row))
        return _cut(Q.n_rows, row, place, reached.ids[order], fused[order], k, least, ctx)

    def _rank_all(self, Q: Queries, k: int | None, reached: Ranked, least: float, ctx: SearchContext) -> Ranked:
        n_labels = len(self.label_embeddings)
        cosine = Q.features.block(EMBEDDING) @ self.label_embeddings.T
        row = reached.rows
        of_reached = self._fuse(_plain(reached.scores, ctx), cosine[row, reached.ids])
        fused = self._fuse(np.float32(0), cosine)
        fused[row, reached.ids] = of_reached
        if ctx.allowed is not None:
            allowed = np.zeros(fused.shape, bool)
            allowed[_places(ctx.allowed)] = True
            fused[~allowed] = 0
        if ctx.denied is not None:
            fused[_places(ctx.denied)] = 0
        numbers = np.diff(reached.ptr) + N_CANDIDATES if k is None else np.full(Q.n_rows, k)
        limit = np.maximum(_below_kth(fused, min(int(numbers.max()), n_labels)), _ABOVE_0)
        entry = np.flatnonzero(fused >= limit)  # equals of the k-th, too: the lowest labels count
        row, label = np.divmod(entry, n_labels)
        value = fused.ravel()[entry]
        order = np.lexsort((label, -value, row))
        place = np.arange(len(row)) - np.searchsorted(row, np.arange(Q.n_rows))[row]
        return _cut(Q.n_rows, row, place, label[order].astype(np.int32), value[order], numbers[row], least, ctx)

    def _fuse(self, own: Any, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        fused = np.maximum(cosine, 0)
        fused *= np.float32(self.weight)
        fused += own
        fused /= np.float32(1 + self.weight)
        return fused

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the embeddings of labels; the source is saved by its model."""
        writer.tensors(f"{self.name}.safetensors", {"embeddings": self.label_embeddings})
        return {"name": self.name, "source": self.source.name, "weight": self.weight, "exhaustive": self.exhaustive}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> ScoreFusion:
        """Read what `save` wrote."""
        name, source = fields.get("name", STRING), context.generator(fields.get("source", STRING), fields)
        shape = len(context.part("labels", fields)), context.part("queries", fields).dims.get(EMBEDDING, 0)
        embeddings = read_dense(files, f"{name}.safetensors", shape, array="embeddings")
        weight = float(fields.get("weight", Interval(float, 0, None)))
        return cls(source, embeddings, weight, exhaustive=bool(fields.get("exhaustive", Flag())), name=name)


def _plain(scores: NDArray[np.float32], ctx: SearchContext) -> NDArray[np.float32]:
    return np.exp(scores) if ctx.logarithms else scores


def _out(scores: NDArray[np.float32], ctx: SearchContext) -> NDArray[np.float32]:
    if not ctx.logarithms:
        return scores
    with np.errstate(divide="ignore"):
        return np.log(scores)


def _cut(
    n_rows: int,
    row: NDArray[np.intp],
    place: NDArray[np.int64],
    ids: NDArray[np.int32],
    fused: NDArray[np.float32],
    k: Any,
    least: float,
    ctx: SearchContext,
) -> Ranked:
    """Return the first k of sorted entries that have a score of at least `least`; -inf is none."""
    scores = _out(fused, ctx)
    kept = (fused > 0) & (scores >= least)
    if k is not None:
        kept &= place < k
    return Ranked(offsets(np.bincount(row[kept], minlength=n_rows)), ids[kept], scores[kept])


def _below_kth(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return, of each row, a value that at least k of its scores reach: (n, 1); not many more do."""
    n = scores.shape[1]
    groups = 16 * k
    if 4 * groups <= n:  # the k-th best of the groups' best ones is soon found
        width = n // groups
        scores, n = scores[:, : width * groups].reshape(len(scores), width, groups).max(axis=1), groups
    return np.partition(scores, n - k, axis=1)[:, n - k, None]


def _places(labels: LabelFilter) -> tuple[Any, NDArray[np.int32]]:
    """Return the index of labels in a matrix of all rows and labels."""
    return (row_numbers(labels[0]), labels[1]) if isinstance(labels, tuple) else (slice(None), labels)
