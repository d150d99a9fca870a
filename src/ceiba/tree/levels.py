"""The positives of every level of a label tree: those of the labels, carried up."""

from __future__ import annotations

from ceiba._native import core
from ceiba.data.instances import InstanceLists
from ceiba.tree.label_tree import LabelTree


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
        parts = core.coarsen(below.ptr, below.indices, below.weight, n_instances, ptr, n_threads)
        if parts[2] is not None and len(parts[2]):
            parts = (parts[0], parts[1], parts[2] / parts[2].mean())
        levels.append(InstanceLists(*parts))
    return levels[::-1]
