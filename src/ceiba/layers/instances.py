"""Which instances belong to which node: Y seen from the labels, and carried up the tree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.tree.label_tree import LabelTree


class InstanceLists(NamedTuple):
    """Per node, the ascending numbers of its instances, and a relevance weight for each where there are any."""

    ptr: NDArray[np.int64]
    items: NDArray[np.int32]
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
        weight = columns.data.astype(np.float32) if weighted else None
        return cls(columns.indptr.astype(np.int64), columns.indices.astype(np.int32), weight)

    @classmethod
    def everything(cls, n_instances: int) -> InstanceLists:
        """Return one list of all instances: those of the root."""
        return cls(np.array([0, n_instances]), np.arange(n_instances, dtype=np.int32))

    def take(self, nodes: NDArray) -> InstanceLists:
        """Return the lists of some nodes, in that order."""
        sizes = np.diff(self.ptr)[nodes]
        ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        at = np.repeat(self.ptr[nodes] - ptr[:-1], sizes) + np.arange(ptr[-1])
        return InstanceLists(ptr, self.items[at], None if self.weight is None else self.weight[at])

    def union(self, other: InstanceLists, n_instances: int) -> InstanceLists:
        """Return, per node, the instances of either; weights are dropped."""
        both = [
            sp.csr_array(
                (np.ones(len(lists.items), np.int8), lists.items, lists.ptr),
                shape=(self.n_nodes, n_instances),
            )
            for lists in (self, other)
        ]
        merged = (both[0] + both[1]).tocsr()
        merged.sort_indices()
        return InstanceLists(merged.indptr.astype(np.int64), merged.indices.astype(np.int32))


def positives_per_level(
    tree: LabelTree, positives: InstanceLists, n_instances: int, n_threads: int = 1
) -> list[InstanceLists]:
    """Carry the positives of the labels up the tree.

    Parameters
    ----------
    tree : LabelTree of T levels
    positives : InstanceLists of L lists
        The positives of each label, with relevance weights or without.
    n_instances : int
        N.
    n_threads : int, default=1

    Returns
    -------
    list of T InstanceLists
        The positives of the nodes of each level below the root; an instance is a positive of a node when it is one
        of a label below it. Its relevance is the sum over those labels, scaled so that a level's mean is 1.
    """
    levels = [positives.take(tree.slot_label)]
    for ptr in tree.child_ptrs[:0:-1]:
        below = levels[-1]
        parts = core.coarsen(below.ptr, below.items, below.weight, n_instances, ptr, n_threads)
        if parts[2] is not None and len(parts[2]):
            parts = (parts[0], parts[1], parts[2] / parts[2].mean())
        levels.append(InstanceLists(*parts))
    return levels[::-1]
