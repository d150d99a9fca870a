"""Dense features, such as embeddings, beside sparse ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ceiba.features.matrix import FeatureMatrix, finite


def dense_features(dense: NDArray[np.float32]) -> FeatureMatrix:
    """Return features that are all dense."""
    n = len(dense)
    return with_dense(
        FeatureMatrix(np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 0), dense
    )


def with_dense(X: FeatureMatrix, dense: NDArray[np.float32]) -> FeatureMatrix:
    """Return features with dense ones beside them, which are numbered after those of X.

    Nothing is copied, but for dense features that X has already: these and the new ones are put side by side.
    """
    dense = finite(dense, "dense")
    n_features = X.n_features + dense.shape[1]
    if X.dense is not None:
        dense = np.concatenate([X.dense, dense], axis=1)
    return X._replace(n_features=n_features, dense=dense)
