"""Labels found by rows of sparse features of their own, such as the words of their texts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from ceiba._params import Flag, Interval
from ceiba.errors import ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.top import joined, ranked_matrix

_ROWS = 500  # searched at once
_MOST_PAIRS = 1 << 18  # scored at once


@component("sparse-labels", "generator")
class SparseLabels(CandidateGenerator):
    """Ranks labels by the inner product of a query's sparse features and the label's own row.

    A label with several rows, such as one of several names, has the score of its best one.

    Parameters
    ----------
    rows : csr_array of shape (R, D), float32
        With rows of length 1 and queries of length 1, scores are cosines.
    row_label : ndarray of shape (R,), int32, ascending
        The label of each row.
    name : str
    presence : bool, default=False
        Whether every feature of a query counts as 1. With rows that sum to 1, a score is the share of the label's
        words that the text has.
    merged : ndarray of shape (number of sparse features,), int32, or None, default=None
        The column of `rows` that each of a query's features counts in, such as that of a word's stem; None: its own.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        rows: sp.csr_array,
        row_label: NDArray[np.int32],
        *,
        name: str,
        presence: bool = False,
        merged: NDArray[np.int32] | None = None,
    ):
        self.name, self.presence, self._merged = name, presence, merged
        self._rows, self._row_label = rows, row_label
        self._by_feature = rows.T.tocsr()

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all that share a feature."""
        parts = [
            self._best(Q.part(begin, min(begin + _ROWS, Q.n_rows)), n) for begin in range(0, max(1, Q.n_rows), _ROWS)
        ]
        return joined(parts)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels."""
        scores = np.zeros(len(labels), np.float32)
        first, last = np.searchsorted(self._row_label, [labels, labels + 1])
        count = last - first
        asked = self._query(Q)
        query = np.repeat(np.arange(Q.n_rows), np.diff(ptr))
        for begin in range(0, len(labels), _MOST_PAIRS):
            pair = np.arange(begin, min(begin + _MOST_PAIRS, len(labels)))
            pair = np.repeat(pair, count[pair])
            if not len(pair):
                continue
            own = np.arange(len(pair)) - np.searchsorted(pair, pair)
            product = _pair_products(asked, query[pair], self._rows, first[pair] + own)
            np.maximum.at(scores, pair, product)
        return scores

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the score, and the features that query and label share."""
        first, last = np.searchsorted(self._row_label, [label, label + 1])
        shared = self._rows[first:last].multiply(self._query(Q)).tocsr()
        sums = np.asarray(shared.sum(axis=1)).ravel()
        if not len(sums):
            return Evidence(self.name, 0.0)
        best = shared[[int(np.argmax(sums))]]
        order = np.argsort(-best.data, kind="stable")
        found = [(int(best.indices[i]), float(best.data[i])) for i in order]
        return Evidence(self.name, float(sums.max()), {"features": found})

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the rows."""
        rows = self._rows
        arrays = {**arrays_of_rows(rows), "row_label": self._row_label}
        if self._merged is not None:
            arrays["merged"] = self._merged
        writer.tensors(f"{self.name}.safetensors", arrays)
        return {"name": self.name, "presence": self.presence, "n_columns": rows.shape[1]}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> SparseLabels:
        """Read what `save` wrote."""
        name = fields.get("name", STRING)
        n_labels, n_features = len(context.part("labels", fields)), context.part("queries", fields).n_features
        file = f"{name}.safetensors"
        rows = read_rows(files, file, fields.get("n_columns", Interval(int, 0, 2**31 - 1)))
        row_label, merged = (files.tensors(file).get(part) for part in ("row_label", "merged"))
        if merged is not None and (
            merged.dtype != np.int32
            or not (rows.shape[1] <= merged.size <= n_features)
            or (merged.size and (merged.min() < 0 or merged.max() >= rows.shape[1]))
        ):
            raise ModelFormatError(f"{files.path(file)} does not hold a column for each feature.")
        if (
            row_label is None
            or row_label.dtype != np.int32
            or row_label.shape != (rows.shape[0],)
            or (len(row_label) and (row_label[0] < 0 or row_label[-1] >= n_labels or (np.diff(row_label) < 0).any()))
        ):
            raise ModelFormatError(f"{files.path(file)} does not have a label for each row.")
        return cls(rows, row_label, name=name, presence=bool(fields.get("presence", Flag())), merged=merged)

    def _best(self, Q: Queries, n: int | None) -> Ranked:
        products = sp.csr_array(self._query(Q) @ self._by_feature)
        products.sort_indices()
        if len(self._row_label) and self._row_label[-1] + 1 == len(self._row_label):
            return ranked_matrix(products, n)
        return ranked_matrix(_best_of_labels(products, self._row_label), n)

    def _query(self, Q: Queries) -> sp.csr_array:
        asked = Q.features.sparse()
        if self.presence:
            asked = sp.csr_array((np.ones_like(asked.data), asked.indices, asked.indptr), shape=asked.shape)
        return asked if self._merged is None else merged_columns(asked, self._merged, self._rows.shape[1])


