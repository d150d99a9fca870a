"""What a Transformer model is trained on: texts, their labels, and what else there is of both, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.label_matrix import Labels
from ceiba.errors import InputTypeError
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.features.texts import check_texts


@dataclass
class TrainingTexts:
    """Texts and their labels, row by row.

    Attributes
    ----------
    texts : list of N str
    labels : Labels
    classes : ndarray of shape (L,)
    X : FeatureMatrix of N rows or None
        Features of the caller's own.
    names : list of L str or None
        The labels' texts.
    n_held_out : int
        The first texts, which the encoder is not fine-tuned on: what label texts are used for is chosen on them.
    """

    texts: list[str]
    labels: Labels
    classes: NDArray
    X: FeatureMatrix | None
    names: list[str] | None
    n_held_out: int = 0

    def holdout_first(self, held_out: NDArray[np.intp]) -> TrainingTexts:
        """Return the same with some texts held out: put first, so that they and all others are parts of one matrix."""
        order = np.concatenate([held_out, np.setdiff1d(np.arange(len(self.texts)), held_out)])
        texts = [self.texts[row] for row in order.tolist()]
        X = None if self.X is None else self.X.rows(order)
        return TrainingTexts(texts, self.labels.take(order), self.classes, X, self.names, len(held_out))


def as_texts(texts: Any) -> list[str]:
    """Return texts as a list, or say which one is none."""
    if sp.issparse(texts) or (hasattr(texts, "ndim") and texts.ndim != 1):
        raise InputTypeError("texts must be a sequence of str; an encoder reads texts, not features.")
    return check_texts(texts, "texts")


def no_features(n: int, n_features: int = 1) -> FeatureMatrix:
    """Return sparse features of texts without any; a model that never has any has one column, which is empty."""
    return as_features(sp.csr_array((n, n_features), dtype=np.float32))


def grow_rows(rows: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Return rows with room for `n` more below them, in the same memory where it is theirs."""
    if not (rows.flags.owndata and rows.flags.writeable):  # of a file, in a cache
        return np.concatenate([rows, np.empty((n, rows.shape[1]), np.float32)])
    rows.resize((len(rows) + n, rows.shape[1]), refcheck=False)
    return rows
