"""One level of the tree: its linear classifiers, trained by dual coordinate descent and kept in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import Features
from ceiba.layers.instances import InstanceLists

LOSSES = {"squared_hinge": 0, "hinge": 1, "logistic": 2}
WEIGHT_DTYPES = {"float32": 0, "float16": 1, "float8": 2}

_NARROW = 240  # as in the core's weights.hpp
_PAD = 16

# Array name -> the types it may have.
_ARRAYS: dict[str, tuple[type, ...]] = {
    "chunk_row": (np.int64,),
    "chunk_byte": (np.int64,),
    "chunk_bucket": (np.int64,),
    "shift": (np.uint8,),
    "bucket": (np.uint32,),
    "stream": (np.uint8,),
    "bias": (np.float32,),
    "scale": (np.float32,),
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
    weight_dtype: str = "float8"


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
        """Return the arrays as the core's searcher takes them."""
        single = {name: self.arrays[name][0].item() for name in ("scale", "value_type")}
        return {**self.arrays, **single, "child_ptr": self.child_ptr}

    def chunk(self, parent: int) -> tuple[NDArray, NDArray, NDArray]:
        """Return the stored weights of a parent's children as (features, children, values), in row order."""
        a = self.arrays
        shift = int(a["shift"][parent])
        bucket = a["bucket"][a["chunk_bucket"][parent] : a["chunk_bucket"][parent + 1]].astype(np.int64)
        stream = a["stream"][a["chunk_byte"][parent] : a["chunk_byte"][parent + 1]]
        features: list[NDArray] = [np.empty(0, np.int64)]
        children: list[NDArray] = [np.empty(0, np.int64)]
        values: list[NDArray] = [np.empty(0, np.float32)]
        for number in np.flatnonzero(np.diff(bucket)):
            record = stream[bucket[number] : bucket[number + 1]]
            for feature, row_children, row_values in self._rows(record, int(number) << shift, shift, parent):
                features.append(np.full(len(row_children), feature))
                children.append(row_children)
                values.append(row_values)
        return np.concatenate(features), np.concatenate(children), np.concatenate(values)

    def _rows(
        self, record: NDArray[np.uint8], first_feature: int, shift: int, parent: int
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
        """Decode the record of a bucket row by row; the core's weights.hpp describes the bytes."""
        n_children = int(self.child_ptr[parent + 1] - self.child_ptr[parent])
        wide, mask_bytes = n_children > _NARROW, -(-n_children // _PAD) * _PAD // 8
        value_type = (np.float32, np.float16, np.uint8)[self.arrays["value_type"][0]]
        size = np.dtype(value_type).itemsize
        n_rows = int(record[0])
        key_type, count_type = np.uint8 if shift <= 8 else np.uint16, np.uint32 if wide else np.uint8
        keys_end = 1 + n_rows * np.dtype(key_type).itemsize
        at = keys_end + n_rows * np.dtype(count_type).itemsize
        keys = record[1:keys_end].copy().view(key_type).tolist()
        high = first_feature >> 8 * np.dtype(key_type).itemsize << 8 * np.dtype(key_type).itemsize
        children: NDArray
        for key, entries in zip(keys, record[keys_end:at].copy().view(count_type).tolist(), strict=True):
            if wide:
                ids_end = at + 4 * entries
                children = record[at:ids_end].copy().view(np.uint32)
            elif entries < mask_bytes:
                ids_end = at + entries
                children = record[at:ids_end]
            else:
                ids_end = at + mask_bytes
                children = np.flatnonzero(np.unpackbits(record[at:ids_end], bitorder="little"))
            at = ids_end + size * entries
            values = record[ids_end:at].copy().view(value_type)
            if size == 1:
                values = from_float8(values, self.arrays["scale"][0])
            yield high | key, children.astype(np.int64), values.astype(np.float32)

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
        if arrays["scale"].shape != (1,):
            raise ModelFormatError("the array 'scale' is not one number")
        if arrays["value_type"].shape != (1,) or arrays["value_type"][0] >= len(WEIGHT_DTYPES):
            raise ModelFormatError("the array 'value_type' does not name a known type")
        return cls(child_ptr, n_features, {name: arrays[name] for name in _ARRAYS})


def from_float8(codes: NDArray, scale: float) -> NDArray[np.float32]:
    """Return what 8-bit floats stand for: a sign, 3 bits of exponent from `scale` up, and 4 of mantissa; 0 is zero."""
    magnitude = codes & 0x7F
    bits = (magnitude.astype(np.uint32) << 19) + np.float32(scale).view(np.uint32)
    bits |= (codes & np.uint8(0x80)).astype(np.uint32) << 24
    return np.where(magnitude == 0, np.float32(0), bits.view(np.float32))


def train_layer(
    X: Features,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
    *,
    strictness: NDArray | None = None,
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
    strictness : ndarray of shape (K_t,), default=None
        Multiplies the threshold of each child.
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
    strict = np.ones(positives.n_nodes) if strictness is None else strictness
    with np.errstate(over="ignore"):
        threshold = (float(settings.threshold) * strict).astype(np.float32)
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
        threshold,
        WEIGHT_DTYPES[settings.weight_dtype],
        seed,
        n_threads,
        progress,
    )
    arrays["value_type"] = np.array([arrays["value_type"]], np.uint8)
    arrays["scale"] = np.array([arrays["scale"]], np.float32)
    return Layer(child_ptr, X.n_features, arrays, work)
