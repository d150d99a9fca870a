"""Labels found by dense rows of their own: embeddings of their texts, or means of their documents."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import EMBEDDING
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.dense_index import DenseIndex, load_dense_index, save_dense_index
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext, single_pair
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.top import joined, ranked_dense, ranked_pairs

_CELLS = 1 << 24  # of the matrix of cosines made at once


@component("dense-labels", "generator")
class DenseLabels(CandidateGenerator):
    """Ranks labels by the cosine between the embeddings of the text and of the label.

    Parameters
    ----------
    rows : ndarray of shape (L, d), float32
        Of length 1, or 0 for labels without a row.
    name : str
    index : DenseIndex or None, default=None
        Finds the nearest rows; None compares with all.

    References
    ----------
    Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017: the mean of a class's
    embeddings as its classifier.
    """

    kind: ClassVar[str]

    def __init__(self, rows: NDArray[np.float32], *, name: str, index: DenseIndex | None = None):
        self.name, self._rows, self._index = name, rows, index

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all."""
        if self._index is not None and n is not None:
            return self._index.nearest(Q.features.block(EMBEDDING), n, n_threads=ctx.n_threads)
        n = len(self._rows) if n is None else n
        embeddings, size = Q.features.block(EMBEDDING), max(1, min(256, _CELLS // len(self._rows)))
        parts = [
            self._nearest(np.ascontiguousarray(embeddings[begin : begin + size]), n, ctx.n_threads)
            for begin in range(0, max(1, Q.n_rows), size)
        ]
        return joined(parts)

    def _nearest(self, embeddings: NDArray[np.float32], n: int, n_threads: int) -> Ranked:
        """Return the n best labels by the cosines of `score`: a product of matrices rounds otherwise for other rows."""
        near = ranked_dense(embeddings @ self._rows.T, n)
        cosines = core.inner_products(embeddings, self._rows, near.ptr, near.ids, n_threads)
        return ranked_pairs(len(embeddings), near.rows, near.ids, cosines, n)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the cosines to given labels."""
        embeddings = np.ascontiguousarray(Q.features.block(EMBEDDING))
        return core.inner_products(embeddings, self._rows, ptr, labels, ctx.n_threads)

    def rows_of(self, labels: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the rows of given labels; rows of 0 for numbers below 0."""
        rows = self._rows[labels]
        rows[labels < 0] = 0
        return rows

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the cosine."""
        ptr, labels = single_pair(label)
        return Evidence(self.name, float(self.score(Q, ptr, labels, ctx=ctx)[0]))

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the rows."""
        writer.tensors(f"{self.name}.safetensors", {"rows": self._rows})
        return {"name": self.name, **save_dense_index(self._index, self.name, writer)}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> DenseLabels:
        """Read what `save` wrote."""
        name = fields.get("name", STRING)
        shape = len(context.part("labels", fields)), context.part("queries", fields).dims.get(EMBEDDING, 0)
        rows = read_dense(files, f"{name}.safetensors", shape)
        return cls(rows, name=name, index=load_dense_index(files, name, fields, rows))


def read_dense(files: FolderFiles, file: str, shape: tuple[int, int], *, array: str = "rows") -> NDArray[np.float32]:
    """Read a dense array of a file; ModelFormatError where it is not of the shape."""
    rows, path = files.tensors(file).get(array), files.path(file)
    if rows is None or rows.shape != shape or rows.dtype != np.float32:
        raise ModelFormatError(f"{path} does not hold {shape[0]} rows of {shape[1]} numbers.")
    if not np.isfinite(rows).all():
        raise ModelFormatError(f"{path}: {array} must be finite numbers.")
    return rows
