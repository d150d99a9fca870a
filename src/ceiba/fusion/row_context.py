"""Reranking of the most probable labels of a row: each is judged beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ceiba._params import Interval
from ceiba.data.offsets import row_numbers
from ceiba.errors import ModelFormatError
from ceiba.fusion.boosting import clipped_logit, load_booster, text_of, train_booster
from ceiba.fusion.tree_arrays import core_trees
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.dense_labels import DenseLabels

_FILE = "row-context.json"
_MOST = 50  # labels of a row that are reranked
_LEADING = 20  # of them, whose embeddings stand for the row
_ROWS = 128  # rows of a batch
_COLUMNS = (
    "logit", "rank", "logit below the best", "sum of all", "sum from here on", "best", "sum before", "cosine to others",
    "largest cosine to one before", "that times its probability",
)  # fmt: skip


class HeldOutPairs(NamedTuple):
    """Pairs of rows held out, on which a reranker is trained.

    Attributes
    ----------
    ptr, labels : ndarray
        The labels of each row, ascending.
    features : ndarray of shape (P, F), float32
    right : ndarray of shape (P,), bool
    first : ndarray of shape (P,), float32
        The probability of each pair by a fusion that has not learned from its row.
    """

    ptr: NDArray[np.int64]
    labels: NDArray[np.int32]
    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    first: NDArray[np.float32]


@component("row-context", "reranker")
class RowContext:
    """Reranks a row's 50 most probable labels by the other labels among them.

    The fusion sees every pair by itself. Boosted trees then see its probability and features, the label's place in the
    row, the sums of probabilities before and after it, and its cosines to the other labels. A label that resembles
    those before it is often right. A label that resembles no other is often wrong.

    Parameters
    ----------
    booster : lightgbm.Booster
    n_features : int
        Of a pair.
    embeddings : DenseLabels
        The embeddings of labels. It is a part of the model itself.

    References
    ----------
    Ai et al., "Learning a Deep Listwise Context Model for Ranking Refinement", SIGIR 2018: ranking again in the context
    of the best results.
    """

    kind: ClassVar[str]

    def __init__(self, booster: Any, n_features: int, embeddings: DenseLabels):
        self._booster, self.n_features, self._embeddings = booster, n_features, embeddings
        self._trees = core_trees(booster.model_to_string(), len(_COLUMNS) + n_features)

    def __reduce__(self) -> Any:
        return RowContext, (self._booster, self.n_features, self._embeddings)

    @classmethod
    def fitted(
        cls, learned: Sequence[HeldOutPairs], embeddings: DenseLabels, *, seed: int, n_threads: int
    ) -> RowContext:
        """Return a reranker that was trained on pairs."""
        parts, starts, rights = [], [], []
        for pairs in learned:
            at, context = context_features(pairs.ptr, pairs.labels, pairs.first, embeddings)
            parts.append(np.concatenate([context, pairs.features[at]], axis=1))
            starts.append(context[:, 0].astype(np.float64))
            rights.append(pairs.right[at])
        n_features = learned[0].features.shape[1]
        booster = train_booster(
            np.concatenate(parts), np.concatenate(rights), np.concatenate(starts), seed=seed, n_threads=n_threads
        )
        return cls(booster, n_features, embeddings)

    def rerank(
        self,
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        features: NDArray[np.float32],
        first: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the probabilities of all pairs found for some rows, corrected for the best labels of each row.

        Parameters
        ----------
        ptr, labels : ndarray
            All labels found for each row, ascending.
        features : ndarray of shape (P, F), float32
        first : ndarray of shape (P,), float32
        """
        second = first.copy()
        if len(first):
            at, context = context_features(ptr, labels, first, self._embeddings)
            margin = self._trees.sum(np.concatenate([context, features[at]], axis=1))
            second[at] = expit(context[:, 0].astype(np.float64) + margin)
        return second

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the trees as text."""
        writer.json(_FILE, text_of(self._booster))
        return {"embeddings": self._embeddings.name, "n_features": self.n_features}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> RowContext:
        """Read what `save` wrote."""
        name, n_features = fields.get("embeddings", STRING), fields.get("n_features", Interval(int, 1))
        embeddings = context.generator(name, fields, DenseLabels.kind)
        booster = load_booster(files, _FILE, len(_COLUMNS) + n_features)
        try:
            return cls(booster, n_features, embeddings)
        except ValueError as error:
            raise ModelFormatError(f"{files.path(_FILE)}: {error}") from error


def context_features(
    ptr: NDArray[np.int64],
    labels: NDArray[np.int32],
    first: NDArray[np.float32],
    embeddings: DenseLabels,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the places of each row's 50 most probable pairs, and their features of the row: shape (P', 10)."""
    row = row_numbers(ptr)
    order = np.lexsort((-first, row))  # equal ones stay in the order of the labels
    place = np.arange(len(order)) - np.repeat(ptr[:-1], np.diff(ptr))
    kept = place < _MOST
    at, row, place = order[kept], row[kept], place[kept]
    p = np.zeros((len(ptr) - 1, _MOST))
    p[row, place] = first[at]
    log_odds = clipped_logit(np.clip(p, 1e-12, 1 - 1e-12))
    total, until = p.sum(axis=1, keepdims=True), np.cumsum(p, axis=1)
    columns = [
        log_odds,
        np.broadcast_to(np.arange(_MOST), p.shape),
        log_odds - log_odds[:, :1],
        np.broadcast_to(total, p.shape),
        total - until + p,
        np.broadcast_to(p[:, :1], p.shape),
        until - p,
    ]
    nearness = np.zeros((*p.shape, 3))
    own = np.full(p.shape, -1, np.int32)
    own[row, place] = labels[at]
    for begin in range(0, len(p), _ROWS):
        part = slice(begin, begin + _ROWS)
        nearness[part] = _nearness(embeddings.rows_of(own[part]), p[part])
    found = np.concatenate([np.stack(columns, axis=2), nearness], axis=2)
    return at, found[row, place].astype(np.float32)


def _nearness(rows: NDArray[np.float32], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each label's mean cosine to the leading others, and its largest one to a label that is more probable."""
    cosines = rows @ rows.transpose(0, 2, 1)
    n = rows.shape[1]
    cosines[:, np.arange(n), np.arange(n)] = 0
    weight = p.copy()
    weight[:, _LEADING:] = 0
    others = np.maximum(weight.sum(axis=1, keepdims=True) - weight, 1e-6)
    mean = np.einsum("rij,rj->ri", cosines, weight) / others
    before = np.where(np.tri(n, k=-1, dtype=bool), cosines, 0)
    return np.stack([mean, before.max(axis=2), (before * p[:, None, :]).max(axis=2)], axis=2)
