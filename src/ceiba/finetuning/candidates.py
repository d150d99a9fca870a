"""Candidates that all texts of a batch share, and the sparse rows that they are made from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.instances import InstanceLists
from ceiba.data.offsets import ranges


class SharedCandidates(NamedTuple):
    """The same S nodes for all texts of a batch, and the n positions of the positives among them.

    Its size does not grow with texts x nodes, so all nodes of a level may be candidates.
    """

    nodes: NDArray[np.int64]  # (S,), ascending
    log_importance_weight: NDArray[np.float32]  # (S,), the logarithm of how often a candidate counts in the softmax
    row: NDArray[np.int64]  # (n,), in the batch
    column: NDArray[np.int64]  # (n,), in nodes
    relevance: NDArray[np.float32]  # (n,)


def shared_candidates(
    positives: sp.csr_array,
    rows: NDArray[np.intp],
    nodes: NDArray[np.int64],
    log_importance_weight: NDArray[np.float32] | None = None,
) -> SharedCandidates:
    """Return the same candidates for some rows.

    Parameters
    ----------
    positives : csr_array of shape (N, K)
        The relevance of each text to its nodes.
    rows : ndarray of shape (B,)
    nodes : ndarray of shape (S,), int64
        The candidates, ascending.
    log_importance_weight : ndarray of shape (S,), float32, or None, default=None
        None: each candidate counts once.
    """
    row, column, entries = nonzero_positions(positives, rows, nodes)
    if log_importance_weight is None:
        log_importance_weight = np.zeros(len(nodes), np.float32)
    return SharedCandidates(nodes, log_importance_weight, row, column, positives.data[entries])


def by_instance(lists: InstanceLists, n_instances: int) -> sp.csr_array:
    """Return the nodes of each instance, ascending: (N, K). Values are the weights of the lists, or ones."""
    values = np.ones(len(lists.indices), np.float32) if lists.weight is None else lists.weight
    rows = lists.matrix(n_instances, values).T.tocsr()
    rows.sort_indices()
    return rows


def nonzero_positions(
    matrix: sp.csr_array, rows: NDArray[np.intp], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the stored entries in some rows and some columns.

    Parameters
    ----------
    matrix : csr_array
    rows : ndarray of shape (B,)
    columns : ndarray of shape (S,), int64
        Ascending.

    Returns
    -------
    row, column : ndarray of shape (n,), int64
        Positions in `rows` and in `columns`.
    entries : ndarray of shape (n,), int64
        Positions in ``matrix.data``.
    """
    row, entries = row_entries(matrix, rows)
    column = np.minimum(np.searchsorted(columns, matrix.indices[entries]), len(columns) - 1)
    hit = columns[column] == matrix.indices[entries]
    return row[hit], column[hit], entries[hit]


def row_entries(matrix: sp.csr_array, rows: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the stored entries of some rows: the position of each in `rows`, and its position in ``matrix.data``."""
    begins = matrix.indptr[rows].astype(np.int64)
    sizes = matrix.indptr[rows + 1] - begins
    return np.repeat(np.arange(len(rows)), sizes), ranges(begins, sizes)
