"""Nearest rows by all inner products; a twin of `ceiba.retrieval.sparse_index`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.retrieval.ranked import Ranked


def merge_columns(X: Any, merged: NDArray[np.int32], n_columns: int) -> list[dict[int, np.float32]]:
    """Return, for each row, features added up in the columns that `merged` names, brought to length 1."""
    rows = []
    for begin, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        sums: dict[int, np.float32] = {}
        for column, value in zip(merged[X.indices[begin:end]].tolist(), X.data[begin:end], strict=True):
            sums[column] = np.float32(sums.get(column, np.float32(0)) + value)
        squares = sum(float(sums[column]) ** 2 for column in sorted(sums))
        length = np.sqrt(squares) if squares > 0 else 1.0
        rows.append({column: np.float32(float(sums[column]) / length) for column in sorted(sums)})
    return rows


class SparseIndex:
    """Multiplies every query with every row; interface and results are those of the fast index."""

    def __init__(self, matrix: Any):
        self._rows = sp.csr_array(matrix, dtype=np.float64)

    def products(self, Q: Any) -> NDArray[np.float32]:
        """Return the inner products of every query with every row, summed in double precision."""
        return (sp.csr_array(Q, dtype=np.float64) @ self._rows.T).toarray().astype(np.float32)

    def search(self, Q: Any, n: int, *, exclude: NDArray[np.int32] | None = None, least: float = 0.0) -> Ranked:
        """Return the n nearest rows of each query, of those above 0 and of `least` at least."""
        ptr, ids, scores = [0], [], []
        for q, own in enumerate(self.products(Q)):
            if exclude is not None and exclude[q] >= 0:
                own[exclude[q]] = 0
            order = np.lexsort((np.arange(len(own)), -own))
            best = order[(own[order] > 0) & (own[order] >= np.float32(least))][:n]
            ptr.append(ptr[-1] + len(best))
            ids.append(best)
            scores.append(own[best])
        return Ranked(
            np.array(ptr, np.int64),
            np.concatenate([np.empty(0, np.int32), *ids]).astype(np.int32),
            np.concatenate([np.empty(0, np.float32), *scores]),
        )
