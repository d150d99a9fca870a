"""How a hybrid model is trained, and the names of its sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba.features.matrix import FeatureMatrix
from ceiba.models.linear_recipe import LinearSettings
from ceiba.retrieval.dense_index import AUTO
from ceiba.retrieval.generator import SearchContext

LINEAR, LINEAR_DOCUMENTS, LINEAR_EMBEDDINGS = "linear", "linear-documents", "linear-embeddings"
NEIGHBORS, EMBEDDED_NEIGHBORS = "neighbors", "embedding-neighbors"
LABEL_WORDS, LABEL_STEMS, LABEL_TERMS = "label-words", "label-stems", "label-terms"
LABEL_EMBEDDINGS, CLASS_MEANS, CLASS_WORDS = "label-embeddings", "class-means", "class-words"
MAPPED_EMBEDDINGS, LABEL_BLEND = "mapped-label-embeddings", "label-blend"
TRANSFORMER, TRANSFORMER_LABELS = "transformer", "transformer-label-embeddings"
TRANSFORMER_NEIGHBORS, TRANSFORMER_MEANS = "transformer-neighbors", "transformer-means"
OF_TRANSFORMERS = (TRANSFORMER, TRANSFORMER_NEIGHBORS, TRANSFORMER_MEANS, TRANSFORMER_LABELS)
SOURCES = (
    LINEAR, LINEAR_DOCUMENTS, LINEAR_EMBEDDINGS, NEIGHBORS, EMBEDDED_NEIGHBORS, CLASS_WORDS, LABEL_WORDS, LABEL_STEMS,
    LABEL_TERMS, LABEL_EMBEDDINGS, CLASS_MEANS, MAPPED_EMBEDDINGS, LABEL_BLEND, *OF_TRANSFORMERS,
)  # fmt: skip
GBDT = "gbdt"
DENSE_POWER = 8.0  # exponent of the similarities of neighbors in embeddings, which differ less than those in words
FUSIONS = ("logistic", GBDT)


@dataclass(frozen=True)
class HybridSettings:
    """How a hybrid model is trained; `HybridClassifier` documents the fields under the same names."""

    linear: tuple[LinearSettings, ...]
    transformers: tuple[Any, ...]
    sources: tuple[str, ...] | None
    n_candidates: int
    n_neighbors: int
    fusion: str
    seed: int
    context: SearchContext
    dense_search: str = AUTO

    def with_threads(self, n_threads: int) -> HybridSettings:
        """Return the same settings for another number of threads."""
        linear = tuple(replace(each, n_threads=n_threads) for each in self.linear)
        return replace(self, linear=linear, context=self.context._replace(n_threads=n_threads))


@dataclass(frozen=True, eq=False)
class LabelRows:
    """The texts of labels and their features.

    Attributes
    ----------
    features : FeatureMatrix of R rows
        Embeddings too, where texts have them.
    label : ndarray of shape (R,), int32, ascending
        The label of each text.
    texts : sequence of R str
    stems : ndarray of shape (number of sparse features,), int32, or None
        The stem of each word, as a number; None where the features are not words.
    """

    features: FeatureMatrix
    label: NDArray[np.int32]
    texts: Sequence[str]
    stems: NDArray[np.int32] | None = None
