"""The names of a data frame's columns, as scikit-learn reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from ceiba.data.frames import is_missing, is_table, lone_column
from ceiba.errors import InputError, InputTypeError


def _has_feature_columns(X: Any) -> bool:
    """Return whether the columns of X are features, and not a single one of texts or vectors."""
    if not is_table(X):
        return False
    column = lone_column(X)
    first = next((value for value in column or () if not is_missing(value)), None)
    return not isinstance(first, (str, list, tuple, np.ndarray))


def feature_names(X: Any) -> NDArray | None:
    """Return the names of a data frame's columns; None for other containers and where the names are no str.

    Raises
    ------
    InputTypeError
        When some names are str and others are not.
    """
    if not _has_feature_columns(X):
        return None
    reader = BaseEstimator()
    try:
        validate_data(reader, X, reset=True, skip_check_array=True, ensure_2d=False)
    except TypeError as error:
        raise InputTypeError(str(error)) from None
    return getattr(reader, "feature_names_in_", None)


def check_feature_names(X: Any, names: NDArray | None, owner: str) -> None:
    """Hold the names of a data frame's columns against those of ``fit``; other names are scikit-learn's error.

    Parameters
    ----------
    X : data frame or other container
    names : ndarray of str or None
        Those of ``fit``; None where it was given no data frame.
    owner : str
        The class of the estimator, which messages name.
    """
    if is_table(X) and not _has_feature_columns(X):
        return  # its column is texts or vectors
    reader = type(owner, (BaseEstimator,), {})()
    if names is not None:
        reader.feature_names_in_ = names
    try:
        validate_data(reader, X, "no_validation", reset=False, skip_check_array=True, ensure_2d=False)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        raise kind(str(error)) from None
