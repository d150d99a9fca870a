"""Features of pairs of text and label, made of what several sources say about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ceiba.data.offsets import row_numbers
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
    """

    sources: Sequence[CandidateGenerator]
    measures: Sequence[PairMeasure]
    label_features: NDArray[np.float32]
    label_feature_names: tuple[str, ...]
    n_candidates: int

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
        return [source.candidates(Q, self.n_candidates, ctx=ctx) for source in self.sources]

    def union(self, found: Sequence[Ranked], n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the labels that any source found, ascending for each row."""
        n_labels = len(self.label_features)
        keys = np.unique(np.concatenate([np.zeros(0, np.int64), *(_keys(ranked, n_labels) for ranked in found)]))
        ptr = np.searchsorted(keys, np.arange(n_rows + 1) * n_labels).astype(np.int64)
        return ptr, (keys % n_labels).astype(np.int32)

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
        n_labels = len(self.label_features)
        keys = row_numbers(ptr) * n_labels + labels
        columns: list[NDArray] = []
        for ranked in found:
            score, rank = np.zeros(len(keys), np.float32), np.full(len(keys), self.n_candidates, np.float32)
            own = _keys(ranked, n_labels)
            at = np.minimum(np.searchsorted(keys, own), max(0, len(keys) - 1))
            hit = keys[at] == own if len(keys) else np.zeros(len(own), bool)
            score[at[hit]], rank[at[hit]] = ranked.scores[hit], ranked.ranks[hit]
            columns += [np.log(np.maximum(score, 0) + np.float32(_FLOOR)), np.log1p(rank)]
        by_name = {source.name: ranked for source, ranked in zip(self.sources, found, strict=True)}
        measured = [each.measure(Q, by_name, ptr, labels, ctx=ctx) for each in self.measures]
        return np.column_stack([*columns, *measured, self.label_features[labels]]).astype(np.float32)


def _keys(ranked: Ranked, n_labels: int) -> NDArray[np.int64]:
    return ranked.rows * n_labels + ranked.ids
