"""Sparse matrices in SciPy's .npz files, checked before anything native touches their indices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array

from ceiba.data.csr import MAX_INDEX, as_indicator, compressed_fault, coordinate_fault, index_dtype
from ceiba.data.files import fail, head
from ceiba.errors import InputError

_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
}


def _member(archive: Any, name: str) -> NDArray:
    value = archive[name]
    if not isinstance(value, np.ndarray):  # np.load hands out what is no .npy as bytes
        raise ValueError(f"{name} is not an array")
    return value


def _load(path: Path) -> tuple[str, tuple[int, int], list[NDArray]]:
    if not head(path, 4).startswith(b"PK\x03\x04"):
        fail(path, None, "is not an .npz file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            kind = _member(archive, "format").item() if "format" in archive else None
            kind = kind.decode("ascii") if isinstance(kind, bytes) else kind
            shape = tuple(int(size) for size in _member(archive, "shape")) if "shape" in archive else ()
            arrays = [_member(archive, name) for name in _PARTS.get(str(kind), ())]
    except Exception as error:  # a damaged archive fails in zipfile, zlib, struct, tokenize or NumPy itself
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        fail(path, None, f"is damaged or no matrix of scipy.sparse.save_npz ({reason[:200]}).")
    if not arrays:
        what = f"holds a matrix of format {kind!r}" if kind else "holds no sparse matrix"
        fail(path, None, f"{what}; save a CSR with scipy.sparse.save_npz.")
    if len(shape) != 2 or min(shape) < 0:
        fail(path, None, f"holds a matrix of shape {shape}, not of two axes.")
    return str(kind), (shape[0], shape[1]), arrays


def _checked(path: Path) -> csr_array:
    """Return the matrix as a float32 CSR whose indices are sound; its values may be anything."""
    kind, shape, (data, *indices) = _load(path)
    if data.dtype.kind not in "buif":
        fail(path, None, f"holds values of type {data.dtype}.")
    with np.errstate(over="ignore"):
        data = data.astype(np.float32)
    if max(shape) > MAX_INDEX:
        fail(path, None, f"is not a valid sparse matrix: its shape is {shape}.")
    if kind == "coo":
        fault = coordinate_fault(indices, data, shape)
    else:
        fault = compressed_fault(indices[1], indices[0], data, *(shape if kind == "csr" else shape[::-1]))
    if fault is not None:
        fail(path, None, f"is not a valid sparse matrix: {fault}.")
    if kind == "coo":
        return coo_array((data, (indices[0], indices[1])), shape=shape).tocsr()
    parts = data, indices[0], indices[1]
    return csr_array(parts, shape=shape) if kind == "csr" else csc_array(parts, shape=shape).tocsr()


def read_features(path: Path) -> csr_array:
    """Return the (N, D) features of an .npz file as a canonical float32 CSR; infinite values are an error."""
    matrix = _checked(path)
    dtype = index_dtype(matrix.nnz, matrix.shape[1])
    parts = matrix.data, matrix.indices.astype(dtype, copy=False), matrix.indptr.astype(dtype, copy=False)
    X = csr_array(parts, shape=matrix.shape)
    X.sum_duplicates()
    finite = np.isfinite(X.data)
    if not finite.all():
        row = int(np.searchsorted(X.indptr, np.argmin(finite), side="right"))
        fail(path, f"row {row}", "a value is NaN, infinite or too large for float32.")
    return X


def read_label_matrix(path: Path) -> csr_array:
    """Return the (N, L) indicator of an .npz file; a stored zero is not a positive."""
    try:
        return as_indicator(_checked(path))
    except InputError as error:
        fail(path, None, str(error))
