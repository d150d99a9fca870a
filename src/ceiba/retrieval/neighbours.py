"""Labels of the nearest training instances: each votes for its own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._params import Interval
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import EMBEDDING
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.dense_labels import DenseLabels, read_dense
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.sparse_labels import SparseLabels, read_index
from ceiba.retrieval.top import ranked_matrix

SPARSE = "sparse"  # what instances are near in: the sparse features, else the dense block of this name
_LEAST = 1e-9  # of a similarity, so that its powers stay above 0


@component("neighbours", "generator")
class Neighbours(CandidateGenerator):
    """Lets the nearest training instances vote for their labels, each with a power of its similarity.

    Parameters
    ----------
    instances : SparseIndex of N rows, or ndarray of shape (N, d), float32
        The training instances' sparse features or embeddings; rows of length 1.
    Y : csr_array of shape (N, L)
    name : str
    block : {"sparse", "embedding"}
        Which of them it is.
    power : float
        Of the similarities; a higher one lets the nearest count more.
    n_neighbours : int, default=30

    Notes
    -----
    A score is the share of the votes, from 0 to 1. Queries must not be training instances themselves, or they find
    their own labels.
    """

    kind: ClassVar[str]

    def __init__(self, instances: Any, Y: sp.csr_array, *, name: str, block: str, power: float, n_neighbours: int = 30):
        self.name, self.block, self.power, self.n_neighbours = name, block, power, n_neighbours
        self._instances, self._Y = instances, Y
        number = np.arange(Y.shape[0], dtype=np.int32)
        self._nearest: CandidateGenerator = (
            SparseLabels(instances, number, name=name) if block == SPARSE else DenseLabels(instances, name=name)
        )

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n labels of most votes of each row, with n None all that have any."""
        return ranked_matrix(self._votes(Q, ctx), n)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the votes for given labels."""
        votes, n_labels = self._votes(Q, ctx), self._Y.shape[1]
        keys = np.repeat(np.arange(Q.n_rows), np.diff(votes.indptr)) * n_labels + votes.indices
        wanted = np.repeat(np.arange(Q.n_rows), np.diff(ptr)) * n_labels + labels
        if not len(keys):
            return np.zeros(len(labels), np.float32)
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[found] == wanted, votes.data[found], 0).astype(np.float32)

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the votes, and the numbers of the nearest instances with the label and their similarities."""
        near = self._nearest.candidates(Q, self.n_neighbours, ctx=ctx)
        ptr, labels = np.array([0, 1], np.int64), np.array([label], np.int32)
        own = [
            (int(row), float(score))
            for row, score in zip(near.ids, near.scores, strict=True)
            if label in self._Y.indices[self._Y.indptr[row] : self._Y.indptr[row + 1]]
        ]
        return Evidence(self.name, float(self.score(Q, ptr, labels, ctx=ctx)[0]), {"instances": own})

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the instances and their labels."""
        rows = self._instances.arrays() if self.block == SPARSE else {"rows": self._instances}
        arrays = {**rows, "label_ptr": self._Y.indptr.astype(np.int64), "labels": self._Y.indices.astype(np.int32)}
        writer.tensors(f"{self.name}.safetensors", arrays)
        own = {"block": self.block, "power": self.power, "n_neighbours": self.n_neighbours}
        return {"name": self.name, **own}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> Neighbours:
        """Read what `save` wrote."""
        name, block = fields.get("name", STRING), fields.get("block", STRING)
        queries, n_labels = context.part("queries", fields), len(context.part("labels", fields))
        file = f"{name}.safetensors"
        rows: Any
        if block == SPARSE:
            rows = read_index(files, file)
            n_sparse = queries.n_features - queries.dim
            if rows.n_features != n_sparse:
                raise ModelFormatError(f"{files.path(file)} is an index of other features.")
        elif block == EMBEDDING:
            rows = read_dense(files, file, (None, queries.dim))
        else:
            raise ModelFormatError(f"{fields.path}: there are no features {block!r}.")
        n_rows = rows.n_rows if block == SPARSE else len(rows)
        arrays = files.tensors(file)
        ptr, labels = arrays.get("label_ptr"), arrays.get("labels")
        if (
            ptr is None
            or labels is None
            or (ptr.dtype, labels.dtype) != (np.int64, np.int32)
            or ptr.shape != (n_rows + 1,)
            or ptr[0] != 0
            or ptr[-1] != len(labels)
            or (np.diff(ptr) < 0).any()
            or (len(labels) and (labels.min() < 0 or labels.max() >= n_labels))
        ):
            raise ModelFormatError(f"{files.path(file)} does not hold the labels of {n_rows} instances.")
        Y = sp.csr_array((np.ones(len(labels), np.float32), labels, ptr), shape=(n_rows, n_labels))
        power, n = fields.get("power", Interval(float, 0, None)), fields.get("n_neighbours", Interval(int, 1, None))
        return cls(rows, Y, name=name, block=block, power=power, n_neighbours=n)

    def _votes(self, Q: Queries, ctx: SearchContext) -> sp.csr_array:
        near = self._nearest.candidates(Q, self.n_neighbours, ctx=ctx)
        weight = np.maximum(near.scores, np.float32(_LEAST)).astype(np.float64) ** self.power
        row = np.repeat(np.arange(Q.n_rows), np.diff(near.ptr))
        weight /= np.bincount(row, weight, minlength=Q.n_rows)[row]
        voters = sp.csr_array((weight.astype(np.float32), near.ids, near.ptr), shape=(Q.n_rows, self._Y.shape[0]))
        voters.sort_indices()
        votes = sp.csr_array(voters @ self._Y)
        votes.sort_indices()
        return votes
