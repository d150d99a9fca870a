"""How often training texts that name a label have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.label_matrix import is_positive
from ceiba.data.offsets import offsets, row_numbers
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import FeatureMatrix
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import Fields
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.label_terms import binarize, n_stems_of, read_stems
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

_FILE = "label-mentions.safetensors"
_ALL = 0.999  # share from which a text has all stems of a label, after rounding
_ROWS = 512  # training texts of a batch
_MOST_ROWS = 20_000  # training texts that are counted
_PRIOR = 0.2, 2.0  # pseudo-counts: right mentions, and all mentions, of every label


@component("label-mentions", "measure")
class LabelMentions:
    """Whether a text has all stems of a label, and how often training texts that do so have the label.

    A label such as "history" is named by many texts that are not about it. A label that is often named and never right
    is unlikely, also where it has no training text.

    Parameters
    ----------
    index : SparseIndex
        Of the rows that `share_rows` returns.
    row_label : ndarray of shape (R,), int32, ascending
        The label of each row.
    stems : ndarray of shape (number of words,), int32
        The number of each word's stem.
    counts : ndarray of shape (L, 2), float32
        Training texts that name each label, and those of them that have it.

    References
    ----------
    Medelyan, "Human-competitive automatic topic indexing", 2009 (Maui): keyphraseness, how often a term that a text
    names is one of its keyphrases.
    """

    kind: ClassVar[str]
    name = "label-mentions"
    columns = ("share of stems", "log mentions", "log right share", "log mentions if named", "log right share if named")

    def __init__(
        self,
        index: SparseIndex,
        row_label: NDArray[np.int32],
        stems: NDArray[np.int32],
        counts: NDArray[np.float32],
    ):
        self._index, self._row_label, self._stems, self._counts = index, row_label, stems, counts
        self._labels = SparseLabels(index, row_label, name=self.name)
        mentions, right = counts.T
        self._known = np.column_stack([np.log1p(mentions), np.log((right + _PRIOR[0]) / (mentions + _PRIOR[1]))])

    @classmethod
    def of(
        cls,
        words: FeatureMatrix,
        Y: sp.csr_array,
        label_words: FeatureMatrix,
        row_label: NDArray[np.int32],
        stems: NDArray[np.int32],
    ) -> LabelMentions:
        """Count the mentions of labels in training texts.

        Of more than 20,000 texts, 20,000 at equal distances are counted.

        Parameters
        ----------
        words : FeatureMatrix of N rows
            Words of training texts.
        Y : csr_array of shape (N, L)
        label_words : FeatureMatrix of R rows
            Words of label texts.
        row_label : ndarray of shape (R,), int32, ascending
        stems : ndarray of shape (number of words,), int32
        """
        rows = share_rows(label_words, stems)
        index = SparseIndex(rows)
        counts = np.zeros((Y.shape[1], 2), np.float32)
        rarest = _rarest_stems(rows)
        taken = np.unique(np.linspace(0, words.n_rows - 1, min(words.n_rows, _MOST_ROWS)).astype(np.intp))
        for begin in range(0, len(taken), _ROWS):
            part = taken[begin : begin + _ROWS]
            present = binarize(merged_columns(words.rows(part), stems, n_stems_of(stems)))
            near = sp.csr_array(present.sparse() @ rarest)  # texts with the rarest stem of a label's text
            near.sort_indices()
            ptr, found = near.indptr.astype(np.int64), near.indices.astype(np.int32)
            named = index.score(present, ptr, found) >= _ALL
            pairs = np.unique(np.column_stack([row_numbers(ptr)[named], row_label[found[named]]]), axis=0)
            row, label = pairs.T
            right = is_positive(Y[part], row, label)
            counts[:, 0] += np.bincount(label, minlength=len(counts))
            counts[:, 1] += np.bincount(label[right], minlength=len(counts))
        return cls(index, row_label, stems, counts)

    def measure(
        self,
        Q: Queries,
        found: Mapping[str, Ranked],
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        ctx: SearchContext,
    ) -> NDArray[np.float32]:
        """Return the share of stems, the logs of the label's counts, and these again where the text names the label."""
        stems = self._stems
        seen = Q.once(
            ("present stems", id(stems)), lambda: Queries(binarize(merged_query(Q, stems, n_stems_of(stems))))
        )
        share = self._labels.score(seen, ptr, labels, ctx=ctx)
        known = self._known[labels]
        return np.column_stack([share, known, known * (share >= _ALL)[:, None]]).astype(np.float32)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the index and the counts."""
        own = {"row_label": self._row_label, "stems": self._stems, "counts": self._counts}
        writer.tensors(_FILE, {**self._index.arrays(), **own})
        return {}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> LabelMentions:
        """Read what `save` wrote."""
        n_labels = len(context.part("labels", fields))
        stems, index = read_stems(files, _FILE, n_sparse_of(context, fields)), read_index(files, _FILE)
        row_label = read_row_labels(files, _FILE, index.n_rows, n_labels)
        counts, path = files.tensors(_FILE).get("counts"), files.path(_FILE)
        if index.n_features != n_stems_of(stems):
            raise ModelFormatError(f"{path} is not an index of the stems of the model's words.")
        if (
            counts is None
            or counts.dtype != np.float32
            or counts.shape != (n_labels, 2)
            or not np.isfinite(counts).all()
            or (counts < 0).any()
        ):
            raise ModelFormatError(f"{path} does not hold two counts of each label.")
        return cls(index, row_label, stems, counts)


def share_rows(X: FeatureMatrix, stems: NDArray[np.int32]) -> FeatureMatrix:
    """Return the stems of label texts, each with its share of the text's squared TF-IDF."""
    rows = merged_columns(X, stems, n_stems_of(stems))
    return FeatureMatrix(rows.indptr, rows.indices, rows.data**2, rows.n_sparse)


def _rarest_stems(rows: FeatureMatrix) -> sp.csr_array:
    """Return a matrix of stems and texts with the stem of each text that the fewest texts have."""
    frequency = np.bincount(rows.indices, minlength=rows.n_sparse)[rows.indices]
    row = row_numbers(rows.indptr)
    order = np.lexsort((rows.indices, frequency, row))
    first = offsets(np.diff(rows.indptr))[:-1][np.diff(rows.indptr) > 0]
    at = order[first]
    ones = np.ones(len(at), np.float32)
    return sp.csr_array((ones, (rows.indices[at], row[at])), shape=(rows.n_sparse, rows.n_rows))
