"""The k best labels of each row, and which of them are right.

The order is defined, whatever the container and the order of storage: a higher score first, and of equal
scores the lower column first.  NaN never gets here; a score of -inf is no answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ceiba.metrics.containers import DenseScores, FloatArray, IntArray, Rows, SparseScores
from ceiba.metrics.labels import CommonColumns

CELLS = 1 << 20
"""Numbers in one working block: bounds the memory that any step needs over its input and its result."""


def best_labels(scores: SparseScores | DenseScores | Rows, k: int, space: CommonColumns) -> IntArray:
    """Return the columns of the k best labels of each row, shape (n, k), best first, -1 in empty places."""
    if isinstance(scores, SparseScores):
        return best_of_sparse(scores.indptr, scores.indices, scores.data, k)[0]
    if isinstance(scores, DenseScores):
        return _best_of_dense(scores.scores, k)
    return _first_places(space.code(scores), scores.indptr, k)


def best_of_sparse(indptr: IntArray, indices: IntArray, data: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Return the k best stored entries of each row of a canonical CSR matrix.

    Returns
    -------
    columns : ndarray of shape (n, k)
        Best first, -1 where a row has no more.
    values : ndarray of shape (n, k)
        Their scores, -inf where a row has no more.
    """
    lengths = np.diff(indptr)
    columns = np.full((len(lengths), k), -1, dtype=np.int64)
    values = np.full((len(lengths), k), -np.inf, dtype=data.dtype)
    # Rows of like length are padded to one block, so one long row does not widen all the others.
    by_length = np.argsort(lengths, kind="stable")
    sorted_lengths = lengths[by_length]
    start = int(np.searchsorted(sorted_lengths, 0, side="right"))
    while start < len(by_length):
        widest = max(16, 2 * int(sorted_lengths[start]))
        stop = int(np.searchsorted(sorted_lengths, widest, side="right"))
        stop = min(stop, start + max(1, CELLS // widest))
        rows, width = by_length[start:stop], int(sorted_lengths[stop - 1])
        if stop - start > 1:
            rows = np.sort(rows)  # reads the matrix in its own order
        place = np.arange(width)
        at = np.minimum(indptr[rows].astype(np.int64)[:, None] + place, len(data) - 1)
        block = np.where(place < lengths[rows][:, None], data[at], data.dtype.type(-np.inf))
        best = _best_positions(block, k)
        held = best.shape[1]
        best_values = np.take_along_axis(block, best, axis=1)
        best_columns = indices[np.take_along_axis(at, best, axis=1)]
        columns[rows, :held] = np.where(best_values == -np.inf, -1, best_columns)
        values[rows, :held] = best_values
        start = stop
    return columns, values


def hits(top: IntArray, indptr: IntArray, indices: IntArray, n_labels: int) -> npt.NDArray[np.bool_]:
    """Return which places of a ranking hold a positive, shape of ``top``; the positives as in `Pattern`."""
    rows = np.arange(len(top), dtype=np.int64)
    # One number per (row, column) keeps the positives sorted over all rows: one search answers every place.
    positives = np.repeat(rows * n_labels, np.diff(indptr)) + indices
    if not positives.size:
        return np.zeros(top.shape, dtype=bool)
    wanted = (rows * n_labels)[:, None] + top
    found = np.minimum(np.searchsorted(positives, wanted), len(positives) - 1)
    # An empty place (-1) would else match the last column of the row above.
    return (positives[found] == wanted) & (top >= 0)


def _best_of_dense(scores: FloatArray, k: int) -> IntArray:
    n, width = scores.shape
    columns = np.full((n, k), -1, dtype=np.int64)
    step = max(1, CELLS // max(1, width))
    for start in range(0, n, step):
        block = scores[start : start + step]
        best = _best_positions(block, k)
        answered = np.take_along_axis(block, best, axis=1) > -np.inf
        columns[start : start + step, : best.shape[1]] = np.where(answered, best, -1)
    return columns


def _best_positions(block: FloatArray, k: int) -> npt.NDArray[Any]:
    """Return the positions of the min(k, width) largest of each row, best first, equal ones by position."""
    n, width = block.shape
    k = min(k, width)
    if width <= 4 * k:
        return np.argsort(-block, axis=1, kind="stable")[:, :k]
    least = np.partition(block, width - k, axis=1)[:, width - k, None]
    above, level = block > least, block == least
    # A partition may drop any of the equal ones; keep the foremost that still fit.
    room = k - np.count_nonzero(above, axis=1)[:, None]
    kept = np.nonzero(above | (level & (np.cumsum(level, axis=1) <= room)))[1].reshape(n, k)
    order = np.argsort(-np.take_along_axis(block, kept, axis=1), axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)


def _first_places(columns: IntArray, indptr: IntArray, k: int) -> IntArray:
    """Return the first k labels of each listed ranking; a label that stood further up is an empty place."""
    n = len(indptr) - 1
    top = np.full((n, k), -1, dtype=np.int64)
    step = max(1, CELLS // k)
    for start in range(0, n, step):
        stop = min(n, start + step)
        starts, lengths = indptr[start:stop, None], np.diff(indptr[start : stop + 1])[:, None]
        place = np.arange(min(k, int(lengths.max())))
        if not place.size:
            continue
        at = np.minimum(starts + place, len(columns) - 1)
        block = np.where(place < lengths, columns[at], -1)
        order = np.argsort(block, axis=1, kind="stable")
        ordered = np.take_along_axis(block, order, axis=1)
        ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = -1  # compares before it assigns
        np.put_along_axis(block, order, ordered, axis=1)
        top[start:stop, : place.size] = block
    return top
