"""A sparse matrix whose indices were changed in place, so that SciPy's flags say what is no longer true."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import XRLinear, metrics
from ceiba.data import encode_labels
from ceiba.features.matrix import as_features

LABELS = [[0], [1], [0, 1], [1]]


def stale(matrix, kind=sp.csr_array, order=(0, 0, 1)):
    """Return a matrix that believes itself canonical, and what its arrays say."""
    changed = kind(matrix)
    changed.sum_duplicates()
    assert changed.has_canonical_format
    assert changed.has_sorted_indices
    changed.indices[:3] = order
    truth = np.zeros(changed.shape, changed.dtype)
    major = np.repeat(np.arange(len(changed.indptr) - 1), np.diff(changed.indptr))
    at = (major, changed.indices) if changed.format == "csr" else (changed.indices, major)
    np.add.at(truth, at, changed.data)
    assert changed.has_canonical_format
    return changed, truth


WHOLE = np.arange(1.0, 17).reshape(4, 4)
KINDS = [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix]
ORDERS = [(0, 0, 1), (2, 1, 0)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("kind", KINDS)
def test_features(kind, dtype, order):
    X, truth = stale(WHOLE.astype(dtype), kind, order)
    before = X.copy()
    read = as_features(X)
    assert (read.to_scipy().toarray() == truth.astype(np.float32)).all()
    assert (np.diff(read.indices)[np.diff(read.to_scipy().tocoo().coords[0]) == 0] > 0).all()
    assert (X.indices == before.indices).all()
    assert (X.data == before.data).all()
    model, expected = XRLinear(n_jobs=1).fit(X, LABELS), XRLinear(n_jobs=1).fit(sp.csr_array(truth), LABELS)
    assert (model.decision_function(X).toarray() == expected.decision_function(truth).toarray()).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_labels(kind, order):
    Y, truth = stale(WHOLE, kind, order)
    read, _ = encode_labels(Y)
    assert (read.toarray() == (truth != 0)).all()
    assert read.nnz == (truth != 0).sum()


@pytest.mark.parametrize("name", ["relevance", "matched", "label_embedding"])
def test_matrices_of_fit(name):
    from ceiba import LabelTree

    X, Y = np.eye(4), np.ones((4, 4))
    given, truth = stale(WHOLE)
    tree = LabelTree.from_parents([[0, 0, 1, 1], [0, 1, 2, 3]]) if name == "matched" else None
    if name == "label_embedding":
        make = lambda matrix: XRLinear(max_leaf_size=2, label_embedding=matrix).fit(X, Y)  # noqa: E731
    elif name == "relevance":
        make = lambda matrix: XRLinear(relevance_norm=None).fit(X, (truth != 0) * 1.0, relevance=matrix)  # noqa: E731
    else:
        make = lambda matrix: XRLinear(tree=tree).fit(X, Y, matched=matrix)  # noqa: E731
    found, expected = make(given), make(sp.csr_array(truth))
    assert (found.decision_function(X).toarray() == expected.decision_function(X).toarray()).all()


def test_matrices_of_predictions():
    model = XRLinear(n_jobs=1).fit(np.eye(4), np.eye(4))
    given, truth = stale(WHOLE)
    labels, scores = model.predict_topk(np.eye(4), k=4, denied=given)
    expected = model.predict_topk(np.eye(4), k=4, denied=truth)
    assert (labels == expected[0]).all()
    assert (scores == expected[1]).all()
    assert (model.score_labels(np.eye(4), given) != model.score_labels(np.eye(4), sp.csr_array(truth))).nnz == 0


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array])
def test_metrics(kind):
    given, truth = stale(WHOLE, kind)
    scores = np.random.default_rng(0).random((4, 4))
    assert metrics.precision_at_k(given, scores, 2) == metrics.precision_at_k(truth, scores, 2)
    assert metrics.precision_at_k(np.eye(4), given, 2) == metrics.precision_at_k(np.eye(4), sp.csr_array(truth), 2)


def test_coordinates():
    X = sp.coo_array(WHOLE)
    X.sum_duplicates()
    assert X.has_canonical_format
    X.coords[1][:2] = 1
    truth = np.zeros((4, 4))
    np.add.at(truth, tuple(X.coords), X.data)
    assert (as_features(X).to_scipy().toarray() == truth).all()
    assert (encode_labels(X)[0].toarray() == (truth != 0)).all()
    scores = np.random.default_rng(0).random((4, 4))
    assert metrics.precision_at_k(X, scores, 2) == metrics.precision_at_k(truth, scores, 2)
