"""The protocol of candidate generators: what finds labels for a row and scores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ceiba._progress import Report
from ceiba.io.registry import Component
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked

Pairs = tuple[NDArray[np.int64], NDArray[np.int32]]  # ascending labels of each row: offsets, and labels
LabelFilter = NDArray[np.int32] | Pairs  # labels for all rows, or those of each row


class SearchContext(NamedTuple):
    """What counts at prediction. A generator ignores what does not concern it, `allowed` and `denied` aside.

    Attributes
    ----------
    beam_size : int
        Nodes that a tree search keeps per level.
    combine : str
        How margins become scores and combine down a tree, see `XRLinear`. "log-" forms: scores are logarithms.
    n_threads : int
    denied : LabelFilter or None
        Labels that a row must not get.
    allowed : LabelFilter or None
        The only labels that a row may get; None allows all.
    least : float
        Labels of a lower score are left out.
    progress : callable or None
        Called now and then with the number of rows done.
    """

    beam_size: int = 10
    combine: str = "l3-hinge"
    n_threads: int = 1
    denied: LabelFilter | None = None
    allowed: LabelFilter | None = None
    least: float = -np.inf
    progress: Report | None = None

    @property
    def logarithms(self) -> bool:
        """Whether scores are logarithms."""
        return self.combine.startswith("log-")

    def part(self, begin: int, end: int) -> SearchContext:
        """Return the context of the rows from `begin` up to `end`; without `progress`, which counts all rows."""
        if self.denied is None and self.allowed is None and self.progress is None:
            return self
        denied, allowed = (part_of(labels, begin, end) for labels in (self.denied, self.allowed))
        return self._replace(denied=denied, allowed=allowed, progress=None)


def part_of(labels: LabelFilter | None, begin: int, end: int) -> LabelFilter | None:
    """Return the labels for the rows from `begin` up to `end`."""
    if not isinstance(labels, tuple):
        return labels
    ptr, ids = labels
    return ptr[begin : end + 1] - ptr[begin], ids[ptr[begin] : ptr[end]]


def single_pair(label: int) -> Pairs:
    """Return one label of one row, as `CandidateGenerator.score` takes pairs."""
    return np.array([0, 1], np.int64), np.array([label], np.int32)


@dataclass(frozen=True)
class Evidence:
    """Why a generator gave a label its score.

    Attributes
    ----------
    source : str
        The generator's name.
    score : float
    details : mapping
        What speaks for the label: each generator has its own.
    """

    source: str
    score: float
    details: Mapping[str, Any] = field(default_factory=dict)


class CandidateGenerator(Component, Protocol):
    """Finds labels for rows and scores them.

    A generator does not change after it is made, so any number of threads may use it at once. A class that derives from
    the protocol gets its `rank`.

    Attributes
    ----------
    name : str
        What the generator is called within its model.
    """

    name: str

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, or with n None all that the generator finds.

        Equal scores are in the order of the labels. The n best are the first of every longer ranking.
        """
        ...

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels of each row, in their order, whether or not they would be found."""
        ...

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return what speaks for a label; Q has one row."""
        ...

    def rank(self, Q: Queries, k: int, *, ctx: SearchContext) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the k best labels of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        return self.candidates(Q, k, ctx=ctx).padded(k)
