"""The path down a tree to a label, and the features that carried its score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.tree_model import TreeModel


@dataclass(frozen=True)
class Contribution:
    """A feature's share of a margin: its value in the instance times the node's weight."""

    feature: Any
    value: float
    weight: float

    @property
    def amount(self) -> float:
        """The product of value and weight."""
        return self.value * self.weight


@dataclass(frozen=True)
class Step:
    """A node on the path: its margin is the bias plus all contributions. The largest are listed."""

    level: int
    node: int
    n_labels: int
    bias: float
    margin: float
    contributions: list[Contribution]


def best_path(model: TreeModel, X: FeatureMatrix, label: int, combine: str) -> list[Step]:
    """Return the nodes from the first level down to a label; of a label with several slots that of the best score.

    Parameters
    ----------
    model : TreeModel
    X : FeatureMatrix of one row
    label : int
    combine : str

    Returns
    -------
    list of Step
        Their contributions are all that are not 0, the largest amounts first, features by number.
    """
    row = np.zeros(X.n_features, np.float32)
    np.add.at(row, X.indices, X.data)
    if X.dense is not None:
        row[X.n_sparse :] = X.dense[0]
    paths = [
        [_step(model, row, level, node) for level, node in enumerate([*model.tree.path(label, index), int(slot)], 1)]
        for index, slot in enumerate(model.tree.slots(label))
    ]
    return max(paths, key=lambda steps: sum(_log_score(step.margin, combine) for step in steps))


def _step(model: TreeModel, row: NDArray[np.float32], level: int, node: int) -> Step:
    features, weights, bias = model.layers[level - 1].column(node, only=np.flatnonzero(row))
    amounts = row[features] * weights
    order = np.argsort(-np.abs(amounts), kind="stable")
    parts = [
        Contribution(int(features[i]), float(row[features[i]]), float(weights[i])) for i in order if amounts[i] != 0
    ]
    n_labels = 1 if level == len(model.layers) else len(model.tree.labels_under(level, node))
    return Step(level, node, n_labels, bias, float(bias + amounts.sum()), parts)


def _log_score(margin: float, combine: str) -> float:
    """Return the logarithm of a node's score, as the core has it."""
    form = combine.removeprefix("log-")
    if form == "sigmoid":
        return -float(np.logaddexp(0.0, -margin))
    return -(max(0.0, 1.0 - margin) ** {"l1-hinge": 1, "l2-hinge": 2, "l3-hinge": 3}[form])
