"""How a notebook shows an estimator: scikit-learn's parameters, and what was fitted."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ceiba._shorten import shorten

if TYPE_CHECKING:
    from ceiba.models.classifier import PartitionedClassifier

_FREQUENT = 5
_CHARACTERS = 60


def as_html(estimator: PartitionedClassifier, parameters: str) -> str:
    """Return the HTML of an estimator.

    Parameters
    ----------
    parameters : str
        What scikit-learn shows.
    """
    if not estimator.__sklearn_is_fitted__():
        return parameters
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in facts(estimator).items()
    )
    return f"<div>{parameters}<table><caption>fitted</caption><tbody>{rows}</tbody></table></div>"


def facts(estimator: PartitionedClassifier) -> dict[str, str]:
    """Return what was fitted, as words: sizes and the most frequent labels."""
    counts, texts = estimator.label_counts_, estimator.label_texts_
    trees = estimator.partitions_
    found = {
        "labels": f"{len(counts):,}",
        "training instances": f"{estimator.n_train_:,}",
        "features": f"{estimator.n_features_in_:,}",
        "input": "texts" if estimator.reads_texts else "features",
        "label trees": f"{len(trees):,}",
    }
    if trees:
        found["levels of a tree"] = ", ".join(str(len(tree.layers)) for tree in trees)
        found["size of the trees"] = _size(sum(layer.n_bytes for tree in trees for layer in tree.layers))
    found["scores"] = "calibrated probabilities" if estimator.gives_probabilities else "scores, not calibrated"
    for name, value in estimator.fitted_facts().items():
        found.setdefault(name.replace("_", " "), _short(value))
    first = np.argsort(-counts, kind="stable")[:_FREQUENT]
    shown = [_label(estimator.classes_[i], None if texts is None else texts[i], int(counts[i])) for i in first]
    found["most frequent labels"] = ", ".join(shown)
    return found


def _label(label: Any, text: str | None, count: int) -> str:
    return f"{_short(label)}{f' ({_short(text)})' if text else ''}: {count:,}"


def _short(value: Any) -> str:
    words = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return shorten(words, _CHARACTERS)


def _size(n_bytes: int) -> str:
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if n_bytes >= 10**power:
            return f"{n_bytes / 10**power:.1f} {unit}"
    return f"{n_bytes} B"