def merged_columns(rows: sp.csr_array, merged: NDArray[np.int32], n_columns: int) -> sp.csr_array:
    """Return rows whose columns are added up in those that `merged` names, of length 1 again."""
    copies = rows.data.copy(), merged[rows.indices], rows.indptr.copy()  # changed in place
    found = sp.csr_array(copies, shape=(rows.shape[0], n_columns))
    found.sum_duplicates()
    return sp.csr_array(normalize(found))


def arrays_of_rows(rows: sp.csr_array) -> dict[str, NDArray]:
    """Return the arrays that `read_rows` reads."""
    return {"indptr": rows.indptr.astype(np.int64), "indices": rows.indices.astype(np.int32), "data": rows.data}


def read_rows(files: FolderFiles, file: str, n_columns: int) -> sp.csr_array:
    """Read a CSR matrix that was written as "indptr", "indices" and "data", and check it."""
    arrays = files.tensors(file)
    ptr, indices, data = (arrays.get(part) for part in ("indptr", "indices", "data"))
    if (
        ptr is None
        or indices is None
        or data is None
        or (ptr.dtype, indices.dtype, data.dtype) != (np.int64, np.int32, np.float32)
        or len(ptr) == 0
        or ptr[0] != 0
        or (np.diff(ptr) < 0).any()
        or ptr[-1] != len(indices)
        or len(indices) != len(data)
        or (len(indices) and (indices.min() < 0 or indices.max() >= n_columns))
        or not np.isfinite(data).all()
    ):
        raise ModelFormatError(f"{files.path(file)} does not hold sparse rows of {n_columns} features.")
    return sp.csr_array((data, indices, ptr), shape=(len(ptr) - 1, n_columns))


def _best_of_labels(products: sp.csr_array, row_label: NDArray[np.int32]) -> sp.csr_array:
    """Return the best product of each label's rows."""
    n = products.shape[0]
    row, label = np.repeat(np.arange(n), np.diff(products.indptr)), row_label[products.indices].astype(np.int64)
    n_labels = int(row_label[-1]) + 1 if len(row_label) else 1
    keys, first = np.unique(row * n_labels + label, return_index=True)  # rows of a label stand side by side
    best = np.maximum.reduceat(products.data, first) if len(first) else products.data
    ptr = np.searchsorted(keys, np.arange(n + 1) * n_labels)
    return sp.csr_array((best, keys % n_labels, ptr), shape=(n, n_labels))


def _pair_products(A: sp.csr_array, a: NDArray[np.intp], B: sp.csr_array, b: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the inner products of rows a of A and rows b of B, pair by pair."""
    sizes = np.diff(B.indptr)[b]
    pair = np.repeat(np.arange(len(b)), sizes)
    at = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + B.indptr[b][pair]
    column = B.indices[at].astype(np.int64)
    keys = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr)) * A.shape[1] + A.indices
    wanted = a[pair] * A.shape[1] + column
    found = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
    hit = keys[found] == wanted if len(keys) else np.zeros(len(wanted), bool)
    values = np.where(hit, A.data[found] if len(keys) else 0, 0) * B.data[at]
    return np.bincount(pair, values, minlength=len(b)).astype(np.float32)
