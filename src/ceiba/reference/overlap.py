"""Clusters given to labels one pair after the other; a twin of `ceiba.tree.overlap`."""

from __future__ import annotations

from numpy.typing import NDArray


def gain(Y: NDArray, scores: NDArray, label: int, clusters: set[int], *, coverage: bool) -> float:
    """Return what some clusters are worth to a label: the scores of its positives in all of them, or in the best."""
    reached = scores[Y[:, label] > 0][:, sorted(clusters)]
    return float(reached.max(axis=1).sum() if coverage and clusters else reached.sum())


def cost(Y: NDArray, clusters: list[set[int]], cluster: int) -> int:
    """Return a cluster's labels times the instances that are a positive of one of them."""
    own = [label for label, where in enumerate(clusters) if cluster in where]
    return len(own) * int((Y[:, own] > 0).any(axis=1).sum())


def assign_clusters(
    Y: NDArray,
    scores: NDArray,
    primary_cluster: list[int],
    *,
    overlap: int,
    capacity: float,
    coverage: bool = False,
    per_label: bool = True,
    min_gain: float = 0.0,
    primary_drop_ratio: float = 0.5,
) -> list[set[int]]:
    """Take the feasible pair of most gain again and again; dense Y (N, L) and scores (N, K)."""
    clusters = [{cluster} for cluster in primary_cluster]
    while True:
        best: tuple[float, int, int] | None = None
        for label, own in enumerate(clusters):
            positives = max(1, int((Y[:, label] > 0).sum()))
            for cluster in set(range(scores.shape[1])) - own if len(own) < overlap else ():
                after = [own | {cluster} if other == label else where for other, where in enumerate(clusters)]
                more = gain(Y, scores, label, own | {cluster}, coverage=coverage) - gain(
                    Y, scores, label, own, coverage=coverage
                )
                if more <= 0 or more < min_gain * positives or cost(Y, after, cluster) > capacity:
                    continue
                offer = (-more / (positives if per_label else 1), label, cluster)
                best = offer if best is None else min(best, offer)
        if best is None:
            break
        clusters[best[1]].add(best[2])
    for label, own in enumerate(clusters):
        primary = primary_cluster[label]
        further = [gain(Y, scores, label, {cluster}, coverage=False) for cluster in own - {primary}]
        if further and gain(Y, scores, label, {primary}, coverage=False) < primary_drop_ratio * max(further):
            own.remove(primary)
    return clusters
