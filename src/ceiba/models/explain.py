"""Why a label got its score: the path down the tree and the features that carried it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from ceiba.errors import InputError
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.retrieval.searcher import Searcher


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
    """A node on the path: its margin is the bias plus all contributions, of which the largest are listed."""

    level: int
    node: int
    n_labels: int
    bias: float
    margin: float
    contributions: list[Contribution]


@dataclass(frozen=True)
class Explanation:
    """The path to a label in one tree, from the root down; the last step is the label itself.

    Where the embeddings of text and label count too, `cosine` is theirs and `cosine_weight` what it counts beside the
    score (`FusedSearcher` has the formula).
    """

    label: Any
    tree: int
    score: float
    steps: list[Step]
    cosine: float | None = None
    cosine_weight: float = 0.0

    def __str__(self) -> str:
        lines = [f"{self.label!r}: score {self.score:.4f} in tree {self.tree}"]
        if self.cosine is not None:
            lines[0] += f", cosine {self.cosine:.4f} of weight {self.cosine_weight:g}"
        for step in self.steps:
            what = "label" if step is self.steps[-1] else f"cluster of {step.n_labels} labels"
            lines.append(f"level {step.level}, node {step.node} ({what}): margin {step.margin:+.3f}")
            lines.append(f"    {step.bias:+.3f}  (bias)")
            for part in step.contributions:
                lines.append(f"    {part.amount:+.3f}  {part.feature} ({part.value:.3f} x {part.weight:+.3f})")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the explanation as a notebook shows it: a table per node. Names are text, never markup."""
        heading = str(self).split("\n", 1)[0]
        parts = [f"<p><b>{_shown(heading)}</b></p>"]
        for step in self.steps:
            what = "label" if step is self.steps[-1] else f"cluster of {step.n_labels} labels"
            rows = [f"<tr><td>{step.bias:+.3f}</td><td>(bias)</td><td></td><td></td></tr>"]
            for part in step.contributions:
                numbers = f"<td>{part.value:.3f}</td><td>{part.weight:+.3f}</td>"
                rows.append(f"<tr><td>{part.amount:+.3f}</td><td>{_shown(part.feature)}</td>{numbers}</tr>")
            caption = f"level {step.level}, node {step.node} ({what}): margin {step.margin:+.3f}"
            header = "<tr><th>contribution</th><th>feature</th><th>value</th><th>weight</th></tr>"
            parts.append(
                f"<table><caption>{caption}</caption><thead>{header}</thead><tbody>{''.join(rows)}</tbody></table>"
            )
        return f"<div>{''.join(parts)}</div>"


def _shown(name: Any) -> str:
    return escape(str(name), quote=True)


def explain(
    model: Any, searcher: Searcher, X: FeatureMatrix, label: Any, column: int, *, n_features: int, tree: int | None
) -> Explanation:
    """Explain the score of one label for one instance; see `PartitionedClassifier.explain`."""
    ptr, labels = np.array([0, 1], np.int64), np.array([column], np.int32)

    def score_in(t: int) -> float:
        return float(searcher.score_labels(X, ptr, labels, tree=t)[0])

    if tree is None:
        tree = int(np.argmax([score_in(t) for t in range(len(model.partitions_))]))
    elif not 0 <= tree < len(model.partitions_):
        raise InputError(f"The model has {len(model.partitions_)} trees, there is no tree {tree}.")
    partition = model.partitions_[tree]
    name_of = feature_names(model)
    dense = np.zeros(X.n_features, np.float32)
    np.add.at(dense, X.indices, X.data)
    if X.dense is not None:
        dense[X.n_sparse :] = X.dense[0]

    best: list[Step] = []
    best_total = -np.inf
    for index, slot in enumerate(partition.tree.slots(column)):
        nodes = [*partition.tree.path(column, index), int(slot)]
        steps = []
        for level, (layer, node) in enumerate(zip(partition.layers, nodes, strict=True), start=1):
            features, weights, bias = layer.column(node)
            amounts = dense[features] * weights
            order = np.argsort(-np.abs(amounts), kind="stable")[:n_features]
            parts = [
                Contribution(name_of(int(features[i])), float(dense[features[i]]), float(weights[i]))
                for i in order
                if amounts[i] != 0
            ]
            n_labels = 1 if level == len(nodes) else len(partition.tree.labels_under(level, node))
            steps.append(Step(level, node, n_labels, bias, float(bias + amounts.sum()), parts))
        total = sum(_log_score(step.margin, model.combine) for step in steps)
        if total > best_total:
            best, best_total = steps, total
    cosines = searcher.cosines(X, ptr, labels)
    cosine = None if cosines is None else float(cosines[0])
    return Explanation(label, tree, score_in(tree), best, cosine, searcher.weight)


def _log_score(margin: float, combine: str) -> float:
    """Return the logarithm of a node's score, as the core has it."""
    form = combine.removeprefix("log-")
    if form == "sigmoid":
        return -float(np.logaddexp(0.0, -margin))
    return -(max(0.0, 1.0 - margin) ** {"l1-hinge": 1, "l2-hinge": 2, "l3-hinge": 3}[form])


def feature_names(model: Any) -> Any:
    """Return a function that names a feature by its number; what comes after the named ones is the embedding."""
    names = getattr(model, "feature_names_in_", None)
    if model.vectorizer_ is not None and hasattr(model.vectorizer_, "get_feature_names_out"):
        names = model.vectorizer_.get_feature_names_out()
    if names is None:
        return lambda feature: feature
    return lambda feature: names[feature] if feature < len(names) else f"{EMBEDDING}[{feature - len(names)}]"
