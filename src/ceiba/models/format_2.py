"""Parameters of format 2, whose folders had no generations: written as plain JSON, objects among them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from ceiba._params import Constraint, Exactly, Flag, Options
from ceiba.errors import ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.sealed import OBJECT, Fields
from ceiba.io.values import array_named
from ceiba.models.parameter_files import check_params, set_param

_EMBEDDING_FILE = "label_embedding.safetensors"
_EMBEDDINGS: Constraint = Options("pifa", "pii", "text", "pifa+text", "array")


def read_params(model: Any, files: FolderFiles, fields: Fields) -> None:
    """Set a model's parameters; its fitted attributes have been read already."""
    for name, value in fields.get("params", OBJECT).items():
        if name != "preset":  # its values stand among the parameters
            set_param(model, name, value, fields.path)
    said = fields.get("vectorizer_param", Options("tfidf", "fitted"), Exactly(None))
    model.vectorizer = said
    if said == "fitted":
        if model.vectorizer_ is None:
            raise ModelFormatError(f"{fields.path}: there is no fitted vectorizer.")
        model.vectorizer = clone(model.vectorizer_)
    check_params(model, fields.path)


def read_linear(model: Any, files: FolderFiles, fields: Fields) -> None:
    """Set the parameters of a linear model that are objects."""
    model.tree = model.partitions_[0].tree if fields.get("own_tree", Flag()) else None
    model.label_embedding = fields.get("label_embedding", _EMBEDDINGS)
    if model.label_embedding == "array":
        model.label_embedding = _embedding(files)


def read_transformer(model: Any, fields: Fields) -> None:
    """Set the parameter `ranker` of a Transformer model."""
    own = fields.get("own_ranker", Flag())
    # whether it learned from label texts was the model's choice, not the template's
    model.ranker = clone(model.ranker_).set_params(label_documents=False) if own else None


def _embedding(files: FolderFiles) -> Any:
    arrays, path = files.tensors(_EMBEDDING_FILE), files.path(_EMBEDDING_FILE)
    if "dense" in arrays:
        return np.array(array_named("dense", arrays, path, kinds="f", ndim=2))
    parts = [array_named(name, arrays, path, kinds=kind) for name, kind in _CSR]
    shape = array_named("shape", arrays, path, kinds="iu").tolist()
    try:
        matrix = sp.csr_array(tuple(np.array(part) for part in parts), shape=tuple(shape))
        matrix.check_format(full_check=True)
    except (ValueError, OverflowError) as error:
        raise ModelFormatError(f"{path}: the label embedding is damaged: {error}") from error
    return matrix


_CSR = (("data", "f"), ("indices", "iu"), ("indptr", "iu"))
