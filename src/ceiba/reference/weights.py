"""The chunk format of a layer, written and read one row at a time; a twin of the core's packing and of `Layer.chunk`.

The weights of the children of one parent are a chunk. Its rows are the features on which any child has a weight, in
ascending order, in buckets of 2^shift features. `bucket` says where the record of each bucket begins: how many rows it
has, the low bits of their features, how many children each has values for, and then, row by row, which children (a
list of ids, or a bit per child where that is no longer) and their values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.linear.layer import WEIGHT_DTYPES, Layer

_ROWS_PER_BUCKET = 8
_MOST_ROWS = 64
_PAD = 16
_NARROW = 240
_SLACK = 64  # zeros after the last record
_VALUE_TYPES = (np.float32, np.float16, np.uint8)


def pack(W: Any, intercepts: NDArray, child_ptr: NDArray[np.int64], weight_dtype: str) -> Layer:
    """Put weights (D, K), dense or sparse, and intercepts (K,) into the arrays of a layer; zeros are not stored."""
    W = sp.csr_array(W).astype(np.float32)
    W.sum_duplicates()
    W.eliminate_zeros()
    n_features = W.shape[0]
    sizes = np.diff(child_ptr)

    bucket, shift, scale = [], [], []
    stream = b""
    ends = {"chunk_row": [0], "chunk_byte": [0], "chunk_bucket": [0]}
    for p in range(len(sizes)):
        chunk = W[:, child_ptr[p] : child_ptr[p + 1]]
        features = np.flatnonzero(np.diff(chunk.indptr))
        largest = float(np.abs(chunk.data).max()) if chunk.nnz else 0.0
        scale.append(_scale(largest) if weight_dtype == "float8" else 1.0)
        shift.append(_shift(features, n_features))
        records = b""
        for number in range((n_features >> shift[-1]) + 1):
            bucket.append(len(records))
            inside = features[features >> shift[-1] == number].tolist()
            if inside:
                records += _record(chunk, inside, shift[-1], weight_dtype, scale[-1])
        bucket.append(len(records))
        stream += records
        ends["chunk_row"].append(ends["chunk_row"][-1] + len(features))
        ends["chunk_byte"].append(len(stream))
        ends["chunk_bucket"].append(len(bucket))

    arrays: dict[str, NDArray] = {
        **{name: np.array(end, np.int64) for name, end in ends.items()},
        "shift": np.array(shift, np.uint8),
        "bucket": np.array(bucket, np.uint32),
        "stream": np.frombuffer(stream + bytes(_SLACK), np.uint8),
        "bias": np.asarray(intercepts, np.float32),
        "scale": np.array(scale, np.float32),
        "value_type": np.array([WEIGHT_DTYPES[weight_dtype]], np.uint8),
    }
    return Layer(child_ptr, n_features, arrays)


def unpack(layer: Layer) -> tuple[sp.csc_array, NDArray[np.float32]]:
    """Return the weights (D, K) and intercepts (K,) of a layer."""
    a = layer.arrays
    W = np.zeros((layer.n_features, len(a["bias"])), np.float32)
    for parent in range(len(layer.child_ptr) - 1):
        first_child = int(layer.child_ptr[parent])
        bucket = a["bucket"][a["chunk_bucket"][parent] : a["chunk_bucket"][parent + 1]].tolist()
        stream = a["stream"][a["chunk_byte"][parent] : a["chunk_byte"][parent + 1]].tobytes()
        for number in range(len(bucket) - 1):
            record = stream[bucket[number] : bucket[number + 1]]
            for feature, children, values in _rows(layer, parent, number, record):
                W[feature, [first_child + child for child in children]] = values
    return sp.csc_array(W), a["bias"]


def _record(chunk: sp.csr_array, features: list[int], shift: int, weight_dtype: str, scale: float) -> bytes:
    """Write down the rows of one bucket."""
    rows = [slice(chunk.indptr[feature], chunk.indptr[feature + 1]) for feature in features]
    n_children = chunk.shape[1]
    key_bytes, count_bytes = 1 if shift <= 8 else 2, 4 if n_children > _NARROW else 1
    record = bytes([len(features)])
    record += b"".join((feature % 256**key_bytes).to_bytes(key_bytes, "little") for feature in features)
    record += b"".join(int(row.stop - row.start).to_bytes(count_bytes, "little") for row in rows)
    for row in rows:
        record += _ids(chunk.indices[row], n_children) + _encode(chunk.data[row], weight_dtype, scale).tobytes()
    return record


def _rows(
    layer: Layer, parent: int, number: int, record: bytes
) -> Iterator[tuple[int, list[int], NDArray[np.float32]]]:
    """Read the rows of one bucket as (feature, children, values)."""
    shift, n_children = int(layer.arrays["shift"][parent]), int(np.diff(layer.child_ptr)[parent])
    key_bytes, count_bytes = 1 if shift <= 8 else 2, 4 if n_children > _NARROW else 1
    n_rows = record[0] if record else 0
    at = 1 + n_rows * (key_bytes + count_bytes)
    for r in range(n_rows):
        key = int.from_bytes(record[1 + r * key_bytes :][:key_bytes], "little")
        entries = int.from_bytes(record[1 + n_rows * key_bytes + r * count_bytes :][:count_bytes], "little")
        feature = next(f for f in range(number << shift, (number + 1) << shift) if f % 256**key_bytes == key)
        dtype = np.dtype(_VALUE_TYPES[layer.arrays["value_type"][0]])
        children, n_bytes = _children(record[at:], entries, n_children)
        values = np.frombuffer(record[at + n_bytes :][: entries * dtype.itemsize], dtype)
        at += n_bytes + values.nbytes
        if dtype == np.uint8:
            values = np.array([_decode(code, float(layer.arrays["scale"][parent])) for code in values.tolist()])
        yield feature, children, values.astype(np.float32)


def _children(row: bytes, entries: int, n_children: int) -> tuple[list[int], int]:
    """Return the children a row has values for, and the number of bytes that say so."""
    mask_bytes = _padded(n_children) // 8
    if n_children > _NARROW:
        return np.frombuffer(row[: 4 * entries], np.uint32).tolist(), 4 * entries
    if entries < mask_bytes:
        return list(row[:entries]), entries
    mask = int.from_bytes(row[:mask_bytes], "little")
    return [child for child in range(n_children) if mask >> child & 1], mask_bytes


def _ids(children: NDArray, n_children: int) -> bytes:
    """Write down which children a row has values for."""
    if n_children > _NARROW:
        return children.astype(np.uint32).tobytes()
    if len(children) < _padded(n_children) // 8:
        return children.astype(np.uint8).tobytes()
    return sum(1 << int(child) for child in children).to_bytes(_padded(n_children) // 8, "little")


def _padded(n_children: int) -> int:
    return -(-n_children // _PAD) * _PAD


def _shift(features: NDArray, n_features: int) -> int:
    """Return the largest shift, up to 16, with about eight rows to a bucket and no bucket overfull."""
    wanted = max(1, len(features) // _ROWS_PER_BUCKET)
    for shift in range(16, 0, -1):
        most = int(np.bincount(features >> shift).max()) if len(features) else 0
        if n_features >> shift >= wanted and most <= _MOST_ROWS:
            return shift
    return 0


def _scale(largest: float) -> float:
    """Return the power of two from which eight octaves up hold the largest magnitude."""
    return 2.0 ** min(max(math.frexp(largest)[1] - 1 - 7, -126), 120) if largest > 0 else 1.0


def _decode(code: int, scale: float) -> float:
    """Return what an 8-bit float stands for."""
    exponent, mantissa = code >> 4 & 7, code & 15
    if exponent == mantissa == 0:
        return 0.0
    return (-1) ** (code >> 7) * scale * 2.0**exponent * (1 + mantissa / 16)


def _encode(values: NDArray[np.float32], weight_dtype: str, scale: float) -> NDArray:
    if weight_dtype == "float32":
        return values
    if weight_dtype == "float16":
        return values.clip(-65504, 65504).astype(np.float16)
    distance = np.abs(_magnitudes(scale) - np.abs(values.astype(np.float64))[:, None])
    even_first = np.r_[0:128:2, 1:128:2]  # of two codes as near, the even one
    codes = even_first[distance[:, even_first].argmin(axis=1)]
    return np.where((values < 0) & (codes > 0), codes | 0x80, codes).astype(np.uint8)


@lru_cache
def _magnitudes(scale: float) -> NDArray[np.float64]:
    return np.array([_decode(code, scale) for code in range(128)])
