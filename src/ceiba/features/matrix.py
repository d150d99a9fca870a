"""Feature matrices as callers have them to the one form the core takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.csr import compressed_fault, coordinate_fault
from ceiba.errors import InputError, InputTypeError


class Features(NamedTuple):
    """X as the core takes it: CSR with int64 offsets, int32 columns and finite float32 values."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]
    n_features: int

    @property
    def n_rows(self) -> int:
        """N, the number of instances."""
        return len(self.indptr) - 1

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Return the three arrays in the order the core's functions take them."""
        return self.indptr, self.indices, self.data

    def to_scipy(self) -> sp.csr_array:
        """Return a SciPy array that shares the memory."""
        return sp.csr_array((self.data, self.indices, self.indptr), shape=(self.n_rows, self.n_features))


def is_text(X: Any) -> bool:
    """Return whether X is a collection of texts rather than numbers; a single str is an error."""
    if isinstance(X, str):
        raise InputTypeError("X is a single str; put it into a list: [X]")
    if sp.issparse(X):
        return False
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and (X.dtype.kind == "U" or (X.dtype == object and all(isinstance(x, str) for x in X)))
    if isinstance(X, (list, tuple)):
        return any(isinstance(x, str) for x in X)
    if hasattr(X, "dtype") and hasattr(X, "__array__"):  # a pandas or arrow column
        return is_text(np.asarray(X))
    if hasattr(X, "__array__"):
        return False
    return isinstance(X, Iterable)


def as_features(X: Any, n_features: int | None = None, *, allow_empty: bool = False) -> Features:
    """Check numeric features and bring them to CSR.

    Parameters
    ----------
    X : sparse matrix or array, or array-like, of shape (N, D)
        Features; stored duplicates add up.
    n_features : int or None, default=None
        D of the model, which X must have.
    allow_empty : bool, default=False
        Whether N may be 0.

    Raises
    ------
    InputTypeError
        When X cannot be read as numbers.
    InputError
        When X is not two-dimensional, is empty, has another number of features, or holds NaN or infinity.
    """
    if not sp.issparse(X):
        X = _dense(X)
    if X.ndim != 2:
        raise InputError(f"X must have 2 dimensions (N, D). Got shape {X.shape} instead. Reshape your data.")
    if X.shape[0] != 1 or X.format != "csr":  # the core checks too; a single row is left to it
        _check_structure(X)
    if X.format != "csr":
        X = X.tocsr()
    if X.shape[0] == 0 and not allow_empty:
        raise InputError(f"X is empty: found array with 0 sample(s) (shape={X.shape}); a minimum of 1 is required.")
    if X.shape[1] == 0:
        raise InputError(f"X has 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    if n_features is not None and X.shape[1] != n_features:
        raise InputError(f"X has {X.shape[1]} features, but the model is expecting {n_features} features as input.")
    data = X.data
    if data.dtype != np.float32:
        if data.dtype.kind not in "fiub":
            kind = "Complex data" if data.dtype.kind == "c" else f"Data of type {data.dtype}"
            raise InputError(f"{kind} not supported in X: features must be real numbers.")
        with np.errstate(over="ignore"):
            data = data.astype(np.float32)
    # a sum is finite exactly when no term is NaN or infinite, unless finite terms overflow
    if data.size and not np.isfinite(data.sum()) and not np.isfinite(data).all():
        raise InputError("X contains NaN, infinity or a value too large for float32. Input X contains NaN or inf.")
    return Features(X.indptr.astype(np.int64, copy=False), X.indices.astype(np.int32, copy=False), data, X.shape[1])


def _check_structure(X: Any) -> None:
    """Raise InputError where sparse arrays do not fit together: SciPy's conversions would read out of bounds."""
    fault = None
    if X.format in ("csr", "csc"):
        n_rows, n_columns = X.shape if X.format == "csr" else X.shape[::-1]
        fault = compressed_fault(X.indptr, X.indices, X.data, n_rows, n_columns)
    elif X.format == "coo":
        fault = coordinate_fault((X.row, X.col), X.data, X.shape)
    if fault is not None:
        raise InputError(f"X is not a valid sparse matrix: {fault}.")


def _dense(X: Any) -> sp.csr_array:
    try:
        array = np.asarray(X)
        if array.dtype == object:
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"X cannot be read as numbers: {error}") from error
    if array.dtype.kind in "US":
        raise InputTypeError("X holds strings where numbers are needed.")
    if array.dtype.kind == "c":
        raise InputError("Complex data not supported in X: features must be real numbers.")
    if array.ndim != 2:
        shape = f"Got shape {array.shape} instead"
        raise InputError(f"X: Expected 2D array (N, D). {shape}. Reshape your data with X.reshape(1, -1) for one row.")
    return sp.csr_array(array)
