"""A linear model's own files: labels, their counts, a file for each tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._params import Interval
from ceiba.errors import CeibaError, ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.sealed import Fields, dump_json
from ceiba.io.tensors import write_tensors
from ceiba.linear.layer import Layer
from ceiba.linear.tree_model import TreeModel
from ceiba.tree.label_tree import LabelTree

_LABELS_FILE, _COUNTS_FILE = "labels.json", "labels.safetensors"
_TREE_FILE = "tree-{}.safetensors"
_NAMES_FILE = "feature_names.json"

_SIZE = Interval(int, 1, 2**31 - 1)
_MOST_TREES = 10**6


def write(model: Any, folder: Path) -> dict[str, Any]:
    """Write the fitted attributes; return what the manifest says of them."""
    (folder / _LABELS_FILE).write_bytes(dump_json(model.classes_.tolist()))
    write_tensors(folder / _COUNTS_FILE, {"counts": model.label_counts_.astype(np.int64)})
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        (folder / _NAMES_FILE).write_bytes(dump_json([str(name) for name in names]))
    for t, partition in enumerate(model.partitions_):
        arrays = {f"tree.{name}": array for name, array in partition.tree.to_arrays().items()}
        for level, layer in enumerate(partition.layers):
            arrays.update({f"layer.{level}.{name}": array for name, array in layer.arrays.items()})
        write_tensors(folder / _TREE_FILE.format(t), arrays)
    return {
        "n_features": model.n_features_in_,
        "n_labels": len(model.classes_),
        "n_train": model.n_train_,
        "n_trees": len(model.partitions_),
        "feature_names": names is not None,
    }


def read(model: Any, files: FolderFiles, fields: Fields) -> None:
    """Read what `write` wrote."""
    n_labels, n_features = fields.get("n_labels", _SIZE), fields.get("n_features", _SIZE)
    model.n_features_in_ = n_features
    model.n_train_ = fields.get("n_train", Interval(int, 1, 2**63 - 1))
    model.classes_ = _labels(files, n_labels)
    model.label_counts_ = _counts(files, n_labels)
    if fields.values.get("feature_names") is True:
        model.feature_names_in_ = _feature_names(files, n_features)
    model.partitions_ = []
    for t in range(fields.get("n_trees", Interval(int, 1, _MOST_TREES))):
        name = _TREE_FILE.format(t)
        try:
            model.partitions_.append(_partition(files.tensors(name), n_features, n_labels))
        except CeibaError as error:
            raise ModelFormatError(f"{files.path(name)}: {error}") from error


def check_searchable(model: Any, files: FolderFiles) -> None:
    """Raise ModelFormatError where the arrays of the trees do not fit together."""
    try:
        model._searcher()
    except ValueError as error:  # the core checks every offset, key and id
        raise ModelFormatError(f"{files.path()}: {error}") from error


def _labels(files: FolderFiles, n_labels: int) -> NDArray:
    names, path = files.json(_LABELS_FILE), files.path(_LABELS_FILE)
    if not isinstance(names, list) or len(names) != n_labels:
        raise ModelFormatError(f"{path} does not have {n_labels} labels.")
    if all(type(name) is str for name in names):
        return np.array(names, dtype=object)
    if all(type(name) is int and -(2**63) <= name < 2**63 for name in names):
        return np.array(names, dtype=np.int64)
    raise ModelFormatError(f"{path}: labels must be strings, or numbers of 64 bits.")


def _counts(files: FolderFiles, n_labels: int) -> NDArray[np.int64]:
    counts = files.tensors(_COUNTS_FILE).get("counts")
    if counts is None or counts.dtype != np.int64 or counts.shape != (n_labels,):
        raise ModelFormatError(f"{files.path(_COUNTS_FILE)} does not have a count for each of {n_labels} labels.")
    return np.array(counts)


def _feature_names(files: FolderFiles, n_features: int) -> NDArray:
    names, path = files.json(_NAMES_FILE), files.path(_NAMES_FILE)
    if not isinstance(names, list) or len(names) != n_features or not all(type(name) is str for name in names):
        raise ModelFormatError(f"{path} does not have {n_features} names.")
    return np.array(names, dtype=object)


def _partition(arrays: dict[str, NDArray], n_features: int, n_labels: int) -> TreeModel:
    parts = {name.removeprefix("tree."): array for name, array in arrays.items() if name.startswith("tree.")}
    wrong = next((name for name, array in parts.items() if array.dtype.kind not in "iu"), None)
    if wrong is not None:
        raise ModelFormatError(f"the array {wrong!r} of the tree has the wrong type {parts[wrong].dtype}")
    tree = LabelTree.from_arrays(parts)
    if tree.n_labels != n_labels:
        raise ModelFormatError(f"the tree has {tree.n_labels} labels in place of {n_labels}")
    layers = []
    for level, child_ptr in enumerate(tree.child_ptrs):
        prefix = f"layer.{level}."
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        layers.append(Layer.from_arrays(child_ptr, n_features, own))
    return TreeModel(tree, layers)
