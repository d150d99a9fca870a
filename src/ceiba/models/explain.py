"""Why a label got its score: the path down the tree and the features that carried it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ceiba.retrieval.tree_path import Contribution, Step

__all__ = ["Contribution", "Explanation", "Step", "largest"]


@dataclass(frozen=True)
class Explanation:
    """The path to a label in one tree, from the root down; the last step is the label itself.

    Where the embeddings of text and label count too, `cosine` is theirs and `cosine_weight` what it counts beside the
    score (`ScoreFusion` has the formula).
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


def largest(steps: list[Step], n_features: int, name_of: Callable[[int], Any]) -> list[Step]:
    """Return steps with their largest contributions only, and with the names of features."""
    return [
        replace(step, contributions=[replace(part, feature=name_of(part.feature)) for part in shown])
        for step in steps
        for shown in [step.contributions[:n_features]]
    ]
