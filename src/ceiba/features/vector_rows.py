"""Features as a column of vectors, such as embeddings in a data frame: one list of numbers per row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba.data.frames import column_values, describe, is_missing, is_table, lone_column
from ceiba.errors import InputError, InputTypeError


def read_vectors(X: Any, name: str) -> NDArray | None:
    """Return a column of vectors as an array of shape (N, D); None where X is something else.

    Series of lists or arrays of pandas and polars, Arrow's lists and tables of one such column are columns of vectors.

    Raises
    ------
    InputError, InputTypeError
        When a vector is missing, has another length than the first, or holds something else than numbers.
    """
    if isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and (X.dtype != object or X.ndim != 1)):
        return None
    values: Any = lone_column(X) if is_table(X) else column_values(X)
    if values is None:
        return None
    rows = list(values)
    first = next((row for row in rows if not is_missing(row)), None)
    if not isinstance(first, (list, tuple, np.ndarray)):
        return None
    for number, row in enumerate(rows):
        if not isinstance(row, (list, tuple, np.ndarray)):
            what = "is missing" if is_missing(row) else f"is {describe(row)}"
            raise InputError(f"{name}, row {number}: the vector {what}.")
        if len(row) != len(first):
            raise InputError(f"{name}, row {number}: the vector has {len(row)} numbers, that of row 0 {len(first)}.")
        if any(map(is_missing, row)):
            raise InputError(f"{name}, row {number}: the vector holds a missing value.")
    try:
        return np.array(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} cannot be read as vectors of numbers: {error}.") from None
