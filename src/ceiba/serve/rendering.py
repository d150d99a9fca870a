"""Labels and models as JSON has them."""

from __future__ import annotations

from typing import Any

from ceiba.serve.explanations import examples
from ceiba.serve.served_model import Answer, Loaded, ServedModel


def labels_of(loaded: Loaded, answer: Answer) -> list[dict[str, Any]]:
    """Return ranked labels."""
    texts = loaded.texts
    return [
        {"id": str(label), "text": None if texts is None else texts[label], "score": score}
        for label, score in zip(answer.labels, answer.scores, strict=True)
    ]


def label_entry(loaded: Loaded, column: int) -> dict[str, Any]:
    """Return the label of a column."""
    label = loaded.ids[column]
    return {
        "id": str(label),
        "text": loaded.text(label),
        "training_texts": int(loaded.model.label_counts_[column]),
    }


def model_info(model: ServedModel) -> dict[str, Any]:
    """Return what there is to know of a model."""
    loaded = model.current
    return {
        "name": model.name,
        "generation": loaded.generation,
        "type": type(loaded.model).__name__,
        "n_labels": len(loaded.ids),
        "n_training_texts": int(loaded.model.n_train_),
        "n_trees": len(loaded.model.trees_),
        "calibrated": loaded.calibrated,
        "has_label_texts": loaded.texts is not None,
        "has_training_texts": bool(loaded.model.has_training_texts),
    }


def children_of(loaded: Loaded, tree: int, level: int, node: int, offset: int, limit: int) -> dict[str, Any]:
    """Return the children of a node of a label tree, those of the root for level 0."""
    found = loaded.model.trees_[tree]
    child_ptr = found.child_ptrs[level]
    begin, end = int(child_ptr[node]), int(child_ptr[node + 1])
    is_label = level == found.depth - 1
    children = []
    for child in range(begin + offset, min(end, begin + offset + limit)):
        columns = [int(found.slot_label[child])] if is_label else found.labels_under(level + 1, child)
        entry = label_entry(loaded, int(columns[0])) if is_label else None
        names = [] if is_label else examples(loaded, tree, level + 1, child)
        children.append(
            {"level": level + 1, "node": child, "n_labels": len(columns), "label": entry, "examples": names}
        )
    return {
        "n_trees": len(loaded.model.trees_),
        "tree": tree,
        "depth": found.depth,
        "n_children": end - begin,
        "children": children,
    }
