"""Rows to be ranked, as every candidate generator takes them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from ceiba.features.matrix import FeatureMatrix

_Value = TypeVar("_Value")


class Queries:
    """Rows of features, and their texts where a model has them.

    Parameters
    ----------
    features : FeatureMatrix of n rows
        Sparse features and dense blocks such as embeddings.
    texts : sequence of n str, or None, default=None
    """

    __slots__ = ("_computed", "features", "texts")

    def __init__(self, features: FeatureMatrix, texts: Sequence[str] | None = None):
        self.features, self.texts = features, texts
        self._computed: dict[Hashable, object] = {}

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.features.n_rows

    def part(self, begin: int, end: int) -> Queries:
        """Return the rows from `begin` up to `end`; their features share the memory."""
        if begin == 0 and end == self.n_rows:
            return self
        return Queries(self.features.part(begin, end), None if self.texts is None else self.texts[begin:end])

    def once(self, key: Hashable, compute: Callable[[], _Value]) -> _Value:
        """Return what `compute` returned the first time for these rows: what several generators need of them.

        Parameters
        ----------
        key : hashable
            Names the value. It begins with a word of the module that computes it.
        compute : callable
        """
        found = self._computed.get(key)
        if found is None:
            found = self._computed[key] = compute()
        return found  # type: ignore[return-value]
