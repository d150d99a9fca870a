"""Labels that rows may and must not get: those of a call, and those that a model keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.frames import column_values
from ceiba.data.label_space import LabelSpace
from ceiba.data.labels import describe
from ceiba.data.offsets import offsets, row_numbers
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import Fields
from ceiba.retrieval.generator import LabelFilter, SearchContext

_FILE = "label_filters.safetensors"


@component("label-filters", "filters")
@dataclass(frozen=True, eq=False)
class LabelFilters:
    """The labels that a model may answer with, and those that it must not, whatever a call asks for.

    Attributes
    ----------
    allowed, denied : ndarray of int32, or None
        Ascending columns. None: all are allowed, none is denied.
    """

    kind: ClassVar[str]
    allowed: NDArray[np.int32] | None = None
    denied: NDArray[np.int32] | None = None

    @classmethod
    def of(cls, allowed: Any, denied: Any, space: LabelSpace) -> LabelFilters | None:
        """Return filters of labels as callers give them; None where neither is given.

        Raises
        ------
        InputTypeError
            When an argument is no collection of labels.
        InputError
            When a label is not known, or no label is left.
        """
        if allowed is None and denied is None:
            return None
        found = cls(*(_kept(labels, space, name) for labels, name in ((allowed, "allowed"), (denied, "denied"))))
        if found.denied is not None:
            left = len(np.setdiff1d(np.arange(len(space)) if found.allowed is None else found.allowed, found.denied))
            if not left:
                raise InputError("denied names every label that is allowed, so that there would be no answer.")
        return found

    def narrowed(self, ctx: SearchContext, n_rows: int) -> SearchContext:
        """Return the context of a call with what is kept: its own filters can only take more labels away.

        Raises
        ------
        InputError
            When the call allows labels for all rows, and the model keeps none of them.
        """
        allowed, denied = ctx.allowed, ctx.denied
        if self.allowed is not None:
            if isinstance(allowed, np.ndarray) and n_rows and not np.isin(allowed, self.allowed).any():
                raise InputError("allowed names no label that the model's own filters allow.")
            allowed = _intersection(allowed, self.allowed)
        if self.denied is not None:
            denied = _union(denied, self.denied)
        return ctx._replace(allowed=allowed, denied=denied)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the columns."""
        given = {"allowed": self.allowed, "denied": self.denied}
        writer.tensors(_FILE, {name: columns for name, columns in given.items() if columns is not None})
        return {}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> LabelFilters:
        """Read what `save` wrote."""
        arrays, n_labels = files.tensors(_FILE), len(context.part("labels", fields))
        for name, columns in arrays.items():
            if (
                name not in ("allowed", "denied")
                or columns.dtype != np.int32
                or columns.ndim != 1
                or (len(columns) and not 0 <= columns[0] <= columns[-1] < n_labels)
                or (np.diff(columns) <= 0).any()
            ):
                raise ModelFormatError(f"{files.path(_FILE)} does not hold labels of the model.")
        return cls(arrays.get("allowed"), arrays.get("denied"))


def encode_filter(labels: Any, space: LabelSpace, n_rows: int, name: str) -> LabelFilter | None:
    """Return the columns of labels, for all rows or for each.

    Parameters
    ----------
    labels : collection of labels, sequence of N collections of labels, (N, L) indicator, or None
        One collection counts for all rows.
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
        When a label is not known, there is not one collection per row, or no label is allowed.
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
    pairs = space.encode(labels, name, unknown="error")
    if pairs.shape[0] != n_rows:
        raise InputError(f"{name} has {pairs.shape[0]} rows, X has {n_rows}.")
    return pairs.indptr.astype(np.int64), pairs.indices.astype(np.int32)


def _for_all_rows(labels: list[Any], space: LabelSpace, n_rows: int, name: str) -> NDArray[np.int32]:
    at = next((i for i, label in enumerate(labels) if _is_collection(label)), None)
    if at is not None:
        raise InputTypeError(f"{name}, entry {at}: expected a label as before it, found {describe(labels[at])}.")
    columns = space.columns(labels, name)
    if name == "allowed" and not len(columns) and n_rows:
        raise InputError(f"{name} names no label of the model, so that there would be no answer.")
    return columns


def _kept(labels: Any, space: LabelSpace, name: str) -> NDArray[np.int32] | None:
    if labels is None:
        return None
    if sp.issparse(labels) or _is_matrix(labels):
        raise InputTypeError(f"{name} must be one collection of labels, not a matrix: it is kept for all rows.")
    return _for_all_rows(_listed(labels, name), space, 1, name)


def _intersection(labels: LabelFilter | None, kept: NDArray[np.int32]) -> LabelFilter:
    if labels is None:
        return kept
    if not isinstance(labels, tuple):
        return labels[np.isin(labels, kept)]
    ptr, ids = labels
    stays = np.isin(ids, kept)
    return offsets(np.bincount(row_numbers(ptr)[stays], minlength=len(ptr) - 1)), ids[stays]


def _union(labels: LabelFilter | None, kept: NDArray[np.int32]) -> LabelFilter:
    if labels is None:
        return kept
    if not isinstance(labels, tuple):
        return np.union1d(labels, kept).astype(np.int32)
    ptr, ids = labels
    n_rows = len(ptr) - 1
    new = ~np.isin(ids, kept)
    row = np.concatenate([row_numbers(ptr)[new], np.repeat(np.arange(n_rows), len(kept))])
    ids = np.concatenate([ids[new], np.tile(kept, n_rows)])
    return offsets(np.bincount(row, minlength=n_rows)), ids[np.lexsort((ids, row))].astype(np.int32)


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
