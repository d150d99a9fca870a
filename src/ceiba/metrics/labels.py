"""From labels as the caller names them to columns 0..L-1, the same for every container of one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ceiba.errors import InputError, InputTypeError
from ceiba.metrics.containers import IntArray, Pattern, Rows, read_positives, row_of


class CommonColumns:
    """The label columns that the containers of one call share.

    - With ``classes``, column j is ``classes[j]``; labels listed in some container but not in ``classes`` (a
      test label that training never saw, say) get further columns, in sorted order.
    - Without, beside any matrix, listed labels must be ints and are column numbers of that matrix.
    - With lists only, the distinct labels of all containers are the columns, in sorted order.

    Parameters
    ----------
    containers : sequence of containers
        Whatever `read_positives`, `read_scores` or `LabelCounts` gave; those with ``n_labels`` have columns.
    classes : array-like of shape (L,) or None
        Names (str) or ids (int) of the matrix columns.

    Attributes
    ----------
    size : int
        L, the number of columns.
    """

    def __init__(self, containers: Sequence[Any], classes: Any = None):
        rows = [container for container in containers if isinstance(container, Rows)]
        matrices = [container for container in containers if not isinstance(container, Rows)]
        first: Any = matrices[0] if matrices else None
        for other in matrices[1:]:
            if other.n_labels != first.n_labels:
                raise InputError(
                    f"{other.name} has {other.n_labels} label columns but {first.name} has {first.n_labels}."
                )
        self._ids: IntArray | None = None  # sorted, with the column of each, where ids are not columns
        self._columns: IntArray | None = None
        self._index: dict[str, int] | None = None  # where labels are names
        listed = _common_kind(rows)
        if classes is not None:
            self._name_columns(_classes_as_rows(classes), rows, listed, first)
        elif first is not None:
            self._take_columns_of(first, rows, listed)
        elif listed == "names":
            self._index_names([], rows)
        else:
            self._index_ids(np.zeros(0, np.int64), rows)

    def code(self, rows: Rows) -> IntArray:
        """Return the column of each listed label, -1 for an empty place; flat, as ``rows.values``."""
        if rows.kind == "none":
            return rows.values
        if self._index is not None:
            columns = [self._index[name] for name in rows.names]
            return np.array([*columns, -1])[rows.values]  # -1, an empty place, picks the last
        if self._ids is None or self._columns is None:
            return rows.values
        if not self._ids.size:  # nothing but empty places
            return rows.values
        found = np.minimum(np.searchsorted(self._ids, rows.values), len(self._ids) - 1)
        return np.where(rows.values < 0, -1, self._columns[found])

    def names(self) -> npt.NDArray[Any]:
        """Return the label of each column, shape (L,)."""
        if self._index is not None:
            return np.array(list(self._index), dtype=object)
        if self._ids is None or self._columns is None:
            return np.arange(self.size)
        out = np.empty(self.size, dtype=np.int64)
        out[self._columns] = self._ids
        return out

    def _take_columns_of(self, matrix: Any, rows: list[Rows], listed: str) -> None:
        self.size: int = matrix.n_labels
        if listed == "names":
            named = next(container for container in rows if container.kind == "names")
            raise InputError(
                f"{named.name} names labels by strings but {matrix.name} has columns: pass classes=, "
                "the names of the columns."
            )
        for container in rows:
            values = container.values
            if values.size and values.max() >= self.size:
                at = int(np.argmax(values >= self.size))
                raise InputError(
                    f"Row {row_of(at, container.indptr)} of {container.name} holds label {values[at]}, but "
                    f"{matrix.name} has {self.size} label columns."
                )

    def _name_columns(self, known: Rows, rows: list[Rows], listed: str, matrix: Any) -> None:
        if matrix is not None and matrix.n_labels != len(known.values):
            raise InputError(
                f"classes has {len(known.values)} labels but {matrix.name} {matrix.n_labels} label columns."
            )
        if listed not in ("none", known.kind):
            named = next(container for container in rows if container.kind == listed)
            kinds = {"ids": "ints", "names": "strings"}
            raise InputTypeError(f"classes holds {kinds[known.kind]} but {named.name} {kinds[listed]}.")
        if known.kind == "names":
            self._index_names([known.names[j] for j in known.values], rows)
        else:
            self._index_ids(known.values, rows)

    def _index_names(self, known: list[str], rows: list[Rows]) -> None:
        index = {name: column for column, name in enumerate(known)}
        if len(index) < len(known):
            raise InputError("classes holds a label twice.")
        listed: set[str] = set().union(*(container.names for container in rows))
        for name in sorted(listed - index.keys()):
            index[name] = len(index)
        self.size = len(index)
        self._index = index

    def _index_ids(self, known: IntArray, rows: list[Rows]) -> None:
        listed = [np.unique(container.values) for container in rows if container.kind == "ids"]
        used = np.unique(np.concatenate([np.zeros(0, np.int64), *listed]))
        ids = np.concatenate([known, np.setdiff1d(used[used >= 0], known)])
        order = np.argsort(ids, kind="stable")
        self.size = len(ids)
        self._ids, self._columns = ids[order], order
        if (self._ids[1:] == self._ids[:-1]).any():
            raise InputError("classes holds a label twice.")


def pattern(positives: Pattern | Rows, space: CommonColumns) -> Pattern:
    """Return positives as columns of a label space, duplicates once."""
    if isinstance(positives, Pattern):
        return Pattern(positives.indptr, positives.indices, space.size, positives.name)
    columns = space.code(positives)
    csr = sp.csr_array((np.ones(len(columns), bool), columns, positives.indptr), shape=(positives.n, space.size))
    csr.sum_duplicates()
    return Pattern(csr.indptr, csr.indices, space.size, positives.name)


def _common_kind(rows: list[Rows]) -> str:
    first = None
    for container in rows:
        if container.kind == "none":
            continue
        if first is not None and container.kind != first.kind:
            kinds = {"ids": "ints", "names": "strings"}
            raise InputTypeError(
                f"{first.name} holds {kinds[first.kind]} but {container.name} {kinds[container.kind]}; "
                "labels must be of one kind."
            )
        first = first or container
    return "none" if first is None else first.kind


def _classes_as_rows(classes: Any) -> Rows:
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise InputTypeError(f"classes must be a list or array of labels. Got {type(classes).__name__}.")
    rows = read_positives([list(classes)], "classes")
    if not isinstance(rows, Rows) or rows.kind == "none":
        raise InputError("classes holds no labels.")
    return rows
