"""Rows to be ranked, as every candidate generator takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ceiba.features.matrix import FeatureMatrix


class Queries(NamedTuple):
    """Rows of features, and their texts where a model has them.

    Attributes
    ----------
    features : FeatureMatrix of n rows
        Sparse features and dense blocks such as embeddings.
    texts : sequence of n str, or None
    """

    features: FeatureMatrix
    texts: Sequence[str] | None = None

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.features.n_rows

    def part(self, begin: int, end: int) -> Queries:
        """Return the rows from `begin` up to `end`; their features share the memory."""
        return Queries(self.features.part(begin, end), None if self.texts is None else self.texts[begin:end])
