"""Label embeddings Z: what labels are clustered by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from ceiba._native import core
from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import FeatureMatrix


def pifa(
    X: FeatureMatrix,
    positives: InstanceLists,
    *,
    max_features: int | None = None,
    n_threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> FeatureMatrix:
    """Embed each label by the features of its positives: positive instance feature aggregation.

    Parameters
    ----------
    X : FeatureMatrix of N rows
        Instance features.
    positives : InstanceLists of L lists
        The positives of each label.
    max_features : int or None, default=None
        Keep only this many features of a label, those of largest magnitude.
    n_threads : int, default=1
    progress : callable or None, default=None
        Called now and then with the number of labels done.

    Returns
    -------
    FeatureMatrix of L rows
        Row l is the sum of the rows of X of label l's positives, scaled to length 1; zero without positives.

    References
    ----------
    Yu et al., "PECOS: Prediction for Enormous and Correlated Output Spaces", JMLR 2022, section 3.1.
    """
    indptr, indices, data = core.pifa(
        *X.arrays(), X.n_features, positives.ptr, positives.indices, max_features or 0, n_threads, progress
    )
    return FeatureMatrix(indptr, indices, data, X.n_features)


def pii(positives: InstanceLists, n_instances: int) -> FeatureMatrix:
    """Embed each label by which instances are its positives: positive instance indices.

    Row l of the result has a one in the column of each positive of label l and is scaled to length 1
    (Yu et al., JMLR 2022, section 3.1).
    """
    counts = np.diff(positives.ptr)
    value = np.repeat(1.0 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
    return FeatureMatrix(positives.ptr, positives.indices, value, n_instances)


def unit_rows(Z: sp.csr_array) -> FeatureMatrix:
    """Scale given embeddings to rows of length 1."""
    Z = normalize(sp.csr_array(Z), copy=True)
    return FeatureMatrix(Z.indptr.astype(np.int64), Z.indices.astype(np.int32), Z.data.astype(np.float32), Z.shape[1])
