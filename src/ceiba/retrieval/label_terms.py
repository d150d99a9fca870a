"""Labels found by the words of their texts: by cosine, and by the share of a label's words that a text has."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ceiba.data.offsets import offsets, ranges
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import FeatureMatrix
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext, single_pair
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.sparse_index import SparseIndex
from ceiba.retrieval.sparse_labels import (
    SparseLabels,
    merged_columns,
    merged_query,
    n_sparse_of,
    read_index,
    read_row_labels,
)

_COSINE, _SHARE = 0.5, 0.1  # weights: of the cosine of words or stems, and of the share of a label's words or stems


@component("label-terms", "generator")
class LabelTerms(CandidateGenerator):
    """Ranks labels by a weighted sum of cosines and shares, of words and of their stems.

    The share is the part of a label's words that the text has, weighted by their squared TF-IDF. A long text has a low
    cosine to every label. The share of a label that it names is still 1.

    Parameters
    ----------
    index : SparseIndex
        Of the rows that `label_term_rows` returns.
    row_label : ndarray of shape (R,), int32, ascending
        The label of each row.
    stems : ndarray of shape (number of words,), int32
        The number of each word's stem.
    name : str
    """

    kind: ClassVar[str]

    def __init__(self, index: SparseIndex, row_label: NDArray[np.int32], stems: NDArray[np.int32], *, name: str):
        self.name, self._stems, self._index, self._row_label = name, stems, index, row_label
        self._labels = SparseLabels(index, row_label, name=name)

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all that share a word or a stem."""
        return self._labels.candidates(self._seen(Q), n, ctx=ctx)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels."""
        return self._labels.score(self._seen(Q), ptr, labels, ctx=ctx)

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the score."""
        ptr, labels = single_pair(label)
        return Evidence(self.name, float(self.score(Q, ptr, labels, ctx=ctx)[0]))

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the index."""
        arrays = {**self._index.arrays(), "row_label": self._row_label, "stems": self._stems}
        writer.tensors(f"{self.name}.safetensors", arrays)
        return {"name": self.name}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> LabelTerms:
        """Read what `save` wrote."""
        name = fields.get("name", STRING)
        file, n_words = f"{name}.safetensors", n_sparse_of(context, fields)
        stems = read_stems(files, file, n_words)
        index = read_index(files, file)
        if index.n_features != 2 * (n_words + n_stems_of(stems)):
            raise ModelFormatError(f"{files.path(file)} is not an index of {n_words} words and their stems.")
        row_label = read_row_labels(files, file, index.n_rows, len(context.part("labels", fields)))
        return cls(index, row_label, stems, name=name)

    def _seen(self, Q: Queries) -> Queries:
        stems = self._stems
        return Q.once(("label terms", id(stems)), lambda: Queries(text_term_rows(Q, stems), Q.texts))


def text_term_rows(Q: Queries, stems: NDArray[np.int32]) -> FeatureMatrix:
    """Return rows of texts: the TF-IDF of words, a 1 for each word that occurs, and both for stems."""
    words, of_stems = Q.features.sparse_part(), merged_query(Q, stems, n_stems_of(stems))
    return _side_by_side([words, binarize(words), of_stems, binarize(of_stems)])


def label_term_rows(X: FeatureMatrix, stems: NDArray[np.int32]) -> FeatureMatrix:
    """Return the rows of label texts whose inner products with `text_term_rows` are the scores of labels."""
    words, of_stems = X.sparse_part(), merged_columns(X, stems, n_stems_of(stems))
    parts = [(words, _COSINE, 1), (words, _SHARE, 2), (of_stems, _COSINE, 1), (of_stems, _SHARE, 2)]
    return _side_by_side([_with_data(rows, np.float32(weight) * rows.data**power) for rows, weight, power in parts])


def binarize(rows: FeatureMatrix) -> FeatureMatrix:
    """Return sparse features with 1 in place of each stored value."""
    return _with_data(rows, np.ones_like(rows.data))


def n_stems_of(stems: NDArray[np.int32]) -> int:
    """Return the number of stems."""
    return int(stems.max(initial=-1)) + 1


def read_stems(files: FolderFiles, file: str, n_words: int) -> NDArray[np.int32]:
    """Read the number of each word's stem; ModelFormatError where there is not one for each word."""
    stems = files.tensors(file).get("stems")
    if stems is None or stems.dtype != np.int32 or stems.shape != (n_words,) or stems.min(initial=0) < 0:
        raise ModelFormatError(f"{files.path(file)} does not hold a stem for each of {n_words} words.")
    return stems


def _with_data(rows: FeatureMatrix, data: NDArray[np.float32]) -> FeatureMatrix:
    return FeatureMatrix(rows.indptr, rows.indices, data, rows.n_sparse)


def _side_by_side(parts: list[FeatureMatrix]) -> FeatureMatrix:
    """Return the sparse features of all parts as one row each, those of the first part first."""
    begins = np.cumsum([0, *(part.n_sparse for part in parts)])
    if parts[0].n_rows == 1:  # the others do the same in more steps
        one = np.concatenate([part.indices + np.int32(begin) for part, begin in zip(parts, begins[:-1], strict=True)])
        values = np.concatenate([part.data for part in parts])
        return FeatureMatrix(np.array([0, len(one)]), one, values, int(begins[-1]))
    sizes = [np.diff(part.indptr) for part in parts]
    indptr = offsets(np.sum(sizes, axis=0))
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    at_row = indptr[:-1].copy()
    for part, size, begin in zip(parts, sizes, begins[:-1], strict=True):
        at = ranges(at_row, size)
        indices[at], data[at] = part.indices + np.int32(begin), part.data
        at_row += size
    return FeatureMatrix(indptr, indices, data, int(begins[-1]))
