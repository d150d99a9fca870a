"""Dense features, such as embeddings, beside sparse ones."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.features.matrix import Features, as_features


def dense_features(dense: NDArray[np.float32]) -> Features:
    """Return features that are all dense."""
    n, d = dense.shape
    indptr = np.arange(n + 1, dtype=np.int64) * d
    return Features(indptr, np.tile(np.arange(d, dtype=np.int32), n), np.ascontiguousarray(dense).ravel(), d)


def with_dense(X: Features, dense: NDArray[np.float32]) -> Features:
    """Return sparse features with dense ones beside them, which are numbered after the sparse ones."""
    return as_features(sp.hstack([X.to_scipy(), dense_features(dense).to_scipy()], format="csr"), allow_empty=True)
