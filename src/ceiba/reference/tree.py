"""Label embeddings and clustering as their definitions read; twins of `ceiba.tree` and `ceiba.data.instances`."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import FeatureMatrix
from ceiba.reference.random import Random
from ceiba.tree.clustering import tree_shape
from ceiba.tree.label_tree import LabelTree


def pifa(X: FeatureMatrix, positives: InstanceLists, *, max_features: int | None = None) -> FeatureMatrix:
    """Return per label the sum of the rows of its positives, cut to its largest features, scaled to length 1."""
    rows = X.to_scipy().astype(np.float64)
    Z = np.zeros((positives.n_nodes, X.n_features))
    for label in range(positives.n_nodes):
        for instance in positives.indices[positives.ptr[label] : positives.ptr[label + 1]]:
            Z[label] += rows[[instance]].toarray()[0]
        if max_features is not None:
            Z[label, np.argsort(-np.abs(Z[label]), kind="stable")[max_features:]] = 0
        length = np.linalg.norm(Z[label])
        if length > 0:
            Z[label] /= length
    sparse = sp.csr_array(Z)
    return FeatureMatrix(
        sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), sparse.data.astype(np.float32), X.n_features
    )


def coarsen(children: InstanceLists, child_ptr: NDArray[np.int64]) -> InstanceLists:
    """Return per parent the instances of any of its children, with the sum of their weights."""
    ptr, items, weights = [0], [], []
    for parent in range(len(child_ptr) - 1):
        found: dict[int, float] = {}
        for child in range(child_ptr[parent], child_ptr[parent + 1]):
            for q in range(children.ptr[child], children.ptr[child + 1]):
                instance = int(children.indices[q])
                found[instance] = found.get(instance, 0.0) + (1.0 if children.weight is None else children.weight[q])
        items += sorted(found)
        weights += [found[instance] for instance in sorted(found)]
        ptr.append(len(items))
    return InstanceLists(
        np.array(ptr, np.int64),
        np.array(items, np.int32),
        None if children.weight is None else np.array(weights, np.float32),
    )


def cluster_labels(
    Z: FeatureMatrix | NDArray[np.float32],
    *,
    label_counts: NDArray[np.int64] | None = None,
    branching_factor: int = 16,
    max_leaf_size: int = 100,
    max_iterations: int = 20,
    random_state: int = 0,
) -> LabelTree:
    """Cluster label embeddings into a balanced tree, as `ceiba.tree.clustering.cluster_labels` does.

    In double precision: where two labels are equally near to both halves but for rounding, the trees may differ.
    """
    rows = Z.to_scipy().toarray() if isinstance(Z, FeatureMatrix) else Z
    rows = rows.astype(np.float64)
    child_ptrs = tree_shape(len(rows), branching_factor, max_leaf_size)
    order = np.arange(len(rows), dtype=np.int32)
    _divide(rows, child_ptrs, 0, 0, 1, order, max_iterations, random_state)
    if label_counts is not None:  # within a cluster the frequent labels first
        for first, last in itertools.pairwise(child_ptrs[-1].tolist()):
            order[first:last] = sorted(order[first:last], key=lambda label: (-label_counts[label], label))
    return LabelTree(child_ptrs, order)


def _first_place(child_ptrs: list[NDArray], level: int, node: int) -> int:
    """Return the first place at the bottom below a node of a level; the root's level is 0."""
    for ptr in child_ptrs[level:]:
        node = int(ptr[node])
    return node


def _divide(
    Z: NDArray, child_ptrs: list[NDArray], level: int, first: int, last: int, order: NDArray, rounds: int, seed: int
) -> None:
    """Arrange the labels below the nodes first to last - 1 of a level."""
    if level == len(child_ptrs):  # these are places of labels
        return
    if last - first == 1:
        children = child_ptrs[level]
        if level + 1 < len(child_ptrs):
            _divide(Z, child_ptrs, level + 1, int(children[first]), int(children[last]), order, rounds, seed)
        return
    middle = (first + last) // 2
    begin, cut, end = (_first_place(child_ptrs, level, node) for node in (first, middle, last))
    labels = np.sort(order[begin:end])
    left = two_means(Z[labels], cut - begin, Random(seed, begin, end), rounds)
    order[begin:end] = np.concatenate([labels[left], labels[~left]])
    _divide(Z, child_ptrs, level, first, middle, order, rounds, seed)
    _divide(Z, child_ptrs, level, middle, last, order, rounds, seed)


def two_means(Z: NDArray, left_count: int, random: Random, rounds: int) -> NDArray[np.bool_]:
    """Divide rows in two parts of given sizes by balanced spherical 2-means; True is the left part."""
    a = random.below(len(Z))
    b = random.below(len(Z) - 1)
    b += b >= a
    centroids = Z[[a, b]]
    left = None
    for _ in range(rounds):
        lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
        similarity = Z @ np.divide(centroids, lengths, out=np.zeros_like(centroids), where=lengths > 0).T
        nearest_first = np.argsort(similarity[:, 1] - similarity[:, 0], kind="stable")
        before = left
        left = np.zeros(len(Z), bool)
        left[nearest_first[:left_count]] = True
        if before is not None and (left == before).all():
            break
        centroids = np.stack([Z[left].sum(axis=0), Z[~left].sum(axis=0)])
    assert left is not None
    return left
