"""Values of parameters as JSON, such that the same values come back.

What JSON does not have is written as an object with one field that names its kind: ``{"tuple": [1, 2]}``. Arrays are
put aside, under a name, to be written to a safetensors file. Other modules register their own types: `encode` is a
single-dispatch function, `decoders` holds a function for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.errors import ModelFormatError
from ceiba.io.tensors import can_write

Arrays = dict[str, NDArray]


class NotWritable(Exception):
    """A value that has no form on disk."""


@singledispatch
def encode(value: Any, name: str, arrays: Arrays) -> Any:
    """Return a value as JSON.

    Parameters
    ----------
    value : object
    name : str
        Of the value; the names of its arrays begin with it.
    arrays : dict
        Takes the arrays.

    Raises
    ------
    NotWritable
        When the value is of a type that nobody registered.
    """
    raise NotWritable(type(value).__name__)


@encode.register(type(None))
@encode.register(bool)
@encode.register(int)
@encode.register(float)
@encode.register(str)
def _(value: Any, name: str, arrays: Arrays) -> Any:
    return value


@encode.register
def _(value: np.generic, name: str, arrays: Arrays) -> Any:
    return encode(value.item(), name, arrays)


@encode.register
def _(value: Path, name: str, arrays: Arrays) -> Any:
    return {"path": str(value)}


@encode.register
def _(value: list, name: str, arrays: Arrays) -> Any:
    return [encode(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]


@encode.register
def _(value: tuple, name: str, arrays: Arrays) -> Any:
    return {"tuple": encode(list(value), name, arrays)}


@encode.register
def _(value: np.ndarray, name: str, arrays: Arrays) -> Any:
    arrays[name] = value if can_write(value) else np.asarray(value, np.float64)
    return {"array": name}


@encode.register(sp.sparray)
@encode.register(sp.spmatrix)
def _(value: Any, name: str, arrays: Arrays) -> Any:
    rows = value.tocsr()
    for part in ("indptr", "indices", "data"):
        encode(getattr(rows, part), f"{name}.{part}", arrays)
    return {"csr": name, "shape": list(value.shape)}


def decode(value: Any, arrays: Mapping[str, NDArray], path: Path) -> Any:
    """Return the value that `encode` wrote.

    Parameters
    ----------
    value : object
        JSON.
    arrays : dict
        The arrays put aside.
    path : Path
        The file, for messages.

    Raises
    ------
    ModelFormatError
        When it is nothing that `encode` writes.
    """
    if isinstance(value, list):
        return [decode(item, arrays, path) for item in value]
    if not isinstance(value, dict):
        return value
    kind = next(iter(value), None)
    if kind not in decoders:
        raise ModelFormatError(f"{path}: {str(value)[:60]!r} is no value of a parameter.")
    return decoders[kind](value, arrays, path)


def array_named(name: Any, arrays: Mapping[str, NDArray], path: Path, *, kinds: str = "biuf", ndim: int = 1) -> NDArray:
    """Return an array that was put aside; ModelFormatError where there is none of these kinds of numbers."""
    array = arrays.get(name) if isinstance(name, str) else None
    if array is None or array.dtype.kind not in kinds or (ndim and array.ndim != ndim):
        raise ModelFormatError(f"{path}: the array {name!r} of a parameter is missing or of a wrong type.")
    return array


def _decode_tuple(value: Mapping[str, Any], arrays: Mapping[str, NDArray], path: Path) -> tuple:
    if not isinstance(value["tuple"], list):
        raise ModelFormatError(f"{path}: a tuple is not written as a list.")
    return tuple(decode(value["tuple"], arrays, path))


def _decode_path(value: Mapping[str, Any], arrays: Mapping[str, NDArray], path: Path) -> Path:
    if not isinstance(value["path"], str):
        raise ModelFormatError(f"{path}: a path is not written as a string.")
    return Path(value["path"])


def _decode_array(value: Mapping[str, Any], arrays: Mapping[str, NDArray], path: Path) -> NDArray:
    return np.array(array_named(value["array"], arrays, path, ndim=0))


def _decode_csr(value: Mapping[str, Any], arrays: Mapping[str, NDArray], path: Path) -> sp.csr_array:
    parts = [
        np.array(array_named(f"{value['csr']}.{part}", arrays, path, kinds=kinds))
        for part, kinds in (("data", "biuf"), ("indices", "iu"), ("indptr", "iu"))
    ]
    shape = value.get("shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ModelFormatError(f"{path}: a sparse matrix has no shape.")
    try:
        matrix = sp.csr_array(tuple(parts), shape=tuple(shape))
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise ModelFormatError(f"{path}: a sparse matrix is damaged: {error}") from error
    return matrix


# by the first field of an object
decoders: dict[Any, Callable[[Mapping[str, Any], Mapping[str, NDArray], Path], Any]] = {
    "tuple": _decode_tuple,
    "path": _decode_path,
    "array": _decode_array,
    "csr": _decode_csr,
}
