"""A generator that sees a part of the features, or knows a part of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ceiba._params import Flag, Interval
from ceiba.data.offsets import offsets, row_numbers
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import EMBEDDING, all_sparse
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component, load_component, save_component
from ceiba.io.sealed import LIST, OBJECT, STRING, Fields
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked


class _Width(NamedTuple):
    n_features: int
    dim: int
    dims: Mapping[str, int]


@component("restricted", "generator")
class Restricted(CandidateGenerator):
    """Passes queries on to a generator that was trained on fewer labels or features.

    Parameters
    ----------
    inner : CandidateGenerator
    labels : ndarray of int32, ascending
        The label that each of the inner generator's labels is here.
    n_features : int
        The number of features that the inner generator takes.
    sparse_only : bool, default=False
        Whether it takes the sparse features only.
    block : str or None, default=None
        The only block of dense features that it takes, under the name "embedding". None: all, as they are.
    parts : sequence of CandidateGenerator, default=()
        The generators that the inner one is made of, which are saved with it.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        inner: CandidateGenerator,
        labels: NDArray[np.int32],
        n_features: int,
        *,
        sparse_only: bool = False,
        block: str | None = None,
        parts: Sequence[CandidateGenerator] = (),
    ):
        self.name, self._inner, self._labels = inner.name, inner, labels
        self._n_features, self._sparse_only, self._block, self._parts = n_features, sparse_only, block, tuple(parts)

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all that the inner generator finds."""
        found = self._inner.candidates(self._seen(Q), n, ctx=ctx)
        return Ranked(found.ptr, self._labels[found.ids], found.scores)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels; 0 for those that the inner generator does not know."""
        own = np.minimum(np.searchsorted(self._labels, labels), len(self._labels) - 1)
        known = self._labels[own] == labels
        row = row_numbers(ptr)[known]
        inner_ptr = offsets(np.bincount(row, minlength=Q.n_rows))
        scores = np.zeros(len(labels), np.float32)
        scores[known] = self._inner.score(self._seen(Q), inner_ptr, own[known].astype(np.int32), ctx=ctx)
        return scores

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return what speaks for a label; nothing where the inner generator does not know it."""
        own = int(np.searchsorted(self._labels, label))
        if own == len(self._labels) or self._labels[own] != label:
            return Evidence(self.name, 0.0)
        return self._inner.explain(self._seen(Q), own, ctx=ctx)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the inner generator and its labels."""
        writer.tensors(f"{self.name}-labels.safetensors", {"labels": self._labels})
        own = {"n_features": self._n_features, "sparse_only": self._sparse_only, "block": self._block}
        parts = [save_component(part, writer) for part in self._parts]
        return {"name": self.name, "parts": parts, "inner": save_component(self._inner, writer), **own}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> Restricted:
        """Read what `save` wrote."""
        name = fields.values.get("name")
        file = f"{name}-labels.safetensors"
        labels, n_labels = files.tensors(file).get("labels"), len(context.part("labels", fields))
        if (
            labels is None
            or labels.dtype != np.int32
            or labels.ndim != 1
            or not len(labels)
            or labels[0] < 0
            or labels[-1] >= n_labels
            or (np.diff(labels) <= 0).any()
        ):
            raise ModelFormatError(f"{files.path(file)} does not hold labels of the model.")
        width = context.part("queries", fields)
        n_features = fields.get("n_features", Interval(int, 1, width.n_features))
        block, dims = fields.values.get("block"), width.dims
        if block is not None:
            if not STRING.accepts(block) or block not in dims:
                raise ModelFormatError(f"{fields.path}: the model has no embeddings {block!r}, which {name!r} needs.")
            dims = {EMBEDDING: dims[block]}
        parts = {**context.parts, "labels": range(len(labels)), "queries": _Width(n_features, sum(dims.values()), dims)}
        inner_context = replace(context, parts=parts)
        own = []
        for values in fields.get("parts", LIST) if "parts" in fields.values else ():
            if not OBJECT.accepts(values):
                raise ModelFormatError(f"{fields.path}: an entry of 'parts' is not an object.")
            own.append(load_component("generator", files, Fields(values, fields.path), inner_context))
            parts[own[-1].name] = own[-1]
        inner = load_component("generator", files, Fields(fields.get("inner", OBJECT), fields.path), inner_context)
        sparse_only = bool(fields.get("sparse_only", Flag()))
        return cls(inner, labels, n_features, sparse_only=sparse_only, block=block, parts=own)

    def _seen(self, Q: Queries) -> Queries:
        if self._block is not None:
            embeddings = Q.features.block(self._block)
            return Queries(Q.features.sparse_part().with_block(EMBEDDING, embeddings), Q.texts)
        if not self._sparse_only or Q.features.dense is None:
            return Q
        return Queries(all_sparse(Q.features).sparse_part(), Q.texts)
