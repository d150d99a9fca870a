"""What a label means in each of its clusters: neighbours, features and texts; and which labels stand farthest apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from ceiba.linear.tree_model import TreeModel
from ceiba.models.query_makers import name_of_feature


@dataclass(frozen=True)
class Sense:
    """A label in one bottom cluster of one tree.

    Attributes
    ----------
    tree : int
        From 0.
    path : list of int
        The nodes from the first level down to the cluster; empty in a tree without clusters.
    n_neighbors : int
        The other labels of the cluster.
    neighbors : list
        Those of them that are most like the label there, by the cosine of the weights, best first.
    features : list of (name, weight)
        The label's largest weights there.
    examples : list of str
        Its positives that the matcher leads to this cluster before its others, the surest first.
    """

    tree: int
    path: list[int]
    n_neighbors: int
    neighbors: list[Any]
    features: list[tuple[Any, float]]
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClusterDistance:
    """How far apart a label's clusters are.

    1 less the cosine of the two that differ most, and the levels up to where their paths meet.
    """

    label: Any
    tree: int
    clusters: tuple[int, int]
    distance: float
    levels: int


def senses(
    model: Any, column: int, *, n_features: int = 8, n_neighbors: int = 20, texts: Any = (), n_texts: int = 3
) -> list[Sense]:
    """Describe a label in each of its clusters.

    Parameters
    ----------
    model : a fitted model
    column : int
        The label's number.
    n_features, n_neighbors, n_texts : int
        How many of each to show.
    texts : sequence of str or (n, D) features, default=()
        Positives of the label to choose examples from; examples of rows of features are their numbers.

    Returns
    -------
    list of Sense
        By tree, then by cluster.
    """
    name_of = name_of_feature(model.model_.queries)
    found = []
    sparse = sp.issparse(texts)
    n_given = texts.shape[0] if sparse else len(texts)
    for t, partition in enumerate(model.partitions_):
        slots = partition.tree.slots(column)
        clusters = partition.tree.slot_cluster[slots]
        routed, surest = _routed(model, t, clusters, texts, n_given) if n_given else (np.empty(0, int), np.empty(0))
        for index, (slot, cluster) in enumerate(zip(slots.tolist(), clusters.tolist(), strict=True)):
            weights, own = _weights(partition, cluster), slot - int(partition.tree.child_ptrs[-1][cluster])
            likeness = (normalize(weights) @ normalize(weights[[own]]).T).toarray().ravel()
            likeness[own] = -np.inf
            nearest = np.argsort(-likeness, kind="stable")[: min(n_neighbors, len(likeness) - 1)]
            labels = partition.tree.slot_label[partition.tree.child_ptrs[-1][cluster] + nearest]
            row = weights[[own]]
            largest = np.argsort(-row.data, kind="stable")[:n_features]
            rows = np.flatnonzero(routed == cluster)
            rows = rows[np.argsort(-surest[rows], kind="stable")][:n_texts].tolist()
            found.append(
                Sense(
                    tree=t,
                    path=partition.tree.path(column, index),
                    n_neighbors=len(likeness) - 1,
                    neighbors=model.classes_[labels].tolist(),
                    features=[(name_of(int(row.indices[i])), float(row.data[i])) for i in largest if row.data[i] > 0],
                    examples=[str(row) if sparse else texts[row] for row in rows],
                )
            )
    return found


def most_overlapped(model: Any, n: int = 20) -> list[ClusterDistance]:
    """Return the labels whose clusters are farthest apart.

    A cluster is represented by the sum of its labels' weights, each of length 1. Negative weights do not count.

    Parameters
    ----------
    model : a fitted model
    n : int, default=20
        How many labels to return.

    Returns
    -------
    list of ClusterDistance
        The farthest first; fewer than `n` where fewer labels stand in several clusters of a tree.
    """
    found: dict[int, ClusterDistance] = {}
    for t, partition in enumerate(model.partitions_):
        tree = partition.tree
        several = np.flatnonzero(np.bincount(tree.slot_label) > 1)
        if not len(several):
            continue
        centers = sp.vstack([_center(partition, cluster) for cluster in range(len(tree.child_ptrs[-1]) - 1)]).tocsr()
        by_label = np.lexsort((tree.slot_cluster, tree.slot_label))
        ends = np.cumsum(np.bincount(tree.slot_label))
        for label in several.tolist():
            own = tree.slot_cluster[by_label[ends[label - 1] if label else 0 : ends[label]]]
            cosine = (centers[own] @ centers[own].T).toarray()
            pairs = {(a, b): 1 - float(cosine[a, b]) for a, b in combinations(range(len(own)), 2)}
            (a, b), distance = max(pairs.items(), key=lambda pair: (pair[1], -pair[0][0], -pair[0][1]))
            if label in found and found[label].distance >= distance:
                continue
            paths = [tree.path(label, int(np.searchsorted(own, cluster))) for cluster in (own[a], own[b])]
            common = sum(np.cumprod([x == y for x, y in zip(*paths, strict=True)]).tolist())
            ends_of = (int(own[a]), int(own[b]))
            found[label] = ClusterDistance(model.classes_[label], t, ends_of, distance, len(paths[0]) - common)
    return [each for _, each in sorted(found.items(), key=lambda item: (-item[1].distance, item[0]))[:n]]


def _weights(partition: TreeModel, cluster: int) -> sp.csr_array:
    """Return the weights of a cluster's labels, one row each."""
    layer = partition.layers[-1]
    feature, child, value = layer.chunk(cluster)
    shape = (int(np.diff(layer.child_ptr)[cluster]), layer.n_features)
    return sp.csr_array((value.astype(np.float64), (child, feature)), shape=shape)


def _center(partition: TreeModel, cluster: int) -> sp.csr_array:
    weights = _weights(partition, cluster)
    weights.data = np.maximum(weights.data, 0)
    return normalize(sp.csr_array(normalize(weights).sum(axis=0).reshape(1, -1)))


def _routed(model: Any, tree: int, clusters: NDArray, texts: Any, n: int) -> tuple[NDArray, NDArray]:
    """Return which of a label's clusters the matcher finds first for each text, -1 for none, and its score."""
    if model.partitions_[tree].tree.depth == 1:
        return np.zeros(n, int), np.zeros(n)
    found, scores = model.match(texts, k=max(model.beam_size, len(clusters)), tree=tree)
    first = np.argmax(np.isin(found, clusters), axis=1)
    rows = np.arange(len(found))
    routed = np.where(np.isin(found[rows, first], clusters), found[rows, first], -1)
    return routed, scores[rows, first]
