"""One tree with its trained layers: what XR-Linear is made of, and any model that partitions its labels."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ceiba._progress import Progress, stage
from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.layer import Layer
from ceiba.linear.negatives import match
from ceiba.linear.solve import SolverSettings, train_layer, training_cost
from ceiba.tree.label_tree import LabelTree
from ceiba.tree.levels import positives_per_level


@dataclass
class TreeModel:
    """A label tree and the layer of classifiers of each of its levels."""

    tree: LabelTree
    layers: list[Layer]
    seconds: dict[str, float] = field(default_factory=dict)

    def work(self) -> dict[str, int]:
        """Return what training did, summed over the levels."""
        total: dict[str, int] = {}
        for layer in self.layers:
            for name, count in layer.work.items():
                total[name] = total.get(name, 0) + count
        return total


def train_tree(
    X: FeatureMatrix,
    positives: InstanceLists,
    tree: LabelTree,
    settings: SolverSettings,
    *,
    negatives: str = "tfn",
    matched: InstanceLists | None = None,
    beam_size: int = 10,
    combine: str = "l3-hinge",
    seed: int = 0,
    n_threads: int = 1,
    progress: Progress | None = None,
    name: str = "tree",
) -> TreeModel:
    """Train every level of a tree, from the root down.

    Parameters
    ----------
    X : FeatureMatrix of N rows
    positives : InstanceLists of L lists
        The positives of each label; weights are relevance.
    tree : LabelTree
    settings : SolverSettings
    negatives : {"tfn", "man", "tfn+man"}, default="tfn"
        See `ceiba.linear.negatives.match`.
    matched : InstanceLists or None, default=None
        Instances to match to the bottom clusters besides those of `negatives`.
    beam_size, combine : int, str
        The beam of "man".
    seed : int, default=0
    n_threads : int, default=1
    progress : callable or None, default=None
        ``progress(stage, done, total)``, called now and then.
    name : str, default="tree"
        What the tree is called in stages.

    Returns
    -------
    TreeModel
    """
    levels = positives_per_level(tree, positives, X.n_rows, n_threads)
    partition = TreeModel(tree, [])
    for t, child_ptr in enumerate(tree.child_ptrs):
        started = time.perf_counter()
        above = levels[t - 1] if t else None
        lists = match(negatives, X, partition.layers, above, beam_size=beam_size, combine=combine, n_threads=n_threads)
        if matched is not None and t == tree.depth - 1:
            lists = lists.union(matched, X.n_rows)
        multiplier = _threshold_multiplier(tree) if t == tree.depth - 1 else None
        cost = 0 if progress is None else int(training_cost(X, child_ptr, lists).sum())  # some 3% of a fit
        report = stage(progress, f"level {t + 1}/{tree.depth} of {name}", cost)
        partition.layers.append(
            train_layer(
                X, child_ptr, lists, levels[t], settings, threshold_multiplier=multiplier, seed=seed,
                n_threads=n_threads, progress=report,
            )
        )  # fmt: skip
        partition.seconds[f"level {t + 1}"] = time.perf_counter() - started
    return partition


def _threshold_multiplier(tree: LabelTree) -> NDArray:
    """Return what the threshold of each slot is multiplied by: the root of the number of slots that its label has.

    A search reads a label's weights in each of its clusters. This takes most of that back where the threshold is the
    default (docs/explanation/disentanglement.md).
    """
    return np.sqrt(np.bincount(tree.slot_label)[tree.slot_label])
