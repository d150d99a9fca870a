"""CSR matrices built piece by piece, without a second copy of them at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import csr_array

from ceiba.errors import InputError

MAX_INDEX = np.iinfo(np.int32).max


class Growable:
    """A one-dimensional array that grows in place, so that collecting and finishing need no second copy."""

    def __init__(self, dtype: DTypeLike):
        self._array: NDArray = np.empty(1024, dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def extend(self, values: ArrayLike) -> None:
        """Append the values, cast to this array's type."""
        values = np.asarray(values)
        end = self._size + len(values)
        if end > len(self._array):
            # realloc: the kernel moves the pages of a large block instead of copying them
            self._array.resize(max(end, len(self._array) * 3 // 2), refcheck=False)
        self._array[self._size : end] = values
        self._size = end

    def finish(self) -> NDArray:
        """Hand over the array, cut to its size; nothing may be appended after that."""
        self._array.resize(self._size, refcheck=False)
        return self._array


def index_dtype(nnz: int, n_columns: int) -> type[np.signedinteger]:
    """Return int32 for the index arrays wherever it can hold them, as the native core expects, else int64."""
    return np.int32 if max(nnz, n_columns) <= MAX_INDEX else np.int64


class CsrBuilder:
    """Rows of (column, value) collected in order; ``values=False`` collects an indicator."""

    def __init__(self, *, values: bool = True):
        self._counts = Growable(np.int64)
        self._indices = Growable(np.int32)
        self._values = Growable(np.float32) if values else None
        self.min_index, self.max_index = MAX_INDEX, -1

    @property
    def n_rows(self) -> int:
        return len(self._counts)

    def add(self, counts: ArrayLike, indices: NDArray, values: NDArray | None = None) -> None:
        """Append rows: entries per row, then the columns (and values) of all of them one after another."""
        self._counts.extend(counts)
        self._indices.extend(indices)
        if len(indices):
            self.min_index = min(self.min_index, int(indices.min()))
            self.max_index = max(self.max_index, int(indices.max()))
        if self._values is not None:
            self._values.extend(np.empty(0, np.float32) if values is None else values)

    def finish(self, n_columns: int, *, columns: NDArray | None = None, first: int = 0) -> csr_array:
        """Return the canonical CSR; the builder is spent after that.

        ``first`` is the number of the leftmost column; ``columns`` puts column j at ``columns[j]``.
        Entries that name the same column of a row are summed, or are one positive in an indicator.
        """
        indices = self._indices.finish()
        if first:
            indices -= first
        if columns is not None:
            indices = columns[indices]
        return self._finish(indices, n_columns)

    def finish_named(self) -> tuple[csr_array, NDArray]:
        """Return the canonical CSR with a column for each index that occurs, and these indices, sorted."""
        names, columns = np.unique(self._indices.finish(), return_inverse=True)
        return self._finish(columns, len(names)), names

    def _finish(self, indices: NDArray, n_columns: int) -> csr_array:
        dtype = index_dtype(len(indices), n_columns)
        counts = self._counts.finish()
        indptr = np.zeros(len(counts) + 1, dtype)
        np.cumsum(counts, out=indptr[1:])
        data = np.ones(len(indices), np.float32) if self._values is None else self._values.finish()
        shape = len(counts), n_columns
        matrix = csr_array((data, indices.astype(dtype, copy=False), indptr), shape=shape)
        matrix.sum_duplicates()
        if self._values is None:
            matrix.data.fill(1.0)
        return matrix


def compressed_fault(indptr: NDArray, indices: NDArray, data: NDArray, n_major: int, n_minor: int) -> str | None:
    """Return what is wrong with the arrays of a CSR (or, axes swapped, CSC), None where they are sound.

    SciPy's own ``check_format(full_check=True)`` does not look at ``indptr`` where its last entry is 0, and
    its native code then reads out of bounds.
    """
    if any(part.ndim != 1 for part in (indptr, indices, data)):
        return "an array has several axes"
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        return f"its indices are of type {indices.dtype} and {indptr.dtype}, not whole numbers"
    if len(indptr) != n_major + 1 or indptr[0] != 0:
        return f"indptr has {len(indptr)} entries for {n_major} rows, or does not begin with 0"
    if (indptr[1:] < indptr[:-1]).any():
        return "indptr is not ascending"
    if not len(indices) == len(data) == indptr[-1]:
        return f"it has {len(data)} values, {len(indices)} indices, and indptr ends at {indptr[-1]}"
    if len(indices) and (indices.min() < 0 or indices.max() >= n_minor):
        return f"an index is outside 0 to {n_minor - 1}"
    return None


def has_canonical_rows(indptr: NDArray, indices: NDArray) -> bool:
    """Return whether the columns of each row of a sound CSR ascend without repetition.

    SciPy keeps the answer as a flag, which is out of date once the arrays were changed in place.
    """
    falls = np.flatnonzero(indices[1:] <= indices[:-1]) + 1
    begins = indptr[np.minimum(np.searchsorted(indptr, falls), len(indptr) - 1)]
    return bool((begins == falls).all())


def coordinate_fault(coords: Sequence[NDArray], data: NDArray, shape: Sequence[int]) -> str | None:
    """Return what is wrong with the arrays of a COO matrix, None where they are sound."""
    for part, size in zip(coords, shape, strict=True):
        if part.ndim != 1 or data.ndim != 1:
            return "an array has several axes"
        if part.dtype.kind not in "iu":
            return f"its indices are of type {part.dtype}, not whole numbers"
        if len(part) != len(data):
            return f"it has {len(data)} values, but {len(part)} indices"
        if len(part) and (part.min() < 0 or part.max() >= size):
            return f"an index is outside 0 to {size - 1}"
    return None


def as_indicator(Y: csr_array, name: str = "Y") -> csr_array:
    """Return a label matrix as a float32 CSR of ones: canonical, and without its stored zeros.

    Parameters
    ----------
    Y : csr_array of shape (N, L)
        Left untouched. A non-zero is a positive.
    name : str
        How the error messages call it.

    Raises
    ------
    InputError
        If a value is NaN, infinite or negative, as in an indicator of -1 and 1.
    """
    data = Y.data
    if data.dtype.kind not in "buif":
        raise InputError(f"{name} must hold numbers, not {data.dtype}.")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise InputError(f"{name} holds NaN or infinite values.")
    if data.dtype.kind in "if" and len(data) and data.min() < 0:
        raise InputError(f"{name} holds negative values; a label matrix has 1 for a positive, 0 otherwise.")
    dtype = index_dtype(Y.nnz, Y.shape[1])
    parts = (data != 0).astype(np.float32), Y.indices.astype(dtype), Y.indptr.astype(dtype)
    ones = csr_array(parts, shape=Y.shape)
    ones.eliminate_zeros()
    ones.sum_duplicates()
    ones.data.fill(1.0)
    return ones
