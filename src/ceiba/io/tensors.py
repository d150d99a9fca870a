"""Arrays in safetensors files: written in one pass, mapped or copied through a file that is open already."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ceiba.errors import ModelFormatError
from ceiba.io.durable import cannot_read, replace_file

_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_NAMES = {np.dtype(kind): name for name, kind in _DTYPES.items()}
_MOST_HEADER = 100_000_000  # bytes, as in the reference implementation
_ALIGNMENT = 8


def can_write(array: NDArray) -> bool:
    """Return whether arrays of this dtype can be written."""
    return array.dtype in _NAMES


def write_tensors(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Write arrays to a safetensors file."""
    # the widest types first: then each array begins at a multiple of its type's size
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {}
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("=")],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in names:
            array = np.ascontiguousarray(arrays[name])
            file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data)


def replace_tensors(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Write arrays to a safetensors file at once and as a whole; what maps an older one keeps that."""
    replace_file(path, lambda temporary: write_tensors(temporary, arrays))


def read_tensors(path: Path, *, mmap: bool = True) -> dict[str, NDArray]:
    """Read the arrays of a safetensors file; see `tensors_of`."""
    try:
        with open(path, "rb") as file:
            return tensors_of(file, path, mmap=mmap)
    except FileNotFoundError:
        raise ModelFormatError(f"{path} does not exist.") from None
    except OSError as error:
        raise cannot_read(path, error) from error


def tensors_of(file: BinaryIO, path: Path, *, mmap: bool = True) -> dict[str, NDArray]:
    """Return the arrays of an open safetensors file, read-only.

    Parameters
    ----------
    file : binary file
    path : Path
        Its name in messages.
    mmap : bool, default=True
        Map the file: pages are read when they are used, and shared by all processes. False: copy it into memory.

    Raises
    ------
    ModelFormatError
        When the file is truncated, damaged or no safetensors file.
    """
    try:
        return _tensors_of(file, mmap)
    except _Damage as error:
        raise ModelFormatError(f"{path} is not a safetensors file of a model, or it is damaged: {error}") from None


class _Damage(Exception):
    """What is wrong with a safetensors file."""


def _tensors_of(file: BinaryIO, mmap: bool) -> dict[str, NDArray]:
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _MOST_HEADER):
        raise _Damage("it is shorter than its header says")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise _Damage(f"its header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise _Damage("its header is not an object")
    header.pop("__metadata__", None)
    begin_of_data = 8 + length
    spans = {name: _span(name, entry, size - begin_of_data) for name, entry in header.items()}
    end = 0
    for begin, own_end, *_ in sorted(spans.values(), key=lambda span: span[:2]):
        if begin != end:
            raise _Damage("its arrays overlap or leave gaps")
        end = own_end
    if end != size - begin_of_data:
        raise _Damage("its arrays do not have the file's length")
    data = _data(file, size, mmap)
    arrays: dict[str, NDArray] = {}
    for name, (begin, own_end, dtype, shape) in spans.items():
        part = data[begin_of_data + begin : begin_of_data + own_end]
        array = part.view(dtype.newbyteorder("<")).reshape(shape)
        # files of this module are aligned; those of other programs need not be
        plain = array.view(np.ndarray) if array.flags.aligned else np.array(array)
        plain = plain.astype(dtype, copy=False)
        plain.flags.writeable = False
        arrays[name] = plain
    return arrays


def _span(name: str, entry: Any, size: int) -> tuple[int, int, np.dtype, tuple[int, ...]]:
    """Return where an array begins and ends, its type and its shape."""
    if not isinstance(entry, dict):
        raise _Damage(f"the entry of {name!r} is not an object")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _Damage(f"{name!r} has the unknown type {dtype!r}")
    shape, offsets = (_sizes(name, entry.get(each)) for each in ("shape", "data_offsets"))
    kind = np.dtype(_DTYPES[dtype])
    count = kind.itemsize
    for n in shape:
        count *= n
    if len(shape) > 32 or len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] <= size:
        raise _Damage(f"the shape or the offsets of {name!r} are out of range")
    if offsets[1] - offsets[0] != count:
        raise _Damage(f"{name!r} does not have the length of its shape")
    return offsets[0], offsets[1], kind, tuple(shape)


def _sizes(name: str, numbers: Any) -> list[int]:
    if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise _Damage(f"the shape and offsets of {name!r} are not lists of sizes")
    return numbers


def _data(file: BinaryIO, size: int, mmap: bool) -> NDArray[np.uint8]:
    if mmap:
        return np.memmap(file, np.uint8, mode="r", shape=(size,))
    file.seek(0)
    data = np.fromfile(file, np.uint8, size)
    if len(data) != size:
        raise _Damage("it became shorter while it was read")
    return data
