"""The weights of one level of the tree, kept in chunks by parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.errors import ModelFormatError

WEIGHT_DTYPES: dict[str, int] = core.WEIGHT_DTYPES

_VALUE_TYPES = {
    WEIGHT_DTYPES["float32"]: np.float32,
    WEIGHT_DTYPES["float16"]: np.float16,
    WEIGHT_DTYPES["float8"]: np.uint8,
}
_NARROW: int = core.NARROW_CHILDREN
_PAD: int = core.PADDED_CHILDREN
_SLACK: int = core.SLACK_BYTES  # after the last record

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
        return {**self.arrays, "value_type": int(self.arrays["value_type"][0]), "child_ptr": self.child_ptr}

    def chunk(self, parent: int, only: NDArray | None = None) -> tuple[NDArray, NDArray, NDArray]:
        """Return the stored weights of a parent's children as (features, children, values), in row order.

        Parameters
        ----------
        parent : int
        only : ndarray of int, or None, default=None
            Features to return the weights of; the others are not decoded. None returns all.
        """
        a = self.arrays
        shift = int(a["shift"][parent])
        bucket = a["bucket"][a["chunk_bucket"][parent] : a["chunk_bucket"][parent + 1]].astype(np.int64)
        stream = a["stream"][a["chunk_byte"][parent] : a["chunk_byte"][parent + 1]]
        features: list[NDArray] = [np.empty(0, np.int64)]
        children: list[NDArray] = [np.empty(0, np.int64)]
        values: list[NDArray] = [np.empty(0, np.float32)]
        numbers = np.flatnonzero(np.diff(bucket))
        wanted: set[int] | None = None
        if only is not None:
            numbers = np.intersect1d(numbers, np.asarray(only) >> shift)
            wanted = set(np.asarray(only).tolist())
        for number in numbers:
            record = stream[bucket[number] : bucket[number + 1]]
            for feature, row_children, row_values in self._rows(record, int(number) << shift, shift, parent):
                if wanted is not None and feature not in wanted:
                    continue
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
        value_type = _VALUE_TYPES[int(self.arrays["value_type"][0])]
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
                values = from_float8(values, self.arrays["scale"][parent])
            yield high | key, children.astype(np.int64), values.astype(np.float32)

    def column(self, node: int, only: NDArray | None = None) -> tuple[NDArray, NDArray, float]:
        """Return a node's weights as (features, values, bias), features ascending; `only` as in `chunk`."""
        parent = int(np.searchsorted(self.child_ptr, node, side="right")) - 1
        feature, child, value = self.chunk(parent, only)
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
        n_parents = len(child_ptr) - 1
        scale = arrays["scale"]
        if scale.shape not in ((1,), (n_parents,)):
            raise ModelFormatError("the array 'scale' does not have a number for each parent")
        if arrays["value_type"].shape != (1,) or arrays["value_type"][0] >= len(WEIGHT_DTYPES):
            raise ModelFormatError("the array 'value_type' does not name a known type")
        own = {name: arrays[name] for name in _ARRAYS}
        if len(scale) != n_parents:  # format 2: one scale for the level
            own["scale"] = np.full(n_parents, scale[0])
        return cls(child_ptr, n_features, own)


class LayerBuilder:
    """Puts a layer together from the chunks of consecutive parents; a block is freed once it has been added."""

    _OFFSETS = ("chunk_row", "chunk_byte", "chunk_bucket")
    _BY_PARENT = ("shift", "bucket", "bias", "scale")

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray] = {}
        self._work: dict[str, int] = {}

    def add(self, block: dict[str, NDArray], work: Mapping[str, int]) -> None:
        """Append the chunks of the next parents, in the arrays that the core's trainer returns."""
        for name, count in work.items():
            self._work[name] = self._work.get(name, 0) + count
        if not self._arrays:
            self._arrays = block
            return
        kept = self._arrays
        for name in self._OFFSETS:
            kept[name] = np.concatenate([kept[name], kept[name][-1] + block[name][1:]])
        for name in self._BY_PARENT:
            _extend(kept, name, block[name], len(kept[name]))
        _extend(kept, "stream", block["stream"], len(kept["stream"]) - _SLACK)
        block.clear()

    def finish(self, child_ptr: NDArray[np.int64], n_features: int) -> Layer:
        """Return the layer of all parents added."""
        return Layer(child_ptr, n_features, self._arrays, self._work)


def _extend(arrays: dict[str, NDArray], name: str, more: NDArray, at: int) -> None:
    """Write `more` from place `at` on, in the same memory where it is the array's own."""
    array = arrays[name]
    if not array.flags.owndata:
        arrays[name] = array = array.copy()
    array.resize(at + len(more), refcheck=False)
    array[at:] = more


def from_float8(codes: NDArray, scale: float) -> NDArray[np.float32]:
    """Return what 8-bit floats stand for: a sign, 3 bits of exponent from `scale` up, and 4 of mantissa; 0 is zero."""
    magnitude = codes & 0x7F
    bits = (magnitude.astype(np.uint32) << 19) + np.float32(scale).view(np.uint32)
    bits |= (codes & np.uint8(0x80)).astype(np.uint32) << 24
    return np.where(magnitude == 0, np.float32(0), bits.view(np.float32))
