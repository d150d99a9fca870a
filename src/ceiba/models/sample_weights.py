"""The optional matrices of ``fit``, checked: what positives weigh, and which instances clusters also learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from ceiba.data.instances import InstanceLists
from ceiba.errors import InputError, InputTypeError
from ceiba.features.matrix import as_features
from ceiba.tree.label_tree import LabelTree


def weighted_positives(Y: sp.csr_array, relevance: Any, norm: str | None) -> InstanceLists:
    """Return the positives of each label, with what they weigh: by `relevance`, else by `norm`, else all the same."""
    if relevance is not None:
        return InstanceLists.from_columns(relevance_of_positives(relevance, Y), weighted=True)
    if norm is not None:
        return InstanceLists.from_columns(relevance_by_row(Y, norm), weighted=True)
    return InstanceLists.from_columns(Y)


def relevance_of_positives(relevance: Any, Y: sp.csr_array) -> sp.csr_array:
    """Return the relevance at the positives of Y, in Y's pattern."""
    if not sp.issparse(relevance):
        raise InputTypeError("relevance must be a sparse matrix of Y's shape.")
    given = as_features(relevance, name="relevance").to_scipy()
    if given.shape != Y.shape:
        raise InputError(f"relevance must have Y's shape {Y.shape}, has {given.shape}.")
    picked = given.multiply(Y).tocsr()
    picked.eliminate_zeros()
    if picked.nnz != Y.nnz or picked.data.min(initial=1) <= 0:
        raise InputError("relevance must be above 0 at every positive of Y.")
    return picked


def relevance_by_row(Y: sp.csr_array, norm: str) -> sp.csr_array:
    """Return what each positive of an indicator weighs when rows have one length, scaled to a mean of 1.

    Parameters
    ----------
    Y : csr_array of shape (N, L)
    norm : {"l1", "l2"}
        Whether the weights of a row, which are equal, have the same sum or the same sum of squares in all rows.
    """
    sizes = np.diff(Y.indptr)
    weights = np.repeat(sizes, sizes) ** {"l1": -1.0, "l2": -0.5}[norm]
    return sp.csr_array(((weights / weights.mean()).astype(np.float32), Y.indices, Y.indptr), shape=Y.shape)


def matched_instances(matched: Any, tree: LabelTree | None, n_instances: int) -> InstanceLists:
    """Return the instances of an (N, K) matrix for each of the K bottom clusters of a tree."""
    if tree is None:
        raise InputError("matched names clusters of a tree of your own: give tree too.")
    if not sp.issparse(matched):
        raise InputTypeError("matched must be a sparse matrix of shape (N, K).")
    given = as_features(matched, name="matched").to_scipy()
    expected = (n_instances, len(tree.child_ptrs[-1]) - 1)
    if given.shape != expected:
        raise InputError(f"matched must have shape {expected}, has {given.shape}.")
    pattern = given.copy()
    pattern.eliminate_zeros()
    return InstanceLists.from_columns(pattern)
