"""Labels in several clusters, learned from what a matcher returns: label disentanglement."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._estimator import renamed_arguments
from ceiba._native import core
from ceiba._params import N_JOBS, Flag, Interval, available_threads, check
from ceiba.data.instances import InstanceLists
from ceiba.errors import InputError, InputTypeError
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.tree.label_tree import LabelTree

_MOST_CLUSTERS = 2**31 - 1


class Assignment(NamedTuple):
    """The clusters of each label, what it keeps of its primary one first, and what the clusters cost."""

    ptr: NDArray[np.int64]
    clusters: NDArray[np.int32]
    cost: NDArray[np.float64]


@renamed_arguments(home="primary_cluster", leave_home="primary_drop_ratio")
def assign_clusters(
    Y: Any,
    scores: Any,
    primary_cluster: Any,
    *,
    overlap: int = 2,
    capacity: float | None = None,
    coverage: bool = False,
    per_label: bool = True,
    min_gain: float = 0.0,
    primary_drop_ratio: float = 0.5,
    n_jobs: int | None = 1,
) -> Any:
    """Give labels further clusters, so that as many as possible of their positives reach one of them.

    Works with any partitioned model: all it needs is what its matcher says about the training instances.

    Parameters
    ----------
    Y : sparse matrix of shape (N, L)
        A stored non-zero is a positive.
    scores : sparse matrix of shape (N, K)
        What the matcher returns: how well an instance fits a cluster, 0 or not stored where it was not found. Values
        are at least 0; their unit does not matter.
    primary_cluster : LabelTree or array-like of shape (L,)
        The clusters that labels stand in so far: a tree of K bottom clusters, or the cluster of each label.
    overlap : int, default=2
        lambda, the most clusters of a label.
    capacity : float or None, default=None
        The most that a cluster may cost once it has taken a label in. Its cost is its labels times its instances, which
        are the positives of its labels. A cluster whose own labels cost more takes none. None: twice the mean cost of
        the clusters as they are.
    coverage : bool, default=False
        Whether a positive counts only for what a further cluster adds to the best that its label has. A matcher that
        was trained with a label in its primary cluster leads its positives there, whatever they mean. Most then add
        nothing. By default a positive counts in full for each cluster: the sum of Y'M.
    per_label : bool, default=True
        Whether gains are taken as a share of the label's positives. Rare labels then gain as much as frequent ones,
        which cost a cluster many more instances. Otherwise every positive counts the same.
    min_gain : float, default=0.0
        The least gain per positive of the label, in units of the scores, for which it gets a further cluster.
    primary_drop_ratio : float, default=0.5
        A label leaves its primary cluster if the scores of its positives are too low there: their sum is less than
        this share of the sum in one of its further clusters. 0: never. The capacity that becomes free is not used.
    n_jobs : int or None, default=1
        The result does not depend on it.

    Returns
    -------
    LabelTree or csr_array of shape (L, K), bool
        A tree where `primary_cluster` is one; else which labels stand in which clusters. The levels above the bottom
        are as they were. The labels of each cluster are in descending order of frequency.

    Raises
    ------
    InputError, InputTypeError
        When an argument cannot be used.

    Notes
    -----
    The algorithm is greedy: pairs of label and cluster are taken in the order of their gain while the cluster has
    capacity. What a label's clusters cover is a submodular function of them. Without capacities the gain is therefore
    at least 1 - 1/e of the optimum, and the optimum itself for the sum of Y'M.
    A label that the matcher never finds keeps its primary cluster.

    References
    ----------
    Liu, Chang, Yu, Hsieh and Dhillon, "Label Disentanglement in Partition-based Extreme Multilabel Classification",
    NeurIPS 2021, section 3. Coverage, the capacity in cost, the shares and the leaving of primary
    clusters are not in it.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> Y = sp.csr_array([[1, 0], [1, 0], [0, 1], [1, 1]])
    >>> scores = sp.csr_array([[1.0, 0], [0, 1.0], [0, 1.0], [0, 1.0]])
    >>> assign_clusters(Y, scores, [0, 1], capacity=8).toarray().tolist()
    [[True, True], [False, True]]
    """
    owner = "assign_clusters"
    check("overlap", overlap, [Interval(int, 1)], owner)
    check("n_jobs", n_jobs, N_JOBS, owner)
    check("min_gain", min_gain, [Interval(float, 0)], owner)
    check("coverage", coverage, [Flag()], owner)
    check("per_label", per_label, [Flag()], owner)
    check("primary_drop_ratio", primary_drop_ratio, [Interval(float, 0, 1)], owner)
    if capacity is not None:
        check("capacity", capacity, [Interval(float, 0)], owner)
    matrices = []
    for name, matrix in (("Y", Y), ("scores", scores)):
        if not sp.issparse(matrix):
            raise InputTypeError(f"{name} must be a sparse matrix, not {type(matrix).__name__}.")
        matrices.append(as_features(matrix, name=name))
    given, found = matrices
    if given.n_rows != found.n_rows:
        raise InputError(f"scores has {found.n_rows} rows, Y has {given.n_rows}.")
    if (found.data < 0).any():
        raise InputError("scores must not be below 0.")
    pattern = given.to_scipy().copy()
    pattern.eliminate_zeros()
    primary = primary_clusters_of(primary_cluster, given.n_features, found.n_features)
    assignment = assign(
        InstanceLists.from_columns(pattern), found, primary, overlap=overlap, capacity=capacity, coverage=coverage,
        per_label=per_label, min_gain=min_gain, primary_drop_ratio=primary_drop_ratio,
        n_threads=available_threads(n_jobs),
    )  # fmt: skip
    if isinstance(primary_cluster, LabelTree):
        return with_clusters(primary_cluster, assignment, np.bincount(pattern.indices, minlength=given.n_features))
    shape = (given.n_features, found.n_features)
    table = sp.csr_array((np.ones(len(assignment.clusters), bool), assignment.clusters, assignment.ptr), shape=shape)
    table.sort_indices()
    return table


def primary_clusters_of(primary_cluster: Any, n_labels: int, n_clusters: int) -> InstanceLists:
    """Return the clusters of each label, one list per label."""
    label: NDArray
    cluster: NDArray
    if isinstance(primary_cluster, LabelTree):
        label, cluster = primary_cluster.slot_label, primary_cluster.slot_cluster
        expected = (primary_cluster.n_labels, len(primary_cluster.child_ptrs[-1]) - 1)
    else:
        cluster = np.asarray(primary_cluster)
        if cluster.ndim != 1 or cluster.dtype.kind not in "iu":
            raise InputTypeError("primary_cluster must be a LabelTree or the cluster of each label.")
        if len(cluster) and not 0 <= cluster.min() <= cluster.max() < n_clusters:
            raise InputError(f"primary_cluster must name clusters from 0 to {n_clusters - 1}.")
        label = np.arange(len(cluster))
        expected = (len(cluster), n_clusters)
    if expected != (n_labels, n_clusters):
        raise InputError(
            f"primary_cluster has {expected[0]} labels and {expected[1]} clusters, Y and scores have {n_labels} and "
            f"{n_clusters}."
        )
    order = np.lexsort((cluster, label))
    ptr = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=n_labels))]).astype(np.int64)
    return InstanceLists(ptr, cluster[order].astype(np.int32))


def assign(
    positives: InstanceLists,
    scores: FeatureMatrix,
    primary: InstanceLists,
    *,
    overlap: int,
    capacity: float | None = None,
    coverage: bool = False,
    per_label: bool = True,
    min_gain: float = 0.0,
    primary_drop_ratio: float = 0.5,
    n_threads: int = 1,
) -> Assignment:
    """Assign clusters as `assign_clusters` does, from and to the arrays of the core."""
    counts = np.diff(positives.ptr)
    label_weight = 1.0 / np.maximum(counts, 1) if per_label else np.ones(len(counts))
    overlap = min(overlap, _MOST_CLUSTERS)

    def solve(overlap: int, capacity: float) -> Assignment:
        return Assignment(
            *core.assign_clusters(
                positives.ptr, positives.indices, *scores.arrays()[:3], scores.n_features, primary.ptr,
                primary.indices, label_weight, overlap, min_gain, capacity, coverage, primary_drop_ratio, n_threads,
            )
        )  # fmt: skip

    if capacity is None:
        capacity = 2 * float(solve(1, 0).cost.mean())
    return solve(overlap, capacity)


def with_clusters(tree: LabelTree, assignment: Assignment, label_counts: NDArray) -> LabelTree:
    """Return a tree with the same clusters, in which labels stand where they are assigned, frequent ones first."""
    n_clusters = len(tree.child_ptrs[-1]) - 1
    label = np.repeat(np.arange(tree.n_labels), np.diff(assignment.ptr))
    order = np.lexsort((label, -label_counts[label], assignment.clusters))
    sizes = np.bincount(assignment.clusters, minlength=n_clusters)
    return LabelTree([*tree.child_ptrs[:-1], np.concatenate([[0], np.cumsum(sizes)])], label[order])
