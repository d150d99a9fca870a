"""Weights as they are stored against weights as they were trained."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba._native import core
from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import as_features
from ceiba.linear.layer import from_float8
from ceiba.linear.solve import SolverSettings, train_layer
from ceiba.reference.layers import threshold
from ceiba.reference.weights import pack, unpack

EXACT = SolverSettings(weight_dtype="float32", weight_threshold=0.0)


def draw(n, d, n_labels, *, density=0.3, spread=1, seed=0):
    """Draw a problem; with `spread`, used columns are so far apart."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * (rng.random((n, d)) < density)).astype(np.float32)
    X = sp.coo_array(X)
    X = sp.csr_array((X.data, (X.row, X.col * spread)), shape=(n, d * spread))
    Y = sp.csr_array((rng.random((n, n_labels)) < 0.2).astype(np.float32))
    return as_features(X), InstanceLists.from_columns(Y)


def few_full_rows():
    """Draw a problem in which 70 features get a weight in almost every child and the others in few."""
    rng = np.random.default_rng(0)
    X = np.zeros((300, 3000), np.float32)
    X[:, :70] = rng.normal(size=(300, 70))
    X[np.arange(300)[:, None], rng.integers(70, 3000, (300, 10))] = 6e-4
    Y = sp.csr_array((rng.random((300, 240)) < 0.3).astype(np.float32))
    return as_features(sp.csr_array(X)), InstanceLists.from_columns(Y)


def everything(n, n_parents):
    return InstanceLists(np.arange(n_parents + 1) * n, np.tile(np.arange(n, dtype=np.int32), n_parents))


# name: instances, features, labels, parents, distance of features, threshold
KINDS = {
    "dense": (60, 20, 30, 2, 1, 0.0),
    "sparse": (60, 200, 30, 2, 1, 0.15),
    "sparse, one child": (60, 40, 3, 3, 1, 0.1),
    "many rows": (80, 900, 20, 1, 1, 0.01),
    "features beyond 16 bits": (60, 300, 24, 2, 700, 0.1),
    "wide": (60, 100, 300, 1, 1, 0.2),
    "wide and narrow": (60, 100, 300, [0, 3, 280, 300], 1, 0.2),
    "240 children": (50, 60, 240, 1, 1, 0.2),
    "empty chunks": (60, 50, 12, [0, 4, 4, 12], 1, 1e6),
    "one feature": (30, 1, 5, 1, 1, 0.0),
}


@pytest.fixture(params=KINDS, ids=lambda name: name.replace(" ", "-"))
def kind(request):
    n, d, n_labels, parents, spread, limit = KINDS[request.param]
    X, positives = draw(n, d, n_labels, spread=spread, density=min(1, 6 / d**0.5))
    child_ptr = np.array(parents) if isinstance(parents, list) else np.arange(parents + 1) * n_labels // parents
    matched = everything(n, len(child_ptr) - 1)

    def train(weight_dtype="float32", threshold=limit):
        settings = replace(EXACT, weight_dtype=weight_dtype, weight_threshold=threshold)
        return train_layer(X, child_ptr, matched, positives, settings)

    return request.param, child_ptr, limit, train


def test_the_kinds_are_what_they_are_called():
    """Guards the guards: each layout of a chunk does occur above."""
    layers = {}
    for name, (n, d, n_labels, parents, spread, limit) in KINDS.items():
        X, positives = draw(n, d, n_labels, spread=spread, density=min(1, 6 / d**0.5))
        child_ptr = np.array(parents) if isinstance(parents, list) else np.arange(parents + 1) * n_labels // parents
        settings = replace(EXACT, weight_threshold=limit)
        layers[name] = train_layer(X, child_ptr, everything(n, len(child_ptr) - 1), positives, settings)
    assert np.diff(layers["many rows"].arrays["chunk_row"]).max() > 3 * 256
    assert unpack(layers["features beyond 16 bits"])[0].tocoo().row.max() > 2 * 2**16
    assert min(layers["features beyond 16 bits"].arrays["shift"]) > 8  # two-byte keys
    assert max(layers["many rows"].arrays["shift"]) <= 8
    assert np.diff(layers["wide"].child_ptr).max() > 240 >= np.diff(layers["240 children"].child_ptr).max()
    assert layers["empty chunks"].n_weights == 0


def test_pruning_keeps_what_reaches_the_threshold(kind):
    _, _, limit, train = kind
    whole, intercepts = unpack(train(threshold=0.0))
    pruned, pruned_intercepts = unpack(train())
    assert (pruned.toarray() == threshold(whole.toarray(), limit)).all()
    assert (pruned_intercepts == intercepts).all()


def test_half_precision_is_the_nearest_half(kind):
    whole, intercepts = unpack(train_of(kind, "float32"))
    halves, half_intercepts = unpack(train_of(kind, "float16"))
    assert (halves.toarray() == whole.toarray().astype(np.float16).astype(np.float32)).all()
    assert (half_intercepts == intercepts).all()


