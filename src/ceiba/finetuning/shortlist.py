"""Which nodes of a level each instance is trained on, and which of them are its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.instances import InstanceLists, ranges


class Candidates(NamedTuple):
    """A batch of shortlists, padded on the right: each (B, S)."""

    nodes: NDArray[np.int64]
    sign: NDArray[np.float32]  # 1 where the node is the instance's, -1 where it is not
    cost: NDArray[np.float32]  # 0 at padding, the relevance at positives, 1 elsewhere


class SharedCandidates(NamedTuple):
    """The same S nodes for all instances of a batch, and the n places where a node is an instance's own.

    Unlike `Candidates` its size does not grow with both, so that all nodes of a level may be candidates.
    """

    nodes: NDArray[np.int64]  # (S,), ascending
    log_count: NDArray[np.float32]  # (S,), the logarithm of how many nodes a candidate stands for
    row: NDArray[np.int64]  # (n,), in the batch
    column: NDArray[np.int64]  # (n,), in nodes
    relevance: NDArray[np.float32]  # (n,)


class Shortlist:
    """The children of the nodes that each instance is matched to.

    Parameters
    ----------
    child_ptr : ndarray of shape (K_{t-1} + 1,), int64
        The children of each node above.
    parents : csr_array of shape (N, K_{t-1})
        M_t: an entry at the nodes above that each instance is matched to.
    own : csr_array of shape (N, K_t)
        The relevance of each instance to its nodes (`by_instance`).
    """

    def __init__(self, child_ptr: NDArray[np.int64], parents: sp.csr_array, own: sp.csr_array):
        self.child_ptr, self.n_nodes = child_ptr, own.shape[1]
        self._parents, self._own = parents, own

    def nodes(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the nodes that are in the shortlists of any of some instances, ascending."""
        parents = np.unique(self._parents.indices[stored(self._parents, rows)[1]])
        return ranges(self.child_ptr[parents], np.diff(self.child_ptr)[parents])

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp] | None = None) -> Candidates:
        """Return the shortlists of some instances, whatever batch they are part of."""
        parent_row, at = stored(self._parents, rows)
        parents = self._parents.indices[at]
        sizes = np.diff(self.child_ptr)[parents]
        row = np.repeat(parent_row, sizes)
        nodes = ranges(self.child_ptr[parents], sizes)

        own_row, at = stored(self._own, rows)
        own, relevance = self._own.indices[at].astype(np.int64), self._own.data[at]
        keys, own_keys = row * self.n_nodes + nodes, own_row * self.n_nodes + own
        found = np.searchsorted(own_keys, keys)
        hit = np.append(own_keys, -1)[found] == keys

        per_row = np.bincount(row, minlength=len(rows))
        column = np.arange(len(row)) - np.repeat(np.cumsum(per_row) - per_row, per_row)
        shape = (len(rows), max(1, int(per_row.max(initial=0))))
        padded = Candidates(np.zeros(shape, np.int64), np.full(shape, -1, np.float32), np.zeros(shape, np.float32))
        padded.nodes[row, column] = nodes
        padded.sign[row[hit], column[hit]] = 1
        padded.cost[row, column] = 1
        padded.cost[row[hit], column[hit]] = relevance[found[hit]]
        return padded

    def sizes(self) -> NDArray[np.int64]:
        """Return how many candidates each instance has."""
        counts = np.diff(self.child_ptr)[self._parents.indices]
        return np.add.reduceat(np.append(counts, 0), self._parents.indptr[:-1]) * (np.diff(self._parents.indptr) > 0)


def by_instance(lists: InstanceLists, n_instances: int) -> sp.csr_array:
    """Return the nodes of each instance, with the weights of the lists or ones: (N, K), each row's ascending."""
    values = np.ones(len(lists.indices), np.float32) if lists.weight is None else lists.weight
    rows = lists.matrix(n_instances, values).T.tocsr()
    rows.sort_indices()
    return rows


def shared_candidates(
    own: sp.csr_array,
    rows: NDArray[np.intp],
    nodes: NDArray[np.int64],
    log_count: NDArray[np.float32] | None = None,
) -> SharedCandidates:
    """Return the same candidates for some rows, ascending, of which a row's own are those stored in it."""
    row, column, at = places(own, rows, nodes)
    log_count = np.zeros(len(nodes), np.float32) if log_count is None else log_count
    return SharedCandidates(nodes, log_count, row, column, own.data[at])


def places(
    own: sp.csr_array, rows: NDArray[np.intp], nodes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the stored entries of some rows that are of some nodes, ascending: places in both, and where stored."""
    row, at = stored(own, rows)
    column = np.minimum(np.searchsorted(nodes, own.indices[at]), len(nodes) - 1)
    hit = nodes[column] == own.indices[at]
    return row[hit], column[hit], at[hit]


def stored(matrix: sp.csr_array, rows: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the stored entries of some rows: the place of each in `rows`, and where it is stored."""
    begins = matrix.indptr[rows].astype(np.int64)
    sizes = matrix.indptr[rows + 1] - begins
    return np.repeat(np.arange(len(rows)), sizes), ranges(begins, sizes)
