"""Sparse matrices in SciPy's .npz files, checked before anything native touches their indices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array

from ceiba.data.csr import as_indicator, index_dtype
from ceiba.data.files import fail, head
from ceiba.errors import InputError

_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
}


def _load(path: Path) -> tuple[str, tuple[int, int], list[NDArray]]:
    if not head(path, 4).startswith(b"PK\x03\x04"):
        fail(path, None, "is not an .npz file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            kind = archive["format"].item() if "format" in archive else None
            kind = kind.decode("ascii") if isinstance(kind, bytes) else kind
            shape = tuple(int(size) for size in archive["shape"]) if "shape" in archive else ()
            arrays = [archive[name] for name in _PARTS.get(str(kind), ())]
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
    kind, shape, (data, *indices) = _load(path)
    if data.dtype.kind not in "buif" or any(part.dtype.kind not in "iu" for part in indices):
        fail(path, None, f"holds values of type {data.dtype} and indices of type {indices[0].dtype}.")
    if any(part.ndim != 1 for part in (data, *indices)):
        fail(path, None, "holds arrays of several axes where a sparse matrix has one.")
    first, second = (part.astype(np.int64, copy=False) for part in indices)
    matrix: Any
    try:
        if kind == "coo":
            matrix = coo_array((data, (first, second)), shape=shape)
        else:
            matrix = (csr_array if kind == "csr" else csc_array)((data, first, second), shape=shape)
            matrix.check_format(full_check=True)
    except ValueError as error:
        fail(path, None, f"is not a valid sparse matrix: {error}.")
    return csr_array(matrix)


def read_features(path: Path) -> csr_array:
    """Return the (N, D) features of an .npz file as a canonical float32 CSR; infinite values are an error."""
    matrix = _checked(path)
    dtype = index_dtype(matrix.nnz, matrix.shape[1])
    with np.errstate(over="ignore"):
        parts = matrix.data.astype(np.float32), matrix.indices.astype(dtype), matrix.indptr.astype(dtype)
    X = csr_array(parts, shape=matrix.shape)
    X.sum_duplicates()
    if not np.isfinite(X.data).all():
        row = int(np.searchsorted(X.indptr, np.argmin(np.isfinite(X.data)), side="right")) - 1
        fail(path, f"row {row + 1}", "a value is NaN, infinite or too large for float32.")
    return X


def read_label_matrix(path: Path) -> csr_array:
    """Return the (N, L) indicator of an .npz file; a stored zero is not a positive."""
    try:
        return as_indicator(_checked(path))
    except InputError as error:
        fail(path, None, str(error))
