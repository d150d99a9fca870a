"""Features of pairs of text and label, made of what several sources say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.fusion.pair_measures import PairMeasure
from ceiba.retrieval.generator import CandidateGenerator, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked

_FLOOR = 1e-3  # added to scores before their logarithm, so that 0 has one


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Features of pairs.

    Attributes
    ----------
    sources : sequence of CandidateGenerator
        Each gives two features: the logarithms of its score and of its rank; where it did not find the label, those of
        a score of 0 and of the rank after the last.
    measures : sequence of PairMeasure
        What is measured of any pair, found or not.
    label_features : ndarray of shape (L, f), float32
        What is known of the label itself, such as the logarithm of its frequency.
    label_feature_names : tuple of f str
    n_candidates : int
        How many labels each source is asked for.
    depths : mapping of str to int
        How many labels some sources are asked for instead, by their name.
    """

    sources: Sequence[CandidateGenerator]
    measures: Sequence[PairMeasure]
    label_features: NDArray[np.float32]
    label_feature_names: tuple[str, ...]
    n_candidates: int
    depths: Mapping[str, int] = field(default_factory=dict)

    def depth(self, source: CandidateGenerator) -> int:
        """Return how many labels a source is asked for."""
        return self.depths.get(source.name, self.n_candidates)

    @property
    def names(self) -> list[str]:
        """The names of the features."""
        of_sources = [f"{source.name}: log {what}" for source in self.sources for what in ("score", "rank")]
        of_measures = [f"{each.name}: {what}" for each in self.measures for what in each.columns]
        return [*of_sources, *of_measures, *self.label_feature_names]

    def owners(self) -> list[str]:
        """Return, for each feature, the name of the source it is from, "label" for those of the label itself."""
        of_sources = [source.name for source in self.sources for _ in range(2)]
        of_measures = [each.name for each in self.measures for _ in each.columns]
        return [*of_sources, *of_measures, *("label" for _ in self.label_feature_names)]

    def found(self, Q: Queries, ctx: SearchContext) -> list[Ranked]:
        """Return what each source finds."""
        return [source.candidates(Q, self.depth(source), ctx=ctx) for source in self.sources]

    def union(self, found: Sequence[Ranked], n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the labels that any source found, ascending for each row."""
        return core.union_of_rankings([tuple(ranked) for ranked in found], n_rows, len(self.label_features))

    def features(
        self,
        Q: Queries,
        found: Sequence[Ranked],
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        ctx: SearchContext,
    ) -> NDArray[np.float32]:
        """Return the features of given pairs, whose labels ascend for each row.

        Returns
        -------
        ndarray of shape (P, F), float32
        """
        rankings = [tuple(ranked) for ranked in found]
        most = max((self.n_candidates, *self.depths.values()))
        ranks, n_labels = _log_ranks(most), len(self.label_features)
        score, log_rank = core.look_up_pairs(rankings, ptr, labels, ranks, _FLOOR, n_labels)
        log_score = np.log(score, out=score)
        by_name = {source.name: ranked for source, ranked in zip(self.sources, found, strict=True)}
        measured = [each.measure(Q, by_name, ptr, labels, ctx=ctx) for each in self.measures]
        return core.join_features(log_score, log_rank, measured, self.label_features, labels)


@lru_cache(maxsize=16)
def _log_ranks(n: int) -> NDArray[np.float32]:
    """Return log(1 + rank) for the ranks from 0 to n."""
    return np.log1p(np.arange(n + 1, dtype=np.float32))
