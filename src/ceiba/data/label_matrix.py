"""Y, the positives of every instance, seen from the rows and from the labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ceiba.data.instances import InstanceLists
from ceiba.data.labels import encode_labels
from ceiba.data.offsets import row_numbers


@dataclass(frozen=True, eq=False)
class Labels:
    """Which labels each of N instances has.

    Attributes
    ----------
    by_row : csr_array of shape (N, L), float32
        Y: canonical, and every stored value is 1.
    """

    by_row: csr_array

    @cached_property
    def by_label(self) -> InstanceLists:
        """The instances of each label: the columns of Y, made when they are first asked for and kept."""
        return InstanceLists.from_columns(self.by_row)

    @property
    def n_rows(self) -> int:
        """N, the number of instances."""
        return self.by_row.shape[0]

    @property
    def n_labels(self) -> int:
        """L, the number of labels."""
        return self.by_row.shape[1]

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of instances of each label."""
        return np.diff(self.by_label.ptr)

    def part(self, begin: int, end: int) -> Labels:
        """Return the instances from `begin` up to `end`."""
        return Labels(self.by_row[begin:end])

    def take(self, rows: NDArray[np.intp]) -> Labels:
        """Return some instances, in that order."""
        return Labels(self.by_row[rows])


def as_labels(Y: Any, classes: Any = None) -> tuple[Labels, NDArray]:
    """Turn training labels into `Labels` and the names of the columns; see `encode_labels`.

    `Labels` are returned as they are, and `classes`, which they need, too.
    """
    if isinstance(Y, Labels):
        return Y, classes
    matrix, names = encode_labels(Y, classes)
    return Labels(matrix), names


def is_positive(Y: csr_array, row: NDArray[np.integer], label: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which pairs of row and label are positives of Y, a matrix of shape (N, L) in which 0 is none."""
    n_labels = np.int64(Y.shape[1])
    positives = row_numbers(Y.indptr) * n_labels + Y.indices
    return np.isin(row * n_labels + label, positives[Y.data != 0])
