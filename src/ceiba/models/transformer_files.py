"""A Transformer model's own files: the encoder, the ranker (a model by itself), and embeddings of labels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from ceiba._params import Flag, Interval
from ceiba.errors import InputError, ModelFormatError, StorageError
from ceiba.io.reading import FolderFiles
from ceiba.io.sealed import Fields
from ceiba.io.tensors import write_tensors

RANKER, _ENCODER = "ranker", "encoder"  # folders
_COSINE_FILE = "cosine.safetensors"


def write(model: Any, folder: Path) -> dict[str, Any]:
    """Write the fitted attributes but for the ranker; return what the manifest says of them."""
    _write_encoder(model.encoder_, folder / _ENCODER)
    if model.label_embeddings_ is not None:
        write_tensors(folder / _COSINE_FILE, {"embeddings": model.label_embeddings_})
    names = getattr(model, "feature_names_in_", None)
    return {
        "cosine_weight": model.cosine_weight_,
        "read_label_texts": model.read_label_texts_,
        "n_sparse": model.n_sparse_,
        "own_features": model.own_features_,
        "feature_names": None if names is None else [str(name) for name in names],
    }


def read(model: Any, files: FolderFiles, fields: Fields, ranker: Any) -> None:
    """Read what `write` wrote, beside a ranker that has been read."""
    from ceiba.encoders.load import load_saved
    from ceiba.encoders.runtime import require_torch

    require_torch(f"{files.path()}: a model with an encoder")
    model.n_sparse_ = fields.get("n_sparse", Interval(int, 0, 2**31 - 1))
    model.own_features_ = bool(fields.get("own_features", Flag()))
    model.read_label_texts_ = bool(fields.get("read_label_texts", Flag()))
    names = fields.values.get("feature_names")  # not in folders of format 2
    if names is not None:
        if not isinstance(names, list) or len(names) != model.n_sparse_ or not all(type(name) is str for name in names):
            raise ModelFormatError(f"{files.path()}: 'feature_names' does not hold {model.n_sparse_} names.")
        model.feature_names_in_ = np.array(names, dtype=object)
    path = files.path(_ENCODER)
    model.encoder_ = load_saved(path, device=usable_device(model.device), precision=model.precision)
    files.check_names()  # the encoder's libraries read by name
    if model.n_sparse_ + model.encoder_.dim != ranker.n_features_in_:
        raise ModelFormatError(f"{path}: the encoder's embeddings do not have the width that the ranker learned.")
    model._take(ranker)
    model.cosine_weight_ = float(fields.get("cosine_weight", Interval(float, 0, None)))
    model.label_embeddings_ = None
    if model.cosine_weight_ > 0:
        model.label_embeddings_ = _label_embeddings(files, (len(ranker.classes_), model.encoder_.dim))


def usable_device(device: str) -> str:
    """Return the device of a parameter, "auto" with a warning where this machine has none of that name."""
    from ceiba.encoders.runtime import choose_device

    try:
        choose_device(device)
    except InputError:
        warnings.warn(
            f"device={device!r} is not on this machine; the encoder was loaded with device='auto'.",
            RuntimeWarning,
            stacklevel=8,
        )
        return "auto"
    return device


def _write_encoder(encoder: Any, folder: Path) -> None:
    try:
        encoder.save(folder)
    except SafetensorError as error:  # a full disk, in the words of a library
        raise StorageError(f"The encoder cannot be written to {folder}: {error}") from error
    except Exception as error:
        if type(error) is not Exception:  # tokenizers raises this very class
            raise
        raise StorageError(f"The tokenizer cannot be written to {folder}: {error}") from error


def _label_embeddings(files: FolderFiles, shape: tuple[int, int]) -> np.ndarray:
    embeddings, path = files.tensors(_COSINE_FILE).get("embeddings"), files.path(_COSINE_FILE)
    if embeddings is None or embeddings.shape != shape or embeddings.dtype != np.float32:
        raise ModelFormatError(f"{path} does not hold an embedding of {shape[1]} numbers for each label.")
    if not np.isfinite(embeddings).all():
        raise ModelFormatError(f"{path}: embeddings must be finite numbers.")
    return embeddings
