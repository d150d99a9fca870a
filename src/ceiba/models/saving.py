"""Models to folders and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from ceiba._params import check_all
from ceiba._storage import (
    MODEL_FILE,
    atomic_folder,
    read_manifest,
    read_tensors,
    write_manifest,
    write_tensors,
)
from ceiba.errors import CeibaError, InputError, MissingExtraError, ModelFormatError
from ceiba.features.store import load_vectorizer, save_vectorizer
from ceiba.layers.layer import Layer
from ceiba.layers.partition import Partition
from ceiba.tree.label_tree import LabelTree

_LABELS_FILE = "labels.json"
_COUNTS_FILE = "labels.safetensors"
_EMBEDDING_FILE = "label_embedding.safetensors"
_COSINE_FILE = "cosine.safetensors"
_LABEL_TEXTS_FILE = "label_texts.json"
_RANKER, _ENCODER = "ranker", "encoder"  # folders of a Transformer model

# parameters that are objects: how each comes back is said where it is read
_OBJECTS = ("vectorizer", "tree", "label_embedding")


def save(model: Any, folder: Path) -> None:
    """Write a fitted model; see `PartitionedClassifier.save`."""
    with atomic_folder(folder) as new:
        write = _write_linear if not hasattr(model, "ranker_") else _write_transformer
        texts = model.label_texts_
        if texts is not None:
            (new / _LABEL_TEXTS_FILE).write_text(json.dumps(texts.tolist(), ensure_ascii=False), encoding="utf-8")
        content = {"class": type(model).__name__, "label_texts": texts is not None, **write(model, new)}
        write_manifest(new, content)


def _write_transformer(model: Any, new: Path) -> dict[str, Any]:
    """Write encoder and ranker, each in the layout it has by itself: other tools read the one, `load` the other."""
    params = model.get_params(deep=False)
    save(model.ranker_, new / _RANKER)
    model.encoder_.save(new / _ENCODER)
    if model.label_embeddings_ is not None:
        write_tensors(new / _COSINE_FILE, {"embeddings": model.label_embeddings_})
    return {
        "params": {name: _written(value) for name, value in params.items() if name not in ("ranker", "vectorizer")},
        "own_ranker": params["ranker"] is not None,
        "cosine_weight": model.cosine_weight_,
        "read_label_texts": model.read_label_texts_,
        "n_sparse": model.n_sparse_,
        "own_features": model.own_features_,
        **_write_vectorizer(model, new),
    }


def _write_vectorizer(model: Any, new: Path) -> dict[str, Any]:
    given = model.get_params(deep=False)["vectorizer"]
    fitted = model.vectorizer_
    written = None if fitted is None else save_vectorizer(fitted, new)
    return {
        "vectorizer": written,
        "vectorizer_param": given if isinstance(given, str) else "fitted" if fitted is not None else None,
    }


def _write_linear(model: Any, new: Path) -> dict[str, Any]:
    params = model.get_params(deep=False)
    manifest: dict[str, Any] = {
        "params": {name: _written(value) for name, value in params.items() if name not in _OBJECTS},
        "n_features": model.n_features_in_,
        "feature_names": model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None,
        "n_labels": len(model.classes_),
        "n_train": model.n_train_,
        "n_trees": len(model.partitions_),
        "own_tree": params["tree"] is not None,
        "label_embedding": params["label_embedding"] if isinstance(params["label_embedding"], str) else "array",
        **_write_vectorizer(model, new),
    }
    if manifest["label_embedding"] == "array":
        write_tensors(new / _EMBEDDING_FILE, _embedding_arrays(params["label_embedding"]))
    (new / _LABELS_FILE).write_text(json.dumps(model.classes_.tolist(), ensure_ascii=False), encoding="utf-8")
    write_tensors(new / _COUNTS_FILE, {"counts": model.label_counts_.astype(np.int64)})
    for t, partition in enumerate(model.partitions_):
        arrays = {f"tree.{name}": array for name, array in partition.tree.to_arrays().items()}
        for level, layer in enumerate(partition.layers):
            arrays.update({f"layer.{level}.{name}": array for name, array in layer.arrays.items()})
        write_tensors(new / f"tree-{t}.safetensors", arrays)
    return manifest


def load(folder: str | Path, *, trusted: Sequence[str | type] = ()) -> Any:
    """Load a saved model.

    Weights are mapped, not read: they come into memory as they are used, shared by all processes that map them. All
    checksums and offsets are verified first.

    Parameters
    ----------
    folder : str or Path
        A folder that ``model.save`` wrote.
    trusted : sequence of str or type, default=()
        Types beyond scikit-learn's, NumPy's and SciPy's that a vectorizer of your own may be built of; see
        ``ceiba.features.load_vectorizer``.

    Returns
    -------
    XRLinear, XRTransformer or XTransformer
        The fitted model.

    Raises
    ------
    ModelFormatError
        When the folder holds no model, a damaged one, or one of a newer format; the message names the file.
    """
    from ceiba.models import MODELS

    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        return _load(folder, manifest, MODELS, trusted)
    except (ModelFormatError, MissingExtraError):
        raise
    except (CeibaError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        # json and tensors of the right checksums that still do not make a model: written by something else
        raise ModelFormatError(f"{folder / MODEL_FILE} does not describe a model: {error!r}") from error


def _load(folder: Path, manifest: dict[str, Any], models: dict[str, type], trusted: Sequence[str | type]) -> Any:
    if manifest["class"] not in models:
        raise ModelFormatError(f"{folder / MODEL_FILE} is of the class {manifest['class']!r}, which is not known.")
    kind: Any = models[manifest["class"]]
    # a preset's values stand among the parameters; models of before 0.1 also name the preset
    params = {**manifest["params"]}
    params.pop("preset", None)
    model = kind(**params)
    check_all(model.get_params(deep=False), kind._constraints, kind.__name__)
    read = _read_linear if kind is models["XRLinear"] else _read_transformer
    read(model, folder, manifest)
    model.label_texts_ = _label_texts(folder, len(model.classes_)) if manifest.get("label_texts") else None
    model.vectorizer_ = None
    if manifest["vectorizer"] is not None:
        model.vectorizer_ = load_vectorizer(manifest["vectorizer"], folder, trusted=trusted)
    model.vectorizer = model.vectorizer_ if manifest["vectorizer_param"] == "fitted" else manifest["vectorizer_param"]
    return model


def _read_transformer(model: Any, folder: Path, manifest: dict[str, Any]) -> None:
    from ceiba.encoders.load import load_saved
    from ceiba.encoders.runtime import choose_device, require_torch

    require_torch(f"{folder}: a model with an encoder")
    ranker = load(folder / _RANKER)
    try:
        choose_device(model.device)
    except InputError:  # trained on another machine's device
        model.device = "auto"
    model.encoder_ = load_saved(folder / _ENCODER, device=model.device, precision=model.precision)
    model.n_sparse_, model.own_features_ = int(manifest["n_sparse"]), bool(manifest["own_features"])
    if model.n_sparse_ + model.encoder_.dim != ranker.n_features_in_:
        raise ModelFormatError(f"{folder}: the encoder's embeddings do not have the width that the ranker learned.")
    model._take(ranker)
    model.read_label_texts_ = bool(manifest["read_label_texts"])
    model.label_embeddings_, model.cosine_weight_ = _label_embeddings(folder, manifest, ranker, model.encoder_.dim)
    # whether it learned from label texts was the model's choice, not the template's
    model.ranker = clone(ranker).set_params(label_documents=False) if manifest["own_ranker"] else None


def _label_embeddings(folder: Path, manifest: dict[str, Any], ranker: Any, dim: int) -> tuple[np.ndarray | None, float]:
    """Return the embeddings of the labels and what the cosine to them counts."""
    weight = float(manifest["cosine_weight"])
    if weight == 0:
        return None, weight
    path = folder / _COSINE_FILE
    embeddings = read_tensors(path)["embeddings"]
    if embeddings.shape != (len(ranker.classes_), dim) or embeddings.dtype != np.float32:
        raise ModelFormatError(f"{path} does not hold an embedding of {dim} numbers for each label.")
    if not (weight > 0 and np.isfinite(weight) and np.isfinite(embeddings).all()):
        raise ModelFormatError(f"{path}: embeddings and their weight must be finite numbers.")
    return embeddings, weight


def _read_linear(model: Any, folder: Path, manifest: dict[str, Any]) -> None:

    names = _read_json(folder / _LABELS_FILE)
    model.classes_ = np.array(names, dtype=np.int64) if isinstance(names[0], int) else np.array(names, dtype=object)
    model.label_counts_ = np.array(read_tensors(folder / _COUNTS_FILE)["counts"])
    model.n_train_ = int(manifest["n_train"])
    model.n_features_in_ = int(manifest["n_features"])
    names_of_features = manifest.get("feature_names")
    if names_of_features is not None:
        if len(names_of_features) != model.n_features_in_:
            raise ModelFormatError(f"{folder / MODEL_FILE} names {len(names_of_features)} features.")
        model.feature_names_in_ = np.array(names_of_features, dtype=object)
    n_labels = int(manifest["n_labels"])
    if not 1 <= model.n_features_in_ < 2**31:
        raise ModelFormatError(f"{folder / MODEL_FILE} names {model.n_features_in_} features.")
    if model.classes_.shape != (n_labels,) or model.label_counts_.shape != (n_labels,):
        raise ModelFormatError(f"{folder / _LABELS_FILE} does not have {n_labels} labels.")

    model.partitions_ = []
    for t in range(int(manifest["n_trees"])):
        path = folder / f"tree-{t}.safetensors"
        try:
            model.partitions_.append(_partition(read_tensors(path), model.n_features_in_, n_labels))
        except CeibaError as error:
            raise ModelFormatError(f"{path}: {error}") from error
    try:
        model._searcher()
    except ValueError as error:
        raise ModelFormatError(f"{folder}: {error}") from error

    model.tree = model.partitions_[0].tree if manifest["own_tree"] else None
    model.label_embedding = manifest["label_embedding"]
    if model.label_embedding == "array":
        model.label_embedding = _embedding(read_tensors(folder / _EMBEDDING_FILE))


def _label_texts(folder: Path, n_labels: int) -> np.ndarray:
    texts = _read_json(folder / _LABEL_TEXTS_FILE)
    if not isinstance(texts, list) or len(texts) != n_labels or not set(map(type, texts)) <= {str}:
        raise ModelFormatError(f"{folder / _LABEL_TEXTS_FILE} does not have a text for each of {n_labels} labels.")
    return np.array(texts, dtype=object)


def _partition(arrays: dict[str, np.ndarray], n_features: int, n_labels: int) -> Partition:
    tree = LabelTree.from_arrays(
        {name.removeprefix("tree."): array for name, array in arrays.items() if name.startswith("tree.")}
    )
    if tree.n_labels != n_labels:
        raise ModelFormatError(f"the tree has {tree.n_labels} labels in place of {n_labels}")
    layers = []
    for level, child_ptr in enumerate(tree.child_ptrs):
        prefix = f"layer.{level}."
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        layers.append(Layer.from_arrays(child_ptr, n_features, own))
    return Partition(tree, layers)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is damaged: {error}") from error


def _written(value: Any) -> Any:
    """Return a parameter as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        return None  # it has moved on since
    return str(value) if isinstance(value, Path) else value


def _embedding_arrays(embedding: Any) -> dict[str, np.ndarray]:
    given: Any = embedding
    if not sp.issparse(embedding):
        return {"dense": np.asarray(embedding, np.float32)}
    matrix = given.tocsr()
    return {
        "indptr": matrix.indptr.astype(np.int64),
        "indices": matrix.indices.astype(np.int32),
        "data": matrix.data.astype(np.float32),
        "shape": np.array(matrix.shape, np.int64),
    }


def _embedding(arrays: dict[str, np.ndarray]) -> Any:
    if "dense" in arrays:
        return np.array(arrays["dense"])
    parts = tuple(np.array(arrays[name]) for name in ("data", "indices", "indptr"))
    return sp.csr_array(parts, shape=tuple(arrays["shape"].tolist()))
