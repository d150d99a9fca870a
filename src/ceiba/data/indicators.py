"""Indicators as people hold them (sparse matrices, arrays, data frames) to one canonical matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, issparse

from ceiba.data.csr import as_indicator, compressed_fault, coordinate_fault
from ceiba.data.frames import as_numbers, column_names, describe, is_missing, is_table, numeric_columns
from ceiba.errors import InputError, InputTypeError

_HOW = "Give an array of numbers for an indicator, or a list of lists for labels."


class Indicator(NamedTuple):
    """An (N, L) label matrix of ones, and the names of its columns where a data frame has them."""

    matrix: csr_array
    names: list[Any] | None = None


def read_indicator(Y: Any, argument: str) -> Indicator | None:
    """Read Y where it is an indicator; return None where it is a sequence of label lists.

    Errors call Y by the name of the caller's `argument`.

    Raises
    ------
    InputError, InputTypeError
        If Y is neither, or is an indicator that holds something else than numbers that are not negative.
    """
    if issparse(Y):
        return Indicator(_sparse(Y, argument))
    if is_table(Y):
        return _table(Y, argument)
    if not isinstance(Y, np.ndarray) and getattr(Y, "ndim", 1) == 2:
        Y = Y.to_numpy() if hasattr(Y, "to_numpy") else np.asarray(Y)
    if isinstance(Y, np.ndarray):
        return _array(np.asarray(Y), argument)
    if isinstance(Y, (str, bytes, Mapping)) or not isinstance(Y, Iterable):
        raise InputTypeError(
            f"{argument} must be a list of label lists (str or int) or an (N, L) indicator, dense or sparse, "
            f"not {describe(Y)}."
        )
    return None


def _sparse(Y: Any, argument: str) -> csr_array:
    if Y.ndim != 2:
        raise InputError(f"{argument} must have two axes (N, L), not {Y.ndim}.")
    # before any conversion: an index out of range would end the process in SciPy's native code
    fault = None
    if Y.format == "coo":
        fault = coordinate_fault(Y.coords, Y.data, Y.shape)
    elif Y.format in ("csr", "csc"):
        sizes = Y.shape if Y.format == "csr" else Y.shape[::-1]
        fault = compressed_fault(Y.indptr, Y.indices, Y.data, *sizes)
    if fault is not None:
        raise InputError(f"{argument} is not a valid sparse matrix: {fault}.")
    return as_indicator(csr_array(Y), argument)


def _table(Y: Any, argument: str) -> Indicator:
    """Read a data frame column by column, so that no second copy of it is needed."""
    counts, rows = [0], []
    for values in numeric_columns(Y, argument):
        if (values < 0).any():
            raise InputError(f"{argument} holds negative values; a label matrix has 1 for a positive, 0 otherwise.")
        if not np.isfinite(values).all():
            raise InputError(f"{argument} holds NaN or infinite values.")
        rows.append(np.flatnonzero(values))
        counts.append(len(rows[-1]))
    indices = np.concatenate(rows) if rows else np.empty(0, np.int64)
    parts = np.ones(len(indices), bool), indices, np.cumsum(counts)
    matrix = csr_array(csc_array(parts, shape=(len(Y), len(rows))))
    return Indicator(as_indicator(matrix, argument), column_names(Y))


def _array(Y: NDArray, argument: str) -> Indicator | None:
    if Y.ndim == 2 and Y.dtype.kind in "OUT":
        Y = plain_array(Y, argument)
    if Y.ndim == 2 and Y.dtype.kind in "buifc":
        if Y.dtype.kind == "c":
            raise InputTypeError(f"{argument} holds complex numbers; a label matrix has 1 for a positive, 0 otherwise.")
        return Indicator(as_indicator(csr_array(Y), argument))
    if Y.ndim not in (1, 2):
        raise InputError(f"{argument} must be a list of label lists or an (N, L) indicator, not of shape {Y.shape}.")
    return None


def plain_array(Y: NDArray, name: str) -> NDArray:
    """Return a 2-D array of objects or strings as numbers where it is an indicator, as it is where it holds names.

    Raises
    ------
    InputError
        If it could be either: strings "0" and "1", or objects that are other numbers.
    """
    values = Y.ravel().tolist()
    kinds = set(map(type, values))
    names = any(issubclass(kind, str) for kind in kinds)
    if names and set(values) <= {"0", "1"}:
        raise InputError(f"{name} is an array of the strings '0' and '1'. {_HOW}")
    if names or not all(isinstance(value, (bool, int, float, np.generic)) or is_missing(value) for value in values):
        return Y
    numbers = as_numbers(Y, lambda row, column: f"{name}, row {row}, column {column}")
    if not np.isin(numbers, (0, 1)).all():
        raise InputError(f"Unknown label type: {name} is an array of objects with other numbers than 0 and 1. {_HOW}")
    return numbers


def is_indicator(candidates: Any, n_labels: int) -> bool:
    """Return whether labels to choose from are an indicator rather than rows of labels.

    Arrays of numbers are rows of labels here, as a ranking is; one that could as well be an indicator is refused.
    """
    if issparse(candidates) or is_table(candidates):
        return True
    if not isinstance(candidates, np.ndarray) or candidates.ndim != 2:
        return False
    if candidates.dtype.kind == "b":
        return True
    if candidates.shape[1] == n_labels and 0 < len(set(candidates.ravel().tolist()) | {0, 1}) <= 2:
        raise InputError(
            "candidates is an array of 0 and 1 as wide as there are labels: give a sparse matrix or a bool array "
            "if it is an indicator, a list of lists if it holds labels."
        )
    return False
