"""Labels found by rows of sparse features of their own, such as the words of their texts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import Interval
from ceiba.data.offsets import offsets, ranges
from ceiba.errors import CeibaError, ModelFormatError
from ceiba.features.matrix import FeatureMatrix, all_sparse
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext, single_pair
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.sparse_index import SparseIndex
from ceiba.retrieval.top import ranked_pairs

_SIZE = Interval(int, 0, 2**31 - 1)


@component("sparse-labels", "generator")
class SparseLabels(CandidateGenerator):
    """Ranks labels by the inner product of a query's sparse features and the label's own row.

    A label with several rows, such as one of several names, has the score of its best one.

    Parameters
    ----------
    index : SparseIndex
        Of R rows. With rows and queries of length 1, scores are cosines.
    row_label : ndarray of shape (R,), int32, ascending
        The label of each row.
    name : str
    merged : ndarray of shape (number of sparse features,), int32, or None, default=None
        The column of `index` for each feature of a query, such as the column of a word's stem. None: the same column.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        index: SparseIndex,
        row_label: NDArray[np.int32],
        *,
        name: str,
        merged: NDArray[np.int32] | None = None,
    ):
        self.name, self._index, self._row_label, self._merged = name, index, row_label, merged
        sizes = np.bincount(row_label)
        self._most_rows = int(sizes.max(initial=1))  # of one label
        self._begin = offsets(sizes)  # of each label's rows, up to the last label that has any

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all that share a feature."""
        most = self._index.n_rows if n is None else n * self._most_rows
        found = self._index.search(self._query(Q), max(1, most), n_threads=ctx.n_threads)
        labels = self._row_label[found.ids]
        if self._most_rows == 1:
            return Ranked(found.ptr, labels, found.scores)
        row = found.rows
        order = np.lexsort((-found.scores, labels, row))
        row, labels, scores = row[order], labels[order], found.scores[order]
        best = np.ones(len(row), bool)  # of each label
        best[1:] = (row[1:] != row[:-1]) | (labels[1:] != labels[:-1])
        return ranked_pairs(Q.n_rows, row[best], labels[best], scores[best], n)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels."""
        most = len(self._begin) - 1
        first = self._begin[np.minimum(labels, most)]
        count = self._begin[np.minimum(labels + 1, most)] - first
        ends, rows = offsets(count), ranges(first, count)
        products = self._index.score(self._query(Q), ends[ptr], rows.astype(np.int32), n_threads=ctx.n_threads)
        scores = np.zeros(len(labels), np.float32)
        some = count > 0
        if some.any():
            scores[some] = np.maximum.reduceat(products, ends[:-1][some])
        return scores

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the score."""
        ptr, labels = single_pair(label)
        return Evidence(self.name, float(self.score(Q, ptr, labels, ctx=ctx)[0]))

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the index."""
        arrays = {**self._index.arrays(), "row_label": self._row_label}
        if self._merged is not None:
            arrays["merged"] = self._merged
        writer.tensors(f"{self.name}.safetensors", arrays)
        return {"name": self.name}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> SparseLabels:
        """Read what `save` wrote."""
        name = fields.get("name", STRING)
        n_labels, n_sparse = len(context.part("labels", fields)), n_sparse_of(context, fields)
        file = f"{name}.safetensors"
        index, path = read_index(files, file), files.path(file)
        merged = files.tensors(file).get("merged")
        if merged is None:
            if index.n_features != n_sparse:
                raise ModelFormatError(f"{path} is an index of {index.n_features} features, not of {n_sparse}.")
        elif (
            merged.dtype != np.int32
            or merged.shape != (n_sparse,)
            or (merged.size and (merged.min() < 0 or merged.max() >= index.n_features))
        ):
            raise ModelFormatError(f"{path} does not hold a column for each feature.")
        row_label = read_row_labels(files, file, index.n_rows, n_labels)
        return cls(index, row_label, name=name, merged=merged)

    def _query(self, Q: Queries) -> FeatureMatrix:
        if self._merged is None:
            return all_sparse(Q.features)
        return merged_query(Q, self._merged, self._index.n_features)


def n_sparse_of(context: LoadContext, fields: Fields) -> int:
    """Return the number of sparse features of a model's queries."""
    queries = context.part("queries", fields)
    return queries.n_features - queries.dim


def read_index(files: FolderFiles, file: str) -> SparseIndex:
    """Read the arrays of an index from a file."""
    try:
        return SparseIndex.from_arrays(files.tensors(file))
    except CeibaError as error:
        raise ModelFormatError(f"{files.path(file)}: {error}") from error


def read_row_labels(files: FolderFiles, file: str, n_rows: int, n_labels: int) -> NDArray[np.int32]:
    """Read the label of each row of an index; ModelFormatError where there is not one for each, ascending."""
    row_label = files.tensors(file).get("row_label")
    if (
        row_label is None
        or row_label.dtype != np.int32
        or row_label.shape != (n_rows,)
        or (len(row_label) and (row_label[0] < 0 or row_label[-1] >= n_labels or (np.diff(row_label) < 0).any()))
    ):
        raise ModelFormatError(f"{files.path(file)} does not have a label for each row.")
    return row_label


def merged_query(Q: Queries, merged: NDArray[np.int32], n_columns: int) -> FeatureMatrix:
    """Return the merged columns of rows, which are computed once for all generators that ask."""
    return Q.once(("merged columns", id(merged)), lambda: merged_columns(Q.features, merged, n_columns))


def merged_columns(X: FeatureMatrix, merged: NDArray[np.int32], n_columns: int) -> FeatureMatrix:
    """Return the sparse features added up in the columns that `merged` names, with rows of length 1 again."""
    indptr, indices, data = core.merge_columns(X.indptr, X.indices, X.data, merged, n_columns)
    return FeatureMatrix(indptr, indices, data, n_columns)
