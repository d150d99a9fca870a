"""Parameters of models on disk: what ``get_params`` said before a save, it says after the load."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ceiba._estimator import translate_parameter
from ceiba._settings import check_parameters
from ceiba.errors import InputError, ModelFormatError
from ceiba.features import TfidfVectorizer
from ceiba.io.reading import FolderFiles
from ceiba.io.sealed import OBJECT, Fields
from ceiba.io.tensors import write_tensors
from ceiba.io.values import Arrays, NotWritable, array_named, decode, decoders, encode
from ceiba.models.x_transformer import XTransformer
from ceiba.models.xr_linear import XRLinear
from ceiba.models.xr_transformer import XRTransformer
from ceiba.tree.label_tree import LabelTree

_FILE = "params.safetensors"
_FITTED = {"fitted": "vectorizer"}  # a template whose parameters are those of the fitted vectorizer
_ESTIMATORS: dict[str, Any] = {each.__name__: each for each in (XRLinear, XRTransformer, XTransformer, TfidfVectorizer)}


def write_params(estimator: Any, folder: Path) -> dict[str, Any]:
    """Write the arrays among an estimator's parameters and fitted state; return both as fields of the manifest."""
    arrays: Arrays = {}
    written: dict[str, Any] = {}
    for name, value in estimator.get_params(deep=False).items():
        try:
            written[name] = encode(value, name, arrays)
        except NotWritable as error:
            if name == "vectorizer" and estimator.vectorizer_ is not None:
                written[name] = _FITTED
                continue
            warnings.warn(
                f"The parameter {name!r} is not saved: there is no way to write a {error}. The fitted model needs it "
                "no more; set it again before the loaded model is fitted anew.",
                RuntimeWarning,
                stacklevel=4,
            )
    state = {name: encode(value, f"state.{name}", arrays) for name, value in estimator.fitted_state().items()}
    if arrays:
        write_tensors(folder / _FILE, arrays)
    return {"params": written, "state": state}


def read_params(estimator: Any, fields: Fields, files: FolderFiles) -> dict[str, Any]:
    """Set an estimator's parameters, and return its fitted state; `set_fitted_vectorizer` does what then remains.

    Parameters are set one by one: a constructor may derive some of them from others.
    """
    written, state = fields.get("params", OBJECT), fields.values.get("state", {})
    if not isinstance(state, dict):
        raise ModelFormatError(f"{fields.path}: the field 'state' must be an object.")
    arrays = files.tensors(_FILE) if _holds_arrays([written, state]) else {}
    for name, value in written.items():
        if name != "vectorizer" or value != _FITTED:
            set_param(estimator, name, decode(value, arrays, fields.path), fields.path)
    check_params(estimator, fields.path)
    return {name: decode(value, arrays, fields.path) for name, value in state.items()}


def set_fitted_vectorizer(estimator: Any, fields: Fields, vectorizer: Any) -> None:
    """Set the parameter `vectorizer` where the parameters of the fitted one are all that was saved of it."""
    if fields.get("params", OBJECT).get("vectorizer") == _FITTED:
        if vectorizer is None:
            raise ModelFormatError(f"{fields.path}: there is no fitted vectorizer.")
        set_param(estimator, "vectorizer", clone(vectorizer), fields.path)


def set_param(model: Any, name: str, value: Any, path: Path) -> None:
    """Set a parameter, by its name of today; ModelFormatError where the class has none of this name."""
    name, value = translate_parameter(type(model), name, value)
    if name not in model.get_params(deep=False):
        raise ModelFormatError(f"{path} sets {name!r}, which is no parameter of {type(model).__name__}.")
    setattr(model, name, value)


def check_params(model: Any, path: Path) -> None:
    """Raise ModelFormatError where a value is out of the range of its parameter."""
    try:
        check_parameters(model)
    except InputError as error:
        raise ModelFormatError(f"{path}: {error}") from error


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return next(iter(value), None) in ("array", "csr", "tree") or any(map(_holds_arrays, value.values()))
    return isinstance(value, list) and any(map(_holds_arrays, value))


@encode.register(np.random.RandomState)
@encode.register(np.random.Generator)
def _(value: Any, name: str, arrays: Arrays) -> Any:
    return None  # it has moved on since


@encode.register
def _(value: LabelTree, name: str, arrays: Arrays) -> Any:
    arrays.update({f"{name}.{part}": array for part, array in value.to_arrays().items()})
    return {"tree": name, "depth": value.depth}


@encode.register(XRLinear)
@encode.register(XRTransformer)
@encode.register(XTransformer)
@encode.register(TfidfVectorizer)
def _(value: Any, name: str, arrays: Arrays) -> Any:
    kind = type(value).__name__
    if _ESTIMATORS.get(kind) is not type(value):
        raise NotWritable(kind)
    params = value.get_params(deep=False)
    return {"estimator": kind, "params": {each: encode(v, f"{name}.{each}", arrays) for each, v in params.items()}}


def _decode_tree(value: Mapping[str, Any], arrays: Mapping[str, NDArray], path: Path) -> LabelTree:
    name, depth = value["tree"], value.get("depth")
    if type(depth) is not int or not 1 <= depth <= 64:
        raise ModelFormatError(f"{path}: a tree has no depth.")
    ptrs = [np.array(array_named(f"{name}.child_ptr.{t}", arrays, path, kinds="iu")) for t in range(depth)]
    slots = np.array(array_named(f"{name}.slot_label", arrays, path, kinds="iu"))
    try:
        return LabelTree(ptrs, slots)
    except InputError as error:
        raise ModelFormatError(f"{path}: {error}") from error


def _decode_estimator(value: Mapping[str, Any], arrays: Mapping[str, NDArray], path: Path) -> Any:
    kind, params = value["estimator"], value.get("params")
    if not isinstance(kind, str) or kind not in _ESTIMATORS or not isinstance(params, dict):
        raise ModelFormatError(f"{path}: {kind!r} is no estimator that a parameter can be.")
    estimator = _ESTIMATORS[kind]()
    for name, each in params.items():
        set_param(estimator, name, decode(each, arrays, path), path)
    return estimator


decoders.update({"tree": _decode_tree, "estimator": _decode_estimator})
