"""The chunk format of a layer, written and read one row at a time; a twin of the core's packing and of `Layer.chunk`.

The weights of the children of one parent are a chunk. Its rows are the features on which any child has a weight, in
ascending order. A row is known by the low 16 bits of its feature (`key`) and its bucket of 2^shift features; `bucket`
counts the rows before each. A row of a sparse chunk is a run of bytes: the children it has values for (a list of ids,
or a bit per child where that is no longer), then the values. It begins at the offset since the last anchor, one for
every 64 rows. A dense chunk has a value for each child in each row, padded to a multiple of 16 children.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.layers.layer import WEIGHT_DTYPES, Layer

_ANCHOR_ROWS = 64
_ROWS_PER_BUCKET = 8
_PAD = 16
_NARROW = 240
_KEY_SLACK = 32  # zeros after the last key
_SLACK = 64  # zeros after the last row
_BYTES = {"float32": (4, 4), "float16": (2, 2), "uint8": (1, 2)}  # of a value in a sparse and in a dense chunk


def pack(W: Any, intercepts: NDArray, child_ptr: NDArray[np.int64], weight_dtype: str) -> Layer:
    """Put weights (D, K), dense or sparse, and intercepts (K,) into the arrays of a layer; zeros are not stored."""
    W = sp.csr_array(W).astype(np.float32)
    W.sum_duplicates()
    W.eliminate_zeros()
    n_features = W.shape[0]
    sizes = np.diff(child_ptr)
    wide = bool((sizes > _NARROW).any())
    chunks = [W[:, child_ptr[p] : child_ptr[p + 1]] for p in range(len(sizes))]
    dense = [_is_dense(chunk, wide, weight_dtype) for chunk in chunks]
    codebook = _codebook([chunk for chunk, whole in zip(chunks, dense, strict=True) if not whole])

    bucket, key, anchor, offset, shift = [], [], [], [], []
    stream = b""
    whole_rows: list[NDArray] = []
    ends = {"chunk_row": [0], "chunk_byte": [0], "chunk_dense": [0], "chunk_bucket": [0]}
    for chunk, is_dense in zip(chunks, dense, strict=True):
        features = np.flatnonzero(np.diff(chunk.indptr))
        shift.append(_shift(len(features), n_features))
        buckets = (n_features >> shift[-1]) + 1
        bucket += [int((features >> shift[-1] < b).sum()) for b in range(buckets + 1)]
        rows = b""
        since = 0
        for r, feature in enumerate(features):
            key.append(int(feature) & 0xFFFF)
            row = slice(chunk.indptr[feature], chunk.indptr[feature + 1])
            children, values = chunk.indices[row], chunk.data[row]
            if is_dense:
                offset.append(0)
                whole = np.zeros(_padded(chunk.shape[1]), np.float32)
                whole[children] = values
                whole_rows.append(whole)
                continue
            if r % _ANCHOR_ROWS == 0:
                since = len(rows)
                anchor.append(since)
            offset.append(len(rows) - since)
            rows += _ids(children, chunk.shape[1], wide) + _encode(values, weight_dtype, codebook).tobytes()
        stream += rows
        ends["chunk_row"].append(len(key))
        ends["chunk_byte"].append(len(stream))
        ends["chunk_dense"].append(sum(map(len, whole_rows)))
        ends["chunk_bucket"].append(len(bucket))

    whole = np.concatenate([np.zeros(0, np.float32), *whole_rows])
    arrays: dict[str, NDArray] = {
        **{name: np.array(end, np.int64) for name, end in ends.items()},
        "shift": np.array(shift, np.uint8),
        "is_dense": np.array(dense, np.uint8),
        "bucket": np.array(bucket, np.uint32),
        "key": np.array(key + [0] * _KEY_SLACK, np.uint16),
        "anchor": np.array(anchor, np.int64),
        "offset": np.array(offset, np.uint32 if wide else np.uint16),
        "stream": np.frombuffer(stream + bytes(_SLACK), np.uint8),
        "dense": whole if weight_dtype == "float32" else _half(whole),
        "codebook": codebook if weight_dtype == "uint8" else np.zeros(0, np.float32),
        "bias": np.asarray(intercepts, np.float32),
        "value_type": np.array([WEIGHT_DTYPES[weight_dtype]], np.uint8),
    }
    return Layer(child_ptr, n_features, arrays)


def unpack(layer: Layer) -> tuple[sp.csc_array, NDArray[np.float32]]:
    """Return the weights (D, K) and intercepts (K,) of a layer."""
    a = layer.arrays
    W = np.zeros((layer.n_features, len(a["bias"])), np.float32)
    anchors_before = 0
    for parent in range(len(layer.child_ptr) - 1):
        first_child, end_child = layer.child_ptr[parent : parent + 2]
        n_children = int(end_child - first_child)
        first_row, end_row = a["chunk_row"][parent : parent + 2]
        features = _features(layer, parent)
        if a["is_dense"][parent]:
            for r, feature in enumerate(features):
                at = a["chunk_dense"][parent] + r * _padded(n_children)
                W[feature, first_child:end_child] = a["dense"][at : at + n_children]
            continue
        stream = a["stream"][a["chunk_byte"][parent] : a["chunk_byte"][parent + 1]].tobytes()
        starts = [
            int(a["anchor"][anchors_before + r // _ANCHOR_ROWS]) + int(a["offset"][first_row + r])
            for r in range(end_row - first_row)
        ]
        starts.append(len(stream))
        for r, feature in enumerate(features):
            children, values = _decode(layer, stream[starts[r] : starts[r + 1]], n_children)
            W[feature, [int(first_child) + child for child in children]] = values
        anchors_before += -(-(end_row - first_row) // _ANCHOR_ROWS)
    return sp.csc_array(W), a["bias"]


def _features(layer: Layer, parent: int) -> list[int]:
    """Return the features of the rows of a chunk."""
    a = layer.arrays
    bucket = a["bucket"][a["chunk_bucket"][parent] : a["chunk_bucket"][parent + 1]].tolist()
    keys = a["key"][a["chunk_row"][parent] : a["chunk_row"][parent + 1]].tolist()
    features = []
    for b in range(len(bucket) - 1):
        high = (b << int(a["shift"][parent])) >> 16 << 16
        features += [high | low for low in keys[bucket[b] : bucket[b + 1]]]
    return features


def _ids(children: NDArray, n_children: int, wide: bool) -> bytes:
    """Write down which children a row has values for."""
    if wide:
        return children.astype(np.uint32).tobytes()
    if len(children) < _padded(n_children) // 8:
        return children.astype(np.uint8).tobytes()
    return sum(1 << int(child) for child in children).to_bytes(_padded(n_children) // 8, "little")


def _decode(layer: Layer, row: bytes, n_children: int) -> tuple[list[int], NDArray[np.float32]]:
    """Return the children and the values of a row."""
    dtype = (np.float32, np.float16, np.uint8)[layer.arrays["value_type"][0]]
    size = np.dtype(dtype).itemsize
    in_mask = _padded(n_children) // 8
    if layer.arrays["offset"].dtype == np.uint32:
        entries = len(row) // (4 + size)
        children = np.frombuffer(row[: 4 * entries], np.uint32).tolist()
    elif len(row) < in_mask * (1 + size):
        entries = len(row) // (1 + size)
        children = list(row[:entries])
    else:
        mask = int.from_bytes(row[:in_mask], "little")
        children = [child for child in range(n_children) if mask >> child & 1]
    values = np.frombuffer(row[len(row) - size * len(children) :], dtype)
    return children, layer.arrays["codebook"][values] if size == 1 else values.astype(np.float32)


def _padded(n_children: int) -> int:
    return -(-n_children // _PAD) * _PAD


def _shift(n_rows: int, n_features: int) -> int:
    """Return the largest shift, up to 16, that gives about eight rows to a bucket."""
    wanted = max(1, n_rows // _ROWS_PER_BUCKET)
    return next((shift for shift in range(16, 0, -1) if n_features >> shift >= wanted), 0)


def _is_dense(chunk: sp.csr_array, wide: bool, weight_dtype: str) -> bool:
    """Return whether whole rows take at most a quarter more room than runs of bytes."""
    in_runs, in_rows = _BYTES[weight_dtype]
    n_rows, n_bytes = 0, 0
    for entries in np.diff(chunk.indptr).tolist():
        if entries:
            n_rows += 1
            n_bytes += (4 * entries if wide else min(entries, _padded(chunk.shape[1]) // 8)) + entries * in_runs
    return n_rows > 0 and n_rows * _padded(chunk.shape[1]) * in_rows <= 1.25 * (n_bytes + 2 * n_rows)


def _codebook(chunks: list[sp.csr_array]) -> NDArray[np.float32]:
    """Return 0, then 127 magnitudes in equal ratios from the smallest to the largest, then 0 and their negatives."""
    magnitudes = np.abs(np.concatenate([np.zeros(0, np.float32), *[chunk.data for chunk in chunks]]))
    low, high = (magnitudes.min(), magnitudes.max()) if len(magnitudes) else (1.0, 2.0)
    step = max(math.log(high / low) / 126, 1e-6)
    scale = low * np.exp(step * np.arange(127))
    return np.concatenate([[0], scale, [0], -scale]).astype(np.float32)


def _encode(values: NDArray[np.float32], weight_dtype: str, codebook: NDArray[np.float32]) -> NDArray:
    if weight_dtype == "float32":
        return values
    if weight_dtype == "float16":
        return _half(values)
    scale = codebook[1:128]
    step = math.log(scale[-1] / scale[0]) / 126
    nearest = np.round(np.log(np.abs(values) / scale[0]) / (step or 1.0)).clip(0, 126).astype(np.uint8)
    return np.where(values > 0, 1 + nearest, 129 + nearest).astype(np.uint8)


def _half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    return values.clip(-65504, 65504).astype(np.float16)
