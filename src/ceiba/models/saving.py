"""Models to folders and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._params import Exactly
from ceiba.errors import InputError, ModelFormatError
from ceiba.features.store import read_vectorizer, save_vectorizer
from ceiba.io.generations import new_generation, write_manifest
from ceiba.io.reading import FolderFiles, read_model
from ceiba.io.sealed import OBJECT, STRING, Fields, dump_json

_LABEL_TEXTS_FILE = "label_texts.json"
_WITH_RANKER = ("XRTransformer", "XTransformer")


def save(model: Any, folder: str | Path) -> None:
    """Write a fitted model; see `PartitionedClassifier.save`."""
    from ceiba.models import MODELS

    kind = type(model).__name__
    if MODELS.get(kind) is not type(model):
        known = ", ".join(MODELS)
        raise InputError(f"{kind} cannot be saved: ceiba.load makes models of the classes {known} only.")
    with new_generation(folder) as new:
        _write(model, new)


def _write(model: Any, new: Path) -> None:
    from ceiba.models import linear_files, transformer_files
    from ceiba.models.parameter_files import write_params

    content: dict[str, Any] = {"class": type(model).__name__, "params": write_params(model, new)}
    content["vectorizer"] = None if model.vectorizer_ is None else save_vectorizer(model.vectorizer_, new)
    content["label_texts"] = model.label_texts_ is not None
    if content["label_texts"]:
        (new / _LABEL_TEXTS_FILE).write_bytes(dump_json(model.label_texts_.tolist()))
    if content["class"] in _WITH_RANKER:
        (new / transformer_files.RANKER).mkdir()
        _write(model.ranker_, new / transformer_files.RANKER)
        content.update(transformer_files.write(model, new))
    else:
        content.update(linear_files.write(model, new))
    write_manifest(new, content)


def load(folder: str | Path, *, trusted: Sequence[str | type] = (), mmap: bool = True, verify: bool = True) -> Any:
    """Load a saved model.

    A load sees the model that was there when it began or a newer one, whatever is saved to the folder meanwhile.

    Parameters
    ----------
    folder : str or Path
        A folder that ``model.save`` wrote.
    trusted : sequence of str or type, default=()
        Types beyond scikit-learn's, NumPy's and SciPy's that a vectorizer of your own may be built of; see
        ``ceiba.features.load_vectorizer``.
    mmap : bool, default=True
        Map the weights: they come into memory as they are used, shared by all processes that map them. False copies
        them into memory. Do so where other programs may change or cut the files in place: the system ends a process
        that reads a mapped page which its file no longer has. ``model.save`` never does that.
    verify : bool, default=True
        Compare the content of every file with its checksum, which reads them all. False compares their lengths only.
        Offsets and ids are checked in either case, so that a damaged file cannot crash the process.

    Returns
    -------
    XRLinear, XRTransformer or XTransformer
        The fitted model, with the parameters that it was saved with. An encoder whose `device` is not on this machine
        is loaded with "auto"; the parameter stays.

    Raises
    ------
    ModelFormatError
        When the folder holds no model, a damaged one, or one of a newer format; the message names the file.
    StorageError
        When a file cannot be read, for want of permission for one. It is an OSError too.
    """
    return read_model(folder, partial(_read, trusted=trusted), mmap=mmap, verify=verify)


def _read(files: FolderFiles, *, trusted: Sequence[str | type] = ()) -> Any:
    from ceiba.models import MODELS, format_2, linear_files, transformer_files
    from ceiba.models.parameter_files import read_params

    fields = files.manifest()
    name = fields.get("class", STRING)
    if name not in MODELS:
        raise ModelFormatError(f"{fields.path} is of the class {name!r}, which is not known.")
    model: Any = MODELS[name]()
    old = fields.values["format_version"] == 2
    described = fields.get("vectorizer", OBJECT, Exactly(None))
    model.vectorizer_ = None if described is None else read_vectorizer(described, files, trusted=trusted)
    (format_2.read_params if old else read_params)(model, files, fields)
    if name in _WITH_RANKER:
        ranker = _read_ranker(files.part(transformer_files.RANKER))
        transformer_files.read(model, files, fields, ranker)
        if old:
            format_2.read_transformer(model, fields)
    else:
        linear_files.read(model, files, fields)
        linear_files.check_searchable(model, files)
        if old:
            format_2.read_linear(model, files, fields)
    texts = fields.values.get("label_texts")  # of the newer ones of format 2 too
    model.label_texts_ = _label_texts(files, len(model.classes_)) if texts is True else None
    return model


def _label_texts(files: FolderFiles, n_labels: int) -> NDArray:
    texts, path = files.json(_LABEL_TEXTS_FILE), files.path(_LABEL_TEXTS_FILE)
    if not isinstance(texts, list) or len(texts) != n_labels or not all(type(text) is str for text in texts):
        raise ModelFormatError(f"{path} does not have a text for each of {n_labels} labels.")
    return np.array(texts, dtype=object)


def _read_ranker(files: FolderFiles) -> Any:
    fields: Fields = files.manifest()
    if fields.get("class", STRING) != "XRLinear":
        raise ModelFormatError(f"{fields.path} is not of a linear model.")
    return _read(files)
