"""The optional matrices of ``fit``, checked: what positives weigh, and which instances clusters also learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.instances import InstanceLists
from ceiba.data.label_matrix import Labels
from ceiba.errors import InputError, InputTypeError
from ceiba.features.matrix import as_features
from ceiba.tree.label_tree import LabelTree


def weighted_positives(labels: Labels, relevance: Any, norm: str | None) -> InstanceLists:
    """Return the positives of each label, with what they weigh: by `relevance`, else by `norm`, else all the same."""
    if relevance is not None:
        return _replace_weight(labels, _relevance_of_positives(relevance, labels))
    if norm is not None:
        return _replace_weight(labels, _relevance_by_row(labels, norm))
    return labels.by_label


def _replace_weight(labels: Labels, weight: NDArray[np.float32]) -> InstanceLists:
    return labels.by_label._replace(weight=weight)


def _relevance_of_positives(relevance: Any, labels: Labels) -> NDArray[np.float32]:
    """Return the relevance of each entry of the labels' lists."""
    if not sp.issparse(relevance):
        raise InputTypeError("relevance must be a sparse matrix of Y's shape.")
    given = as_features(relevance, name="relevance").to_scipy()
    shape = labels.by_row.shape
    if given.shape != shape:
        raise InputError(f"relevance must have Y's shape {shape}, has {given.shape}.")
    picked = given.multiply(labels.by_row).tocsc()
    picked.eliminate_zeros()
    picked.sort_indices()
    if picked.nnz != labels.by_row.nnz or picked.data.min(initial=1) <= 0:
        raise InputError("relevance must be above 0 at every positive of Y.")
    return picked.data.astype(np.float32, copy=False)


def _relevance_by_row(labels: Labels, norm: str) -> NDArray[np.float32]:
    """Return what each entry of the labels' lists weighs when rows have one length, scaled to a mean of 1.

    The weights of a row are equal: with "l1" they have the same sum in all rows, with "l2" the same sum of squares.
    """
    sizes = np.diff(labels.by_row.indptr)
    of_row = np.maximum(sizes, 1) ** {"l1": -1.0, "l2": -0.5}[norm]
    mean = np.repeat(of_row, sizes).mean()
    return (of_row / mean).astype(np.float32)[labels.by_label.indices]


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
