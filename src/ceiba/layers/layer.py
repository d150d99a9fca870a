"""One level of the tree: its linear classifiers, trained by dual coordinate descent and kept in chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import Features
from ceiba.layers.instances import InstanceLists

LOSSES = {"squared_hinge": 0, "hinge": 1, "logistic": 2}
WEIGHT_DTYPES = {"float32": 0, "float16": 1, "uint8": 2}

_ANCHOR_ROWS = 64  # as in the core's weights.hpp
_PAD = 16

# Array name -> the types it may have. `dense` is float16 where its bits come from the core as uint16.
_ARRAYS: dict[str, tuple[type, ...]] = {
    "chunk_row": (np.int64,),
    "chunk_byte": (np.int64,),
    "chunk_dense": (np.int64,),
    "chunk_bucket": (np.int64,),
    "shift": (np.uint8,),
    "is_dense": (np.uint8,),
    "bucket": (np.uint32,),
    "key": (np.uint16,),
    "anchor": (np.int64,),
    "offset": (np.uint16, np.uint32),
    "stream": (np.uint8,),
    "dense": (np.float32, np.float16),
    "codebook": (np.float32,),
    "bias": (np.float32,),
    "value_type": (np.uint8,),
}


@dataclass(frozen=True)
class SolverSettings:
    """How the classifiers of a layer are trained; the estimators document the fields under the same names."""

    loss: str = "squared_hinge"
    C: float = 1.0
    cost_positive: float = 1.0
    cost_negative: float = 1.0
    bias: float = 1.0
    tolerance: float = 0.3
    max_iter: int = 100
    threshold: float = 0.1
    weight_dtype: str = "float16"


@dataclass
class Layer:
    """The weights W_t of one level, in chunks by parent (ARCHITECTURE.md, "Weights in chunks").

    Attributes
    ----------
    child_ptr : ndarray of shape (K_{t-1} + 1,), int64
        The children of each parent.
    n_features : int
        D.
    arrays : dict of str to ndarray
        The chunks, by the names they have on disk.
    work : dict of str to int
        What training did: instance visits, weight updates, cache lines of weights touched, classifiers stopped by
        max_iter. Empty for a layer that was loaded.
    """

    child_ptr: NDArray[np.int64]
    n_features: int
    arrays: dict[str, NDArray]
    work: dict[str, int] = field(default_factory=dict)

    @property
    def n_weights(self) -> int:
        """The number of weights stored, intercepts aside. Decodes the whole layer."""
        return sum(len(self.chunk(parent)[2]) for parent in range(len(self.child_ptr) - 1))

    @property
    def n_bytes(self) -> int:
        """The size of the arrays in memory and on disk."""
        return sum(array.nbytes for array in self.arrays.values())

    def for_core(self) -> dict[str, Any]:
        """Return the arrays as the core's searcher takes them: halves as their bits."""
        arrays: dict[str, Any] = dict(self.arrays, child_ptr=self.child_ptr)
        arrays["value_type"] = int(self.arrays["value_type"][0])
        if arrays["dense"].dtype == np.float16:
            arrays["dense"] = arrays["dense"].view(np.uint16)
        return arrays

    def chunk(self, parent: int) -> tuple[NDArray, NDArray, NDArray]:
        """Return the stored weights of a parent's children as (features, children, values), in row order."""
        a = self.arrays
        rows = slice(a["chunk_row"][parent], a["chunk_row"][parent + 1])  # of `key` and `offset`
        bucket = a["bucket"][a["chunk_bucket"][parent] : a["chunk_bucket"][parent + 1]]
        sizes: NDArray = np.diff(bucket.astype(np.int64))
        number = np.repeat(np.arange(len(sizes)), sizes)
        feature = ((number << int(a["shift"][parent])) >> 16 << 16) | a["key"][rows]
        n_children = int(self.child_ptr[parent + 1] - self.child_ptr[parent])
        stride = -(-n_children // _PAD) * _PAD
        if a["is_dense"][parent]:
            whole = a["dense"][a["chunk_dense"][parent] : a["chunk_dense"][parent + 1]]
            whole = whole.reshape(-1, stride)[:, :n_children].astype(np.float32)
            row, child = np.nonzero(whole)
            return feature[row], child, whole[row, child]
        chunk = a["stream"][a["chunk_byte"][parent] : a["chunk_byte"][parent + 1]]
        anchor = a["anchor"][self._first_anchor(parent) + np.arange(len(feature)) // _ANCHOR_ROWS]
        start = np.append(anchor + a["offset"][rows], len(chunk))
        parts = [self._row(chunk[begin:end], stride) for begin, end in pairwise(start)]
        lengths = [len(children) for children, _ in parts]
        if not parts:
            return feature, np.empty(0, np.int64), np.empty(0, np.float32)
        return (
            np.repeat(feature, lengths),
            np.concatenate([children for children, _ in parts]),
            np.concatenate([values for _, values in parts]),
        )

    def _first_anchor(self, parent: int) -> int:
        """Return the number of anchors of the chunks before one."""
        sizes = np.diff(self.arrays["chunk_row"][: parent + 1])
        return int((-(-sizes // _ANCHOR_ROWS) * (self.arrays["is_dense"][:parent] == 0)).sum())

    def _row(self, row: NDArray[np.uint8], stride: int) -> tuple[NDArray, NDArray]:
        """Decode one row into (children, values); the core's weights.hpp describes the bytes."""
        value_type = (np.float32, np.float16, np.uint8)[self.arrays["value_type"][0]]
        size = np.dtype(value_type).itemsize
        children: NDArray
        if self.arrays["offset"].dtype == np.uint32:
            split = len(row) // (4 + size) * 4
            children = row[:split].view(np.uint32)
        elif len(row) < stride // 8 * (1 + size):
            split = len(row) // (1 + size)
            children = row[:split]
        else:
            split = stride // 8
            children = np.flatnonzero(np.unpackbits(row[:split], bitorder="little"))
        values = row[split:].copy().view(value_type)
        if value_type is np.uint8:
            values = self.arrays["codebook"][values]
        return children.astype(np.int64), values.astype(np.float32)

    def column(self, node: int) -> tuple[NDArray, NDArray, float]:
        """Return a node's weights as (features, values, bias), features ascending."""
        parent = int(np.searchsorted(self.child_ptr, node, side="right")) - 1
        feature, child, value = self.chunk(parent)
        own = child == node - self.child_ptr[parent]
        return feature[own], value[own], float(self.arrays["bias"][node])

    @classmethod
    def from_arrays(cls, child_ptr: NDArray, n_features: int, arrays: Mapping[str, NDArray]) -> Layer:
        """Put a layer together from arrays of a file; ModelFormatError where one is missing or of a wrong type."""
        for name, types in _ARRAYS.items():
            if name not in arrays:
                raise ModelFormatError(f"the array {name!r} is missing")
            if arrays[name].dtype not in types or arrays[name].ndim != 1:
                raise ModelFormatError(f"the array {name!r} has the wrong type {arrays[name].dtype}")
        if arrays["value_type"].shape != (1,) or arrays["value_type"][0] >= len(WEIGHT_DTYPES):
            raise ModelFormatError("the array 'value_type' does not name a known type")
        return cls(child_ptr, n_features, {name: arrays[name] for name in _ARRAYS})


def train_layer(
    X: Features,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
    *,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Layer:
    """Train the classifiers of one level.

    Parameters
    ----------
    X : Features of N rows
    child_ptr : ndarray of shape (K_{t-1} + 1,), int64
        The children of each parent.
    matched : InstanceLists of K_{t-1} lists
        M_t: the instances that the children of each parent are trained on.
    positives : InstanceLists of K_t lists
        The positives of each child; those not matched to its parent are passed over. Weights multiply costs.
    settings : SolverSettings
    seed : int, default=0
    n_threads : int, default=1
        The layer does not depend on it, bit for bit.
    progress : callable or None, default=None
        Called now and then with the work done, in units of instance features times lane groups.

    Returns
    -------
    Layer

    References
    ----------
    Hsieh et al., "A Dual Coordinate Descent Method for Large-scale Linear SVM", ICML 2008; Yu, Huang and Lin,
    "Dual coordinate descent methods for logistic regression and maximum entropy models", Machine Learning 2011.
    """
    arrays, work = core.train_layer(
        *X.arrays(),
        X.n_features,
        matched.ptr,
        matched.items,
        positives.ptr,
        positives.items,
        positives.weight,
        child_ptr,
        LOSSES[settings.loss],
        settings.C * settings.cost_positive,
        settings.C * settings.cost_negative,
        settings.bias,
        settings.tolerance,
        settings.max_iter,
        settings.threshold,
        WEIGHT_DTYPES[settings.weight_dtype],
        seed,
        n_threads,
        progress,
    )
    arrays["value_type"] = np.array([arrays["value_type"]], np.uint8)
    if arrays["dense"].dtype == np.uint16:
        arrays["dense"] = arrays["dense"].view(np.float16)
    return Layer(child_ptr, X.n_features, arrays, work)
