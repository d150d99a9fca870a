"""Trees of LightGBM as arrays for the core."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.data.offsets import offsets

_CATEGORICAL, _MISSING = 1, 12  # bits of a node's decision_type


def tree_arrays(model: str) -> dict[str, NDArray]:
    """Return the trees of a model in LightGBM's text format.

    Parameters
    ----------
    model : str
        What ``Booster.model_to_string`` returns.

    Returns
    -------
    dict of str to ndarray
        "node_ptr" and "leaf_ptr", the offsets of each tree; "feature", "threshold", "left" and "right" of each node,
        and "leaf", the values. A child below 0 is leaf -1 - child.

    Raises
    ------
    ValueError
        When the text is not that of such a model, or a node compares other than numbers.
    """
    trees = [_tree(part) for part in model.split("end of trees", 1)[0].split("\nTree=")[1:]]
    empty: dict[str, NDArray] = {
        "feature": np.empty(0, np.int32),
        "threshold": np.empty(0, np.float64),
        "left": np.empty(0, np.int32),
        "right": np.empty(0, np.int32),
        "leaf": np.empty(0, np.float64),
    }
    of_all = {name: np.concatenate([none, *(tree[name] for tree in trees)]) for name, none in empty.items()}
    ends = {
        name: offsets([len(tree[of]) for tree in trees]) for name, of in (("node_ptr", "feature"), ("leaf_ptr", "leaf"))
    }
    return {**ends, **of_all}


def core_trees(model: str, n_features: int) -> Any:
    """Return the core's trees of a model in LightGBM's text format; ValueError where it is none."""
    return core.BoostedTrees(*tree_arrays(model).values(), n_features)


def _tree(text: str) -> dict[str, NDArray]:
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    kinds = np.array(values.get("decision_type", "").split(), np.int64)
    if (kinds & (_CATEGORICAL | _MISSING)).any() or values.get("is_linear", "0") != "0":
        raise ValueError("a tree does more than compare numbers")
    if "leaf_value" not in values:
        raise ValueError("a tree has no leaves")
    return {
        "feature": np.array(values.get("split_feature", "").split(), np.int32),
        "threshold": np.array(values.get("threshold", "").split(), np.float64),
        "left": np.array(values.get("left_child", "").split(), np.int32),
        "right": np.array(values.get("right_child", "").split(), np.int32),
        "leaf": np.array(values["leaf_value"].split(), np.float64),
    }
