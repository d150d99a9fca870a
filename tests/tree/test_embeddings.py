"""Label embeddings."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features
from ceiba.reference import tree as reference
from ceiba.tree.embeddings import pifa, pii, unit_rows

patient = settings(deadline=None, max_examples=60)


@patient
@given(st.data())
def test_pifa_is_that_of_the_twin(data):
    n, d, n_labels = (data.draw(st.integers(1, limit)) for limit in (12, 150, 150))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    X = as_features(sp.csr_array((rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.3)).astype(np.float32)))
    Y = sp.csr_array((rng.random((n, n_labels)) < 0.2).astype(np.float32))
    positives = InstanceLists.from_columns(Y)
    max_features = data.draw(st.none() | st.integers(1, 160))
    expected = reference.pifa(X, positives, max_features=max_features).to_scipy().toarray()
    for n_threads in (1, 3):
        Z = pifa(X, positives, max_features=max_features, n_threads=n_threads)
        assert Z.n_rows == n_labels
        assert Z.n_features == d
        np.testing.assert_allclose(Z.to_scipy().toarray(), expected, atol=2e-6)


def test_of_equal_features_the_lower_stay():
    X = as_features(np.array([[1, -2, 2, 2, -2, 0]], np.float32))
    Z = pifa(X, InstanceLists(np.array([0, 1]), np.array([0], np.int32)), max_features=3)
    assert Z.indices.tolist() == [1, 2, 3]
    np.testing.assert_allclose(Z.data, np.array([-1, 1, 1]) / 3**0.5, rtol=1e-6)


def test_pifa_has_canonical_rows_of_length_one(make_problem):
    problem = make_problem(100, 40, 30, zero_rows=10)
    Z = pifa(problem.features, problem.positives).to_scipy()
    assert Z.has_canonical_format
    assert Z.data.all()
    np.testing.assert_allclose(np.sqrt((Z.toarray() ** 2).sum(axis=1)), 1, rtol=1e-6)


def test_pifa_of_nothing_is_zero():
    X = as_features(sp.csr_array(np.array([[0, 0, 0], [1, 2, 0]], np.float32)))
    # a label without positives, one with an empty row alone, one whose rows cancel out
    positives = InstanceLists(np.array([0, 0, 1, 2]), np.array([0, 1], np.int32))
    assert np.diff(pifa(X, positives).indptr).tolist() == [0, 0, 2]
    opposite = as_features(sp.csr_array(np.array([[1, -2], [-1, 2]], np.float32)))
    both = InstanceLists(np.array([0, 2]), np.array([0, 1], np.int32))
    assert np.diff(pifa(opposite, both).indptr).tolist() == [0]


def test_pifa_does_not_depend_on_threads(make_problem):
    problem = make_problem(400, 300, 500)
    parts = [pifa(problem.features, problem.positives, n_threads=n) for n in (1, 2, 3)]
    for other in parts[1:]:
        for a, b in zip(parts[0].arrays()[:3], other.arrays()[:3], strict=True):
            assert a.tobytes() == b.tobytes()


def test_pii_is_the_normalised_transpose_of_the_labels(make_problem):
    problem = make_problem(50, 10, 12)
    Z = pii(problem.positives, 50)
    Y = problem.Y.toarray().T
    np.testing.assert_allclose(Z.to_scipy().toarray(), Y / np.linalg.norm(Y, axis=1, keepdims=True), rtol=1e-6)
    empty = pii(InstanceLists(np.array([0, 0, 1]), np.array([3], np.int32)), 5)
    assert empty.to_scipy().toarray().tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 1, 0]]


def test_rows_are_scaled_and_the_original_is_not():
    given_rows = sp.csr_array(np.array([[3, 4], [0, 0], [0, -2]], np.float64))
    scaled = unit_rows(given_rows)
    assert scaled.to_scipy().toarray() == pytest.approx(np.array([[0.6, 0.8], [0, 0], [0, -1]]))
    assert given_rows.toarray().tolist() == [[3, 4], [0, 0], [0, -2]]


@pytest.mark.parametrize("max_features", [None, 20])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_pifa_of_dense_features_is_that_of_a_csr_bit_for_bit(make_problem, max_features, n_threads):
    problem = make_problem(200, 50, 90)
    dense = np.random.default_rng(0).normal(size=(200, 70)).astype(np.float32)
    dense[:, 3] = 0
    for X in (problem.features.with_block(EMBEDDING, dense), FeatureMatrix.from_block(EMBEDDING, dense)):
        found = pifa(X, problem.positives, max_features=max_features, n_threads=n_threads)
        expected = pifa(as_features(X.to_scipy()), problem.positives, max_features=max_features)
        assert len(found.indices) == len(expected.indices) > 90
        for a, b in zip(found.arrays()[:3], expected.arrays()[:3], strict=True):
            assert a.tobytes() == b.tobytes()
