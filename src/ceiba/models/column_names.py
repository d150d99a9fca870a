"""The names of a data frame's columns, as scikit-learn reads them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from ceiba.data.frames import is_table
from ceiba.errors import InputTypeError


def feature_names(X: Any) -> NDArray | None:
    """Return the names of a data frame's columns; None for other containers and where the names are no str.

    Raises
    ------
    InputTypeError
        When some names are str and others are not.
    """
    if not is_table(X):
        return None
    reader = BaseEstimator()
    try:
        validate_data(reader, X, reset=True, skip_check_array=True, ensure_2d=False)
    except TypeError as error:
        raise InputTypeError(str(error)) from None
    return getattr(reader, "feature_names_in_", None)
