"""Label embeddings to a label tree: balanced hierarchical spherical k-means."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import Interval, check
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.tree.label_tree import LabelTree


def tree_shape(n_labels: int, branching_factor: int, max_leaf_size: int) -> list[NDArray[np.int64]]:
    """Lay out a balanced tree: how many children every node has.

    The tree has as few levels of clusters as `branching_factor` and `max_leaf_size` allow, and every node above the
    bottom clusters has the same number of children: a narrow root above wide nodes would cost accuracy. That number
    is the largest that keeps the clusters at three quarters of `max_leaf_size` or more. Siblings at the bottom differ
    by at most one label.

    Parameters
    ----------
    n_labels : int
        L, at least 1.
    branching_factor, max_leaf_size : int
        The most children of a node, and the most labels of a cluster.

    Returns
    -------
    list of ndarray of int64
        The offsets of each level, as ``LabelTree.child_ptrs``; one array when a single cluster holds all labels.

    Examples
    --------
    >>> [len(ptr) - 1 for ptr in tree_shape(20_000, branching_factor=16, max_leaf_size=100)]
    [1, 16, 256]
    """
    owner = "tree_shape"
    check("n_labels", n_labels, [Interval(int, 1)], owner)
    check("branching_factor", branching_factor, [Interval(int, 2)], owner)
    check("max_leaf_size", max_leaf_size, [Interval(int, 1)], owner)
    clusters = -(-n_labels // max_leaf_size)
    levels = 0
    while branching_factor**levels < clusters:
        levels += 1
    children = 1
    fullest = min(branching_factor, n_labels) if levels else 1
    while children**levels < clusters or (children < fullest and 3 * (children + 1) ** levels <= 4 * clusters):
        children += 1
    sizes = [1, *(min(children**t, n_labels) for t in range(1, levels + 1)), n_labels]
    return [np.arange(above + 1, dtype=np.int64) * below // above for above, below in pairwise(sizes)]


def cluster_labels(
    Z: FeatureMatrix | NDArray[np.float32],
    *,
    label_counts: NDArray[np.int64] | None = None,
    branching_factor: int = 16,
    max_leaf_size: int = 100,
    max_iterations: int = 20,
    random_state: int = 0,
    n_threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> LabelTree:
    """Cluster label embeddings into a balanced tree.

    Parameters
    ----------
    Z : FeatureMatrix or ndarray of shape (L, d), float32
        Label embeddings with rows of length 1 or 0, sparse or dense.
    label_counts : ndarray of shape (L,) or None, default=None
        Positives of each label. Within a cluster the labels are then put in descending order of them: neighbours are
        trained together, and labels of like frequency need about as many passes (a sixth fewer visits on the
        Debian set).
    branching_factor, max_leaf_size : int
        The shape of the tree, see `tree_shape`.
    max_iterations : int, default=20
        The most k-means rounds of one split.
    random_state : int, default=0
        Seeds the first centroids.
    n_threads : int, default=1
        The tree does not depend on it.
    progress : callable or None, default=None
        Called now and then with the number of labels placed.

    Returns
    -------
    LabelTree

    Notes
    -----
    The labels of a node are divided among its children by splitting in two with balanced spherical 2-means until
    every part is one child; the two parts get labels in proportion to their children (Prabhu et al., "Parabel",
    WWW 2018, section 3.3).
    """
    n_labels = Z.n_rows if isinstance(Z, FeatureMatrix) else len(Z)
    child_ptrs = tree_shape(n_labels, branching_factor, max_leaf_size)
    if isinstance(Z, FeatureMatrix) and Z.dense is not None:
        Z = as_features(Z.to_scipy()) if Z.n_sparse else Z.dense
    if isinstance(Z, FeatureMatrix):
        order = core.cluster_sparse(
            Z.indptr, Z.indices, Z.data, Z.n_features, child_ptrs, max_iterations, random_state, n_threads, progress
        )
    else:
        order = core.cluster_dense(Z, child_ptrs, max_iterations, random_state, n_threads, progress)
    if label_counts is not None:
        cluster = np.repeat(np.arange(len(child_ptrs[-1]) - 1), np.diff(child_ptrs[-1]))
        order = order[np.lexsort((order, -label_counts[order], cluster))]
    return LabelTree(child_ptrs, order)
