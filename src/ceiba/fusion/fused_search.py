"""Several sources of candidates, and the probability that a learned fusion gives each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import Interval
from ceiba.data.offsets import offsets, row_numbers
from ceiba.errors import CeibaError, ModelFormatError
from ceiba.fusion.pair_features import PairFeatures
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import Component, FolderWriter, LoadContext, component, load_component, save_component
from ceiba.io.sealed import LIST, OBJECT, STRING, Fields
from ceiba.retrieval.generator import CandidateGenerator, Evidence, LabelFilter, SearchContext, single_pair
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.top import joined

_ROWS = 512  # ranked at once
_FILE = "fusion.safetensors"
_SCORED_ALL = 1000  # a row that may get no more labels has all of them scored, as in a tree search
_LEAST = 1e-7  # a probability that has a finite logarithm on both sides
_FURTHEST = 20  # times as many candidates, at most, where filters leave few labels


class Fusion(Component, Protocol):
    """Turns features of pairs into probabilities. It does not change after it is made."""

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each pair."""
        ...

    def contributions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each feature adds to the logit of each pair."""
        ...


class Reranker(Component, Protocol):
    """Corrects the probabilities of a row's labels by its other labels. It does not change after it is made."""

    n_features: int

    def rerank(
        self,
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        features: NDArray[np.float32],
        first: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the probabilities of all pairs found for some rows, from the first probabilities."""
        ...


@component("fused", "generator")
class FusedSearch(CandidateGenerator):
    """Ranks what several sources find by the probability that a fusion gives it.

    Parameters
    ----------
    pairs : PairFeatures
    fusion : Fusion
        Fitted on the features of pairs.
    name : str, default="fused"
    reranker : Reranker or None, default=None
        Corrects the probabilities of all labels that the sources find without filters.

    Notes
    -----
    The candidates of a row are the union of what the sources find. Where rows may get up to 1,000 labels each, all of
    these are candidates, found or not. Otherwise filters that leave few labels make the sources look further.
    """

    kind: ClassVar[str]

    def __init__(self, pairs: PairFeatures, fusion: Fusion, *, name: str = "fused", reranker: Reranker | None = None):
        self.name, self._pairs, self._fusion, self._reranker = name, pairs, fusion, reranker

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n most probable labels of each row, with n None all candidates."""
        parts = []
        for begin in range(0, max(1, Q.n_rows), _ROWS):
            end = min(begin + _ROWS, Q.n_rows)
            parts.append(self._rank_block(Q.part(begin, end), n, ctx.part(begin, end)))
            if ctx.progress is not None:
                ctx.progress(end)
        return joined(parts)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the probabilities of given labels."""
        plain = _unfiltered(ctx)
        row = row_numbers(ptr)
        order = np.lexsort((labels, row))
        found = self._pairs.found(Q, plain)
        scores = np.empty(len(labels), np.float32)
        features = self._pairs.features(Q, found, ptr, labels[order], plain)
        scores[order] = self._probability(Q, found, ptr, labels[order], features, plain)
        return scores

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the probability, and for each source what it says and what that adds to the log-odds.

        The details are "sources", a list of (`Evidence`, rank or None, contribution), and "others", what else adds:
        measures of the pair, "label", the label's own features, and "row context", what the reranker adds.
        """
        plain = _unfiltered(ctx)
        ptr, labels = single_pair(label)
        found = self._pairs.found(Q, plain)
        features = self._pairs.features(Q, found, ptr, labels, plain)
        added: dict[str, float] = {}
        for owner, part in zip(self._pairs.owners(), self._fusion.contributions(features)[0].tolist(), strict=True):
            added[owner] = added.get(owner, 0.0) + part
        sources = []
        for source, ranked in zip(self._pairs.sources, found, strict=True):
            place = np.flatnonzero(ranked.ids == label)
            rank = int(place[0]) + 1 if len(place) else None
            sources.append((source.explain(Q, label, ctx=plain), rank, added.pop(source.name)))
        probability = float(self._fusion.probability(features)[0])
        if self._reranker is not None:
            first, probability = probability, float(self._probability(Q, found, ptr, labels, features, plain)[0])
            added["row context"] = _log_odds(probability) - _log_odds(first)
        return Evidence(self.name, probability, {"sources": sources, "others": added})

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the fusion; its sources are components of the model themselves."""
        pairs = self._pairs
        writer.tensors(_FILE, {"label_features": pairs.label_features})
        return {
            "name": self.name,
            "sources": [source.name for source in pairs.sources],
            "measures": [save_component(measure, writer) for measure in pairs.measures],
            "label_features": list(pairs.label_feature_names),
            "n_candidates": pairs.n_candidates,
            "depths": dict(pairs.depths),
            "fusion": save_component(self._fusion, writer),
            "reranker": None if self._reranker is None else save_component(self._reranker, writer),
        }

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> FusedSearch:
        """Read what `save` wrote."""
        arrays, n_labels = files.tensors(_FILE), len(context.part("labels", fields))
        names = tuple(str(name) for name in fields.get("label_features", LIST))
        own = arrays.get("label_features")
        if own is None or own.dtype != np.float32 or own.shape != (n_labels, len(names)) or not np.isfinite(own).all():
            raise ModelFormatError(f"{files.path(_FILE)} does not hold {len(names)} features of each label.")
        sources = [context.generator(str(name), fields) for name in fields.get("sources", LIST)]
        measures = [_measure(values, files, fields, context) for values in fields.get("measures", LIST)]
        n_candidates = fields.get("n_candidates", Interval(int, 1, None))
        pairs = PairFeatures(sources, measures, own, names, n_candidates, _depths(fields, sources, n_labels))
        fusion = load_component("fusion", files, fields.within("fusion"), context)
        try:
            fusion.probability(np.zeros((1, len(pairs.names)), np.float32))  # whether it knows as many features
        except CeibaError as error:
            raise ModelFormatError(f"{fields.path}: the fusion is not of the features of its sources.") from error
        reranker = None
        if fields.values.get("reranker") is not None:  # models of former versions have none
            reranker = load_component("reranker", files, fields.within("reranker"), context)
            if reranker.n_features != len(pairs.names):
                raise ModelFormatError(f"{fields.path}: the reranker is not of the features of the sources.")
        return cls(pairs, fusion, name=fields.get("name", STRING), reranker=reranker)

    def _rank_block(self, Q: Queries, n: int | None, ctx: SearchContext) -> Ranked:
        plain = _unfiltered(ctx)
        ptr, labels, found = self._candidates(Q, ctx, plain)
        features = self._pairs.features(Q, found, ptr, labels, plain)
        whole = ctx.allowed is None and ctx.denied is None
        probability = self._probability(Q, found, ptr, labels, features, plain, whole=whole)
        if ctx.denied is not None:
            row = row_numbers(ptr)
            kept = ~_among(row, labels, ctx.denied, len(self._pairs.label_features))
            ptr, labels = offsets(np.bincount(row[kept], minlength=Q.n_rows)), labels[kept]
            probability = probability[kept]
        most = len(labels) if n is None else n
        return Ranked(*core.rank_pairs(ptr, labels, probability, most, ctx.least))

    def _probability(
        self,
        Q: Queries,
        found: Sequence[Ranked],
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        features: NDArray[np.float32],
        plain: SearchContext,
        *,
        whole: bool = False,
    ) -> NDArray[np.float32]:
        """Return the probabilities of pairs by their features; with `whole` these are all that the sources found."""
        first = self._fusion.probability(features)
        if self._reranker is None:
            return first
        if whole:
            return self._reranker.rerank(ptr, labels, features, first)
        all_ptr, all_labels = self._pairs.union(found, Q.n_rows)
        others = self._pairs.features(Q, found, all_ptr, all_labels, plain)
        corrected = self._reranker.rerank(all_ptr, all_labels, others, self._fusion.probability(others))
        if not len(corrected):
            return first
        n_labels = len(self._pairs.label_features)
        known, asked = (row_numbers(of) * n_labels + own for of, own in ((all_ptr, all_labels), (ptr, labels)))
        at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.where(known[at] == asked, corrected[at], first)

    def _candidates(
        self, Q: Queries, ctx: SearchContext, plain: SearchContext
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], Sequence[Ranked]]:
        """Return the labels to rank of each row, and what the sources find without filters."""
        pairs, n_labels = self._pairs, len(self._pairs.label_features)
        if ctx.allowed is not None and _most(ctx.allowed) <= _SCORED_ALL:
            return *_allowed(ctx.allowed, Q.n_rows), pairs.found(Q, plain)
        n_left = n_labels if ctx.allowed is None else _most(ctx.allowed)
        n_left -= 0 if ctx.denied is None else _most(ctx.denied)
        if n_left > n_labels / 2:
            found = pairs.found(Q, plain)
            further: Sequence[Ranked] = found
        else:
            times = min(_FURTHEST, n_labels // max(1, n_left))
            depths = [pairs.depth(source) for source in pairs.sources]
            further = [
                source.candidates(Q, min(depth * times, n_labels), ctx=plain)
                for source, depth in zip(pairs.sources, depths, strict=True)
            ]
            found = [_first(ranked, depth) for ranked, depth in zip(further, depths, strict=True)]
        if isinstance(ctx.allowed, tuple):
            further = [*further, _short_rows(*ctx.allowed)]
        ptr, labels = pairs.union(further, Q.n_rows)
        if ctx.allowed is not None:
            row = row_numbers(ptr)
            kept = _among(row, labels, ctx.allowed, n_labels)
            ptr, labels = offsets(np.bincount(row[kept], minlength=Q.n_rows)), labels[kept]
        return ptr, labels, found


def _log_odds(probability: float) -> float:
    kept = min(max(probability, _LEAST), 1 - _LEAST)
    return float(np.log(kept / (1 - kept)))


def _first(ranked: Ranked, n: int) -> Ranked:
    """Return the n best of each row."""
    kept = ranked.ranks < n
    sizes = np.bincount(ranked.rows[kept], minlength=len(ranked.ptr) - 1)
    return Ranked(offsets(sizes), ranked.ids[kept], ranked.scores[kept])


def _short_rows(ptr: NDArray[np.int64], labels: NDArray[np.int32]) -> Ranked:
    """Return the labels of those rows that have few."""
    sizes = np.diff(ptr)
    short = sizes <= _SCORED_ALL
    own = labels[np.repeat(short, sizes)]
    return Ranked(offsets(np.where(short, sizes, 0)), own, np.zeros(len(own), np.float32))


def _most(labels_of: LabelFilter) -> int:
    """Return how many labels a filter has, of the row that has most."""
    if not isinstance(labels_of, tuple):
        return len(labels_of)
    return int(np.diff(labels_of[0]).max(initial=0))


def _depths(fields: Fields, sources: Sequence[CandidateGenerator], n_labels: int) -> dict[str, int]:
    """Read how many labels some sources are asked for; models of former versions do not say."""
    if "depths" not in fields.values:
        return {}
    depths, names = fields.within("depths"), {source.name for source in sources}
    for name in depths.values:
        if name not in names:
            raise ModelFormatError(f"{fields.path}: 'depths' names {name!r}, which is not one of the sources.")
    return {name: depths.get(name, Interval(int, 1, n_labels)) for name in depths.values}


def _measure(values: Any, files: FolderFiles, fields: Fields, context: LoadContext) -> Any:
    if not OBJECT.accepts(values):
        raise ModelFormatError(f"{fields.path}: an entry of 'measures' is not an object.")
    return load_component("measure", files, Fields(values, fields.path), context)


def _unfiltered(ctx: SearchContext) -> SearchContext:
    """Return the context for sources: what they find, and so the features, does not depend on filters."""
    if ctx.allowed is None and ctx.denied is None and ctx.least == -np.inf and ctx.progress is None:
        return ctx
    return ctx._replace(allowed=None, denied=None, least=-np.inf, progress=None)


def _allowed(labels_of: LabelFilter, n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the allowed labels of each row, ascending."""
    if not isinstance(labels_of, tuple):
        labels = np.unique(labels_of).astype(np.int32)
        return np.arange(n_rows + 1, dtype=np.int64) * len(labels), np.tile(labels, n_rows)
    ptr, labels = labels_of
    row = row_numbers(ptr)
    return ptr, labels[np.lexsort((labels, row))]


def _among(row: NDArray, labels: NDArray, labels_of: LabelFilter, n_labels: int) -> NDArray[np.bool_]:
    if not isinstance(labels_of, tuple):
        return np.isin(labels, labels_of)
    ptr, others = labels_of
    keys = row_numbers(ptr) * n_labels + others
    return np.isin(row * n_labels + labels, keys)
