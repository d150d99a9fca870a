"""The solver on dense features: the classifiers are those of the same numbers in a CSR."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features
from ceiba.linear.solve import SolverSettings, train_layer
from ceiba.reference import layers as reference
from ceiba.reference.weights import unpack

TIGHT = SolverSettings(tolerance=1e-4, max_iter=20_000, weight_threshold=0.0, weight_dtype="float32")
LOSSES = ["squared_hinge", "hinge", "logistic"]


def embeddings(n, d, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_csr(X):
    return as_features(X.to_scipy())


def two_parents(n, n_children):
    """Return lists of instances of two parents with gaps, and children of both."""
    matched = InstanceLists(
        np.array([0, n - 3, 2 * n - 13]),
        np.concatenate([np.arange(3, n), np.delete(np.arange(n), np.arange(0, 70, 7))]).astype(np.int32),
    )
    return np.array([0, n_children // 3, n_children]), matched


@pytest.mark.parametrize("d", [1, 2, 7, 16, 33, 65])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_those_of_the_exact_solution(make_problem, loss, d):
    problem = make_problem(40, 12, 4, zero_rows=2)
    X = problem.features.with_block(EMBEDDING, embeddings(40, d))
    child_ptr, matched = np.array([0, 4]), InstanceLists.everything(40)
    settings = replace(TIGHT, loss=loss)
    W, intercepts = unpack(train_layer(X, child_ptr, matched, problem.positives, settings))
    exact, exact_intercepts = reference.train_weights(X, child_ptr, matched, problem.positives, settings)
    largest = np.abs(exact).max()
    np.testing.assert_allclose(W.toarray(), exact, atol=5e-3 * largest)
    np.testing.assert_allclose(intercepts, exact_intercepts, atol=5e-3 * largest)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_csr_of_the_same_numbers_gives_the_same_weights(make_problem, loss, weighted, sparse):
    problem = make_problem(150, 60, 37, zero_rows=5)
    dense = embeddings(150, 29)
    dense[::4] = 0  # rows of nothing, with those that are without sparse features too
    X = problem.features.with_block(EMBEDDING, dense) if sparse else FeatureMatrix.from_block(EMBEDDING, dense)
    positives = problem.positives
    if weighted:
        weight = np.random.default_rng(1).uniform(0.5, 2, len(positives.indices)).astype(np.float32)
        positives = positives._replace(weight=weight)
    child_ptr, matched = two_parents(150, 37)
    settings = replace(TIGHT, loss=loss)
    layers = [train_layer(rows, child_ptr, matched, positives, settings) for rows in (X, in_csr(X))]
    (W, intercepts), (expected, expected_intercepts) = (unpack(layer) for layer in layers)
    largest = np.abs(expected.toarray()).max()
    assert largest > 0.1
    np.testing.assert_allclose(W.toarray(), expected.toarray(), atol=2e-3 * largest)
    np.testing.assert_allclose(intercepts, expected_intercepts, atol=2e-3 * largest)
    assert layers[0].work["unconverged"] == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_threads_do_not_change_a_bit(make_problem, loss):
    problem = make_problem(150, 60, 37)
    X = problem.features.with_block(EMBEDDING, embeddings(150, 29))
    settings = SolverSettings(loss=loss)
    for child_ptr, matched in ((np.array([0, 37]), InstanceLists.everything(150)), two_parents(150, 37)):
        found = [train_layer(X, child_ptr, matched, problem.positives, settings, n_threads=n) for n in (1, 2, 3)]
        for other in found[1:]:
            for name, array in found[0].arrays.items():
                assert array.tobytes() == other.arrays[name].tobytes()


def test_no_dense_columns_are_none_at_all(make_problem):
    problem = make_problem(150, 60, 37)
    child_ptr, matched = two_parents(150, 37)
    empty = problem.features.with_block(EMBEDDING, np.empty((150, 0), np.float32))
    layers = [
        train_layer(X, child_ptr, matched, problem.positives, SolverSettings()) for X in (empty, problem.features)
    ]
    for name, array in layers[0].arrays.items():
        assert array.tobytes() == layers[1].arrays[name].tobytes()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("loss", LOSSES)
def test_fewer_instances_than_a_block(n, loss):
    X = FeatureMatrix.from_block(EMBEDDING, embeddings(n, 5))
    positives = InstanceLists(np.array([0, 1, n]), np.array([0, *range(1, n)], np.int32))
    settings = replace(TIGHT, loss=loss)
    args = np.array([0, 2]), InstanceLists.everything(n), positives, settings
    W, intercepts = unpack(train_layer(X, *args))
    exact, exact_intercepts = reference.train_weights(X, *args)
    np.testing.assert_allclose(W.toarray(), exact, atol=5e-3)
    np.testing.assert_allclose(intercepts, exact_intercepts, atol=5e-3)


def test_a_parent_without_instances():
    X = as_features(sp.csr_array(np.eye(4, 3, dtype=np.float32))).with_block(EMBEDDING, embeddings(4, 6))
    matched = InstanceLists(np.array([0, 0, 4]), np.arange(4, dtype=np.int32))
    positives = InstanceLists(np.array([0, 0, 2]), np.array([0, 2], np.int32))
    layer = train_layer(X, np.array([0, 1, 2]), matched, positives, SolverSettings(weight_threshold=0.0))
    W, intercepts = unpack(layer)
    assert not W.toarray()[:, 0].any()
    assert intercepts[0] == 0
    assert (W.toarray()[:, 1] != 0).sum() > 4
