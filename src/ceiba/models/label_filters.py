"""Labels that rows may and must not get, as callers give them, to the columns that a search takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.frames import column_values
from ceiba.data.label_space import LabelSpace
from ceiba.data.labels import describe
from ceiba.errors import InputError, InputTypeError
from ceiba.retrieval.generator import LabelFilter


def encode_filter(labels: Any, space: LabelSpace, n_rows: int, name: str) -> LabelFilter | None:
    """Return the columns of labels, for all rows or for each.

    Parameters
    ----------
    labels : collection of labels, sequence of N collections of labels, (N, L) indicator, or None
        One collection counts for all rows. Labels that are not known are passed over.
    space : LabelSpace
        The labels of the model.
    n_rows : int
        N.
    name : str
        Of the argument, for messages: "allowed" or "denied".

    Returns
    -------
    ndarray of int32, or pair of ndarray
        Ascending columns for all rows, or offsets and ascending columns of each row. None where nothing was given.

    Raises
    ------
    InputTypeError
        When the argument is no collection, or labels and collections are mixed.
    InputError
        When there is not one collection per row, or no label is allowed.
    """
    if labels is None:
        return None
    if not (sp.issparse(labels) or _is_matrix(labels)):
        labels = _listed(labels, name)
        if not labels or not _is_collection(labels[0]):
            return _for_all_rows(labels, space, n_rows, name)
        at = next((i for i, row in enumerate(labels) if not _is_collection(row)), None)
        if at is not None:
            raise InputTypeError(f"{name}, row {at}: expected a collection of labels, found {describe(labels[at])}.")
    pairs = space.encode(labels, name)
    if pairs.shape[0] != n_rows:
        raise InputError(f"{name} has {pairs.shape[0]} rows, X has {n_rows}.")
    return pairs.indptr.astype(np.int64), pairs.indices.astype(np.int32)


def _for_all_rows(labels: list[Any], space: LabelSpace, n_rows: int, name: str) -> NDArray[np.int32]:
    at = next((i for i, label in enumerate(labels) if _is_collection(label)), None)
    if at is not None:
        raise InputTypeError(f"{name}, entry {at}: expected a label as before it, found {describe(labels[at])}.")
    columns = space.known_columns(labels, name)
    if name == "allowed" and not len(columns) and n_rows:
        raise InputError(f"{name} names no label of the model, so that there would be no answer.")
    return columns


def _listed(labels: Any, name: str) -> list[Any]:
    if isinstance(labels, (str, bytes, Mapping)) or not isinstance(labels, Iterable):
        raise InputTypeError(f"{name} must be a collection of labels, or one for each row, not {describe(labels)}.")
    values = column_values(labels)
    if values is not None:
        return list(values)
    if isinstance(labels, np.ndarray) and labels.ndim == 0:
        raise InputTypeError(f"{name} must be a collection of labels, or one for each row, not {describe(labels)}.")
    return labels.tolist() if isinstance(labels, np.ndarray) and labels.ndim == 1 else list(labels)


def _is_matrix(labels: Any) -> bool:
    return len(getattr(labels, "shape", ())) == 2


def _is_collection(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))
