"""Models to folders and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ceiba.errors import InputError, ModelFormatError
from ceiba.io.generations import new_generation, write_manifest
from ceiba.io.layout import FORMAT_VERSION
from ceiba.io.reading import FolderFiles, read_model
from ceiba.io.registry import FolderWriter, LoadContext, load_component, save_component
from ceiba.io.sealed import STRING, Fields
from ceiba.models.hybrid import HybridClassifier
from ceiba.models.older_formats import read_older
from ceiba.models.parameter_files import read_params, set_fitted_vectorizer, write_params
from ceiba.models.x_transformer import XTransformer
from ceiba.models.xr_linear import XRLinear
from ceiba.models.xr_transformer import XRTransformer

MODELS: dict[str, Any] = {
    "HybridClassifier": HybridClassifier,
    "XRLinear": XRLinear,
    "XRTransformer": XRTransformer,
    "XTransformer": XTransformer,
}


def save(estimator: Any, folder: str | Path) -> None:
    """Write a fitted estimator; see `PartitionedClassifier.save`."""
    kind = type(estimator).__name__
    if MODELS.get(kind) is not type(estimator):
        known = ", ".join(MODELS)
        raise InputError(f"{kind} cannot be saved: ceiba.load makes models of the classes {known} only.")
    with new_generation(folder) as new:
        content = {"class": kind, **write_params(estimator, new)}
        write_manifest(new, {**content, "model": save_component(estimator.model_, FolderWriter(new))})


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
    fields: Fields = files.manifest()
    kind = fields.get("class", STRING)
    if kind not in MODELS:
        raise ModelFormatError(f"{fields.path} is of the class {kind!r}, which is not known.")
    estimator = MODELS[kind]()
    if fields.values["format_version"] < FORMAT_VERSION:
        read_older(estimator, files, fields, trusted)
        return estimator
    state = read_params(estimator, fields, files)
    params = estimator.get_params(deep=False)
    context = LoadContext(trusted, params.get("device", "auto"), params.get("precision", "auto"), kind)
    model = load_component("model", files, fields.within("model"), context)
    set_fitted_vectorizer(estimator, fields, model.queries.vectorizer)
    estimator.restore(model, state)
    return estimator