def train_of(kind, weight_dtype):
    return kind[3](weight_dtype)


def test_8_bit_floats_are_the_nearest(kind):
    layer = train_of(kind, "float8")
    of_level = [unpack(each)[0].toarray() for each in (train_of(kind, "float32"), layer)]
    for scale, first, last in zip(layer.arrays["scale"], layer.child_ptr[:-1], layer.child_ptr[1:], strict=True):
        whole, coded = (weights[:, first:last] for weights in of_level)
        magnitudes = from_float8(np.arange(128, dtype=np.uint8), scale).astype(np.float64)
        assert (np.diff(magnitudes) > 0).all()
        assert (coded[whole == 0] == 0).all()
        whole, coded = whole[whole != 0], coded[whole != 0]
        nearest = np.abs(magnitudes - np.abs(whole)[:, None]).min(axis=1)
        assert (np.abs(whole.astype(np.float64) - coded) == nearest).all()
        large = np.abs(whole) >= 2 * scale
        assert (np.abs(coded[large] / whole[large] - 1) <= 1 / 32).all()


@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_the_core_packs_as_the_twin_does(kind, weight_dtype):
    _, child_ptr, _, _ = kind
    W, intercepts = unpack(train_of(kind, "float32"))
    layer = train_of(kind, weight_dtype)
    twin = pack(W, intercepts, child_ptr, weight_dtype)
    assert twin.arrays.keys() == layer.arrays.keys()
    for name, array in layer.arrays.items():
        assert twin.arrays[name].dtype == array.dtype, name
        assert (twin.arrays[name] == array).all(), name


@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_chunks_and_columns_are_the_weights(kind, weight_dtype):
    _, child_ptr, _, _ = kind
    layer = train_of(kind, weight_dtype)
    W, intercepts = unpack(layer)
    for parent in range(len(child_ptr) - 1):
        feature, child, value = layer.chunk(parent)
        own = np.zeros((W.shape[0], child_ptr[parent + 1] - child_ptr[parent]), np.float32)
        own[feature, child] = value
        assert len(set(zip(feature.tolist(), child.tolist(), strict=True))) == len(feature)
        assert (own == W[:, child_ptr[parent] : child_ptr[parent + 1]].toarray()).all()
    for node in {0, len(intercepts) // 2, len(intercepts) - 1}:
        feature, value, intercept = layer.column(node)
        assert (np.diff(feature) > 0).all()
        column = W[:, [node]].toarray()[:, 0]
        assert (feature == np.flatnonzero(column)).all()
        assert (value == column[feature]).all()
        assert intercept == intercepts[node]
        for only in (feature[::3], np.array([], np.int64), np.array([0, layer.n_features - 1])):
            some, values, _ = layer.column(node, only=only)
            assert some.tolist() == sorted(set(feature.tolist()) & set(only.tolist()))
            assert (values == column[some]).all()


@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_counts_of_weights(kind, weight_dtype):
    layer = train_of(kind, weight_dtype)
    stored = layer.n_weights  # 8-bit floats may be zero
    assert stored == train_of(kind, "float32").n_weights >= unpack(layer)[0].nnz
    assert layer.n_bytes == sum(array.nbytes for array in layer.arrays.values())


@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_full_rows_among_short_ones(weight_dtype):
    X, positives = few_full_rows()
    settings = SolverSettings(weight_threshold=2e-4, max_iter=5, weight_dtype=weight_dtype)
    layer = train_layer(X, np.array([0, 240]), everything(300, 1), positives, settings)
    W, intercepts = unpack(layer)
    assert np.diff(W.tocsr().indptr)[:64].min() > 200
    twin = pack(W, intercepts, layer.child_ptr, weight_dtype)
    assert np.abs(unpack(twin)[0] - W).max() <= (0 if weight_dtype == "float32" else 0.05 * np.abs(W).max())
    core.Searcher(
        [{"features": X.n_features, "layers": [layer.for_core()], "slot_label": np.arange(240, dtype=np.int32)}], 240
    )


def test_weights_beyond_half_precision_become_its_largest():
    X = as_features(sp.csr_array(np.array([[1e-6], [-1e-6]], np.float32)))
    positives = InstanceLists(np.array([0, 1]), np.array([0], np.int32))
    settings = SolverSettings(C=1e14, bias=0.0, weight_dtype="float32")
    arguments = X, np.array([0, 1]), InstanceLists.everything(2), positives
    assert unpack(train_layer(*arguments, settings))[0].toarray()[0, 0] > 65504
    halves = unpack(train_layer(*arguments, replace(settings, weight_dtype="float16")))[0]
    assert halves.toarray()[0, 0] == 65504


def test_packing_and_unpacking_is_identity():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(300, 40)) * (rng.random((300, 40)) < 0.1)
    layer = pack(sp.csr_array(W), np.arange(40.0), np.array([0, 10, 10, 40]), "float32")
    again, intercepts = unpack(layer)
    assert (again.toarray() == W.astype(np.float32)).all()
    assert (intercepts == np.arange(40)).all()
