"""One tree with its trained layers: what XR-Linear is made of, and any model that partitions its labels."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ceiba._progress import Progress, stage
from ceiba.data.instances import InstanceLists
from ceiba.executors.executor import Executor
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

    def to_arrays(self) -> dict[str, NDArray]:
        """Return all of it as arrays, by names from which `from_arrays` puts it together again."""
        arrays = {f"tree.{name}": array for name, array in self.tree.to_arrays().items()}
        for t, layer in enumerate(self.layers):
            arrays.update({f"layer.{t}.{name}": array for name, array in layer.arrays.items()})
        report = {"features": self.layers[0].n_features, "seconds": self.seconds, "work": [x.work for x in self.layers]}
        arrays["report"] = np.frombuffer(json.dumps(report).encode(), np.uint8)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> TreeModel:
        """Put a model together from the arrays of `to_arrays`."""
        report = json.loads(arrays["report"].tobytes())
        tree = LabelTree.from_arrays(_below(arrays, "tree."))
        layers = []
        for t, (child_ptr, work) in enumerate(zip(tree.child_ptrs, report["work"], strict=True)):
            layer = Layer.from_arrays(child_ptr, report["features"], _below(arrays, f"layer.{t}."))
            layer.work.update(work)
            layers.append(layer)
        return cls(tree, layers, dict(report["seconds"]))


def _below(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


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
    executor: Executor | None = None,
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
    executor : Executor or None, default=None
        Deals out shards of each level. None: all is done in this process.

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
                n_threads=n_threads, progress=report, executor=executor,
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
