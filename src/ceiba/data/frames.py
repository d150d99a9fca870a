"""Columns and tables of other libraries, read through what they have in common; none of them is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._shorten import shorten
from ceiba.errors import InputError, InputTypeError

_ROWS_AT_ONCE = 16_384
_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)


def is_missing(value: Any) -> bool:
    """Return whether a value stands for none: None, NaN, or the NA and NaT of pandas."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # NA is neither equal to itself nor not; an array has no single truth
        return type(value).__name__ == "NAType"


def is_table(values: Any) -> bool:
    """Return whether an object is a table with named columns, as of pandas, polars or Arrow."""
    if isinstance(values, (np.ndarray, list, tuple)):
        return False
    return hasattr(values, "column_names") or (hasattr(values, "columns") and hasattr(values, "shape"))


def lone_column(table: Any) -> list[Any] | None:
    """Return the values of a table's only column as Python objects; None where it has several, or none."""
    if len(table.column_names if hasattr(table, "column_names") else table.columns) != 1:
        return None
    if hasattr(table, "iloc"):
        values = column_values(table.iloc[:, 0])
        return None if values is None else list(values)
    if not hasattr(table, "__arrow_c_stream__"):
        return None
    import pyarrow as pa

    try:
        return _arrow_values(pa.table(table).column(0))
    except (pa.ArrowException, TypeError, ValueError):  # who reads its columns says what is wrong
        return None


def refuse_lazy(values: Any, name: str) -> None:
    """Raise InputTypeError for a query that has not been run, as polars has them."""
    if hasattr(values, "collect") and hasattr(values, "collect_schema"):
        raise InputTypeError(f"{name} is a {type(values).__name__}, a query that has not been run: {name}.collect().")


def column_values(column: Any) -> Iterable[Any] | None:
    """Return the values of a one-dimensional container as Python objects; None where it is no such container.

    Lists and tuples are returned as they are. Arrays, series, indexes and Arrow arrays of any library give the same
    values: None, NaN or NA where one is missing.
    """
    if isinstance(column, (list, tuple)):
        return column
    if isinstance(column, np.ndarray):
        return column.tolist() if column.ndim == 1 else None
    if is_table(column):
        return None
    if hasattr(column, "to_pylist"):
        return _arrow_values(column)
    shape = getattr(column, "shape", None)
    if not isinstance(shape, tuple) or len(shape) != 1:
        return None
    for method in ("to_list", "tolist"):
        if hasattr(column, method):
            return getattr(column, method)()
    return np.asarray(column).tolist() if hasattr(column, "__array__") else list(column)


def _arrow_values(column: Any) -> list[Any]:
    values: list[Any] = []
    for begin in range(0, len(column), _ROWS_AT_ONCE):
        values.extend(column[begin : begin + _ROWS_AT_ONCE].to_pylist())
    return values


def column_names(table: Any) -> list[Any] | None:
    """Return the names of a table's columns.

    None where they are none: 0, 1, 2 ... is what pandas numbers columns by that were given no names.
    """
    names = list(table.column_names if hasattr(table, "column_names") else table.columns)
    if names and all(isinstance(name, (int, np.integer)) for name in names) and names == list(range(len(names))):
        return None
    return names


def numeric_columns(table: Any, name: str) -> Iterator[NDArray]:
    """Yield the columns of a table as arrays of numbers, one at a time.

    Raises
    ------
    InputError, InputTypeError
        If a value is missing or no number; the message names row and column.
    """
    for title, column in _columns(table, name):
        array = np.asarray(column)
        yield as_numbers(array, lambda row, title=title: f"{name}, row {row}, column {title!r}")


def _columns(table: Any, name: str) -> Iterator[tuple[Any, Any]]:
    if hasattr(table, "iloc"):
        for number, title in enumerate(table.columns):
            yield title, table.iloc[:, number]
        return
    if not hasattr(table, "__arrow_c_stream__"):
        raise InputTypeError(f"{name} is a table of a kind that cannot be read: {type(table).__name__}.")
    import pyarrow as pa

    try:
        arrow = pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputTypeError(f"{name} is a table that cannot be read: {error}") from error
    for title, column in zip(arrow.column_names, arrow.columns, strict=True):
        missing_or_other = column.null_count or not _is_numeric(column.type)
        values = np.empty(len(column), object) if missing_or_other else column.to_numpy()
        if missing_or_other:
            values[:] = column.to_pylist()
        yield title, values


def _is_numeric(kind: Any) -> bool:
    import pyarrow.types as of

    return of.is_integer(kind) or of.is_floating(kind) or of.is_boolean(kind)


def as_numbers(array: NDArray, where: Any) -> NDArray:
    """Return an array of numbers as it is, and one of objects that are numbers as float64.

    Parameters
    ----------
    array : ndarray
    where : callable
        ``where(*index)`` says for a message where a value stands.

    Raises
    ------
    InputError
        If a value is missing.
    InputTypeError
        If a value is no real number.
    """
    if array.dtype.kind in "biu" or (array.dtype.kind == "f" and not np.isnan(array).any()):
        return array
    for index, value in np.ndenumerate(array):
        if is_missing(value):
            raise InputError(f"{where(*index)}: the value is missing ({value}).")
        if not isinstance(value, _NUMBERS):
            raise InputTypeError(f"{where(*index)}: expected a number, found {describe(value)}.")
    return array.astype(np.float64)


def article(word: str) -> str:
    """Return a word with "a" or "an" before it."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def describe(value: Any) -> str:
    """Return a value's type and the start of its text, for a message."""
    if value is None:
        return "None"
    return f"{article(type(value).__name__)} ({shorten(repr(value), 40)})"
