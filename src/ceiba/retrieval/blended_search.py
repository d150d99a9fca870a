"""A generator that adds up the scores of several others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import Interval
from ceiba.errors import ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import LIST, STRING, Fields
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked

_WEIGHT = Interval(float, 0, 1e6)


@component("blended", "generator")
class BlendedSearch(CandidateGenerator):
    """Ranks the best labels of several generators by the weighted sum of their scores.

    A label that two generators rank in the middle can rank above labels that only one of them finds.

    Parameters
    ----------
    parts : sequence of CandidateGenerator
        They are parts of the model themselves.
    weights : sequence of float
        The weight of each part's score.
    n_labels : int
    depth : int
        The fewest labels that each is asked for.
    name : str
    """

    kind: ClassVar[str]

    def __init__(
        self, parts: Sequence[CandidateGenerator], weights: Sequence[float], n_labels: int, *, depth: int, name: str
    ):
        self.name, self._parts, self._weights = name, tuple(parts), tuple(weights)
        self._n_labels, self._depth = n_labels, depth

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all that a part finds."""
        most = None if n is None else max(n, self._depth)
        found = [tuple(part.candidates(Q, most, ctx=ctx)) for part in self._parts]
        ptr, labels = core.union_of_rankings(found, Q.n_rows, self._n_labels)
        scores = self.score(Q, ptr, labels, ctx=ctx)
        return Ranked(*core.rank_pairs(ptr, labels, scores, len(labels) if n is None else n, ctx.least))

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels."""
        scores = np.zeros(len(labels), np.float32)
        for part, weight in zip(self._parts, self._weights, strict=True):
            scores += np.float32(weight) * part.score(Q, ptr, labels, ctx=ctx)
        return scores

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the score, and as details what each part adds."""
        added = {
            part.name: weight * part.explain(Q, label, ctx=ctx).score
            for part, weight in zip(self._parts, self._weights, strict=True)
        }
        return Evidence(self.name, sum(added.values()), added)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Return the names and weights of the parts."""
        names = [part.name for part in self._parts]
        return {"name": self.name, "parts": names, "weights": list(self._weights), "depth": self._depth}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> BlendedSearch:
        """Find the parts."""
        parts = [context.generator(str(name), fields) for name in fields.get("parts", LIST)]
        weights = fields.get("weights", LIST)
        if len(weights) != len(parts) or not all(_WEIGHT.accepts(weight) for weight in weights):
            raise ModelFormatError(f"{fields.path}: 'weights' are not one number for each of {len(parts)} parts.")
        n_labels = len(context.part("labels", fields))
        depth = fields.get("depth", Interval(int, 1, 2**31 - 1))
        return cls(parts, [float(weight) for weight in weights], n_labels, depth=depth, name=fields.get("name", STRING))
