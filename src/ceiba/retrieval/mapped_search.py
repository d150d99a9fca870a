"""A search by embeddings after a linear map of them, from texts to their labels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.errors import ModelFormatError
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked

_PENALTY = 30.0  # weight of the squared distance from the identity; that of a training text is 1


@component("mapped", "generator")
class MappedSearch(CandidateGenerator):
    """Passes queries on to a generator after a linear map of their embeddings, which then have length 1 again.

    Parameters
    ----------
    inner : CandidateGenerator
        Ranks labels by their embeddings. It is a part of the model itself.
    matrix : ndarray of shape (d, d), float32
        The embedding of a text is multiplied by it.
    name : str
    """

    kind: ClassVar[str]

    def __init__(self, inner: CandidateGenerator, matrix: NDArray[np.float32], *, name: str):
        self.name, self._inner, self._matrix = name, inner, matrix

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all."""
        return self._inner.candidates(self._seen(Q), n, ctx=ctx)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the scores of given labels."""
        return self._inner.score(self._seen(Q), ptr, labels, ctx=ctx)

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the score after the map."""
        return Evidence(self.name, self._inner.explain(self._seen(Q), label, ctx=ctx).score)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the map."""
        writer.tensors(f"{self.name}.safetensors", {"matrix": self._matrix})
        return {"name": self.name, "inner": self._inner.name}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> MappedSearch:
        """Read what `save` wrote."""
        name, dim = fields.get("name", STRING), context.part("queries", fields).dims.get(EMBEDDING, 0)
        file = f"{name}.safetensors"
        matrix = files.tensors(file).get("matrix")
        if matrix is None or matrix.dtype != np.float32 or matrix.shape != (dim, dim) or not np.isfinite(matrix).all():
            raise ModelFormatError(f"{files.path(file)} does not hold a map of {dim} numbers to as many.")
        return cls(context.generator(fields.get("inner", STRING), fields, DenseLabels.kind), matrix, name=name)

    def _seen(self, Q: Queries) -> Queries:
        return Q.once(("mapped", self.name, id(self._matrix)), lambda: Queries(self._mapped(Q), Q.texts))

    def _mapped(self, Q: Queries) -> FeatureMatrix:
        # in double precision, so that one text and many round to the same
        moved = Q.features.block(EMBEDDING).astype(np.float64) @ self._matrix
        length = np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
        return FeatureMatrix.from_block(EMBEDDING, (moved / length).astype(np.float32))


def fit_query_map(
    embeddings: NDArray[np.float32], Y: sp.csr_array, label_embeddings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the linear map of texts' embeddings to the mean embedding of their labels' texts.

    It is a ridge regression that is regularized towards the identity: with few texts it changes little. It serves
    labels without a training text too, because it maps texts, not labels.

    Parameters
    ----------
    embeddings : ndarray of shape (N, d), float32
    Y : csr_array of shape (N, L)
    label_embeddings : ndarray of shape (L, d), float32
        Of length 1, or 0 for labels without a text, which do not count.
    """
    has_text = np.abs(label_embeddings).max(axis=1, initial=0) > 0
    weight = np.asarray(Y @ has_text.astype(np.float64))
    some = weight > 0
    X = embeddings[some].astype(np.float64)
    targets = np.asarray(Y[some] @ label_embeddings, np.float64) / weight[some, None]
    penalty = _PENALTY * np.eye(X.shape[1])
    return np.linalg.solve(X.T @ X + penalty, X.T @ targets + penalty).astype(np.float32)
