"""Which instances belong to which node: Y seen from the labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.offsets import offsets, ranges


class InstanceLists(NamedTuple):
    """Per node, the ascending numbers of its instances, and a relevance weight for each where there are any."""

    ptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weight: NDArray[np.float32] | None = None

    @property
    def n_nodes(self) -> int:
        """The number of lists."""
        return len(self.ptr) - 1

    @classmethod
    def from_columns(cls, matrix: sp.csr_array, *, weighted: bool = False) -> InstanceLists:
        """Read the columns of an (instances, nodes) matrix."""
        columns = matrix.tocsc()
        columns.sort_indices()
        weight = columns.data.astype(np.float32, copy=False) if weighted else None
        return cls(columns.indptr.astype(np.int64, copy=False), columns.indices.astype(np.int32, copy=False), weight)

    @classmethod
    def everything(cls, n_instances: int) -> InstanceLists:
        """Return one list of all instances: those of the root."""
        return cls(np.array([0, n_instances]), np.arange(n_instances, dtype=np.int32))

    def take(self, nodes: NDArray) -> InstanceLists:
        """Return the lists of some nodes, in that order."""
        sizes = np.diff(self.ptr)[nodes]
        ptr = offsets(sizes)
        at = ranges(self.ptr[nodes], sizes)
        return InstanceLists(ptr, self.indices[at], None if self.weight is None else self.weight[at])

    def matrix(self, n_instances: int, values: NDArray) -> sp.csr_array:
        """Return an (nodes, instances) matrix with a value for each entry of the lists."""
        return sp.csr_array((values, self.indices, self.ptr), shape=(self.n_nodes, n_instances))

    def union(self, other: InstanceLists, n_instances: int) -> InstanceLists:
        """Return, per node, the instances of either; weights are dropped."""
        both = [lists.matrix(n_instances, np.ones(len(lists.indices), np.int8)) for lists in (self, other)]
        merged = (both[0] + both[1]).tocsr()
        merged.sort_indices()
        return InstanceLists(merged.indptr.astype(np.int64), merged.indices.astype(np.int32))
