"""Boosted trees: the core's sums are LightGBM's."""

import numpy as np
import pytest

from ceiba._native import core
from ceiba.fusion.boosting import BoostedFusion
from ceiba.fusion.tree_arrays import core_trees, tree_arrays
from ceiba.reference.boosted_trees import sum_trees

lightgbm = pytest.importorskip("lightgbm")


def learned(n=400, n_features=7, seed=0, rounds=20, **params):
    rng = np.random.default_rng(seed)
    X = np.round(rng.normal(size=(n, n_features)), 1).astype(np.float32)  # values come again
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0.3).astype(np.float32)
    params = {"objective": "binary", "num_leaves": 15, "min_data_in_leaf": 5, "verbose": -1, **params}
    return lightgbm.train(params, lightgbm.Dataset(X, y), rounds), X


@pytest.mark.parametrize("params", [{}, {"num_leaves": 2}, {"num_leaves": 32}, {"min_data_in_leaf": 399}])
def test_sums_are_those_of_lightgbm(params):
    booster, X = learned(**params)
    trees = core_trees(booster.model_to_string(), X.shape[1])
    for n in (0, 1, 31, 32, 33, len(X)):
        rows = np.ascontiguousarray(X[:n])
        expected = booster.predict(rows, raw_score=True) if n else np.empty(0)
        np.testing.assert_allclose(trees.sum(rows), expected, rtol=1e-12, atol=1e-14)
    own = sum_trees(tree_arrays(booster.model_to_string()), X)
    assert (trees.sum(X) == own).all()


def test_a_value_at_a_threshold_goes_left():
    threshold = 0.1  # between two floats
    arrays = [np.array(a, kind) for a, kind in (
        ([0, 1], np.int64), ([0, 2], np.int64), ([0], np.int32), ([threshold], np.float64), ([-1], np.int32),
        ([-2], np.int32), ([-1.0, 1.0], np.float64),
    )]  # fmt: skip
    above = np.float32(threshold)
    rows = np.array([[np.nextafter(above, np.float32(-1))], [above], [0.5], [-0.5]], np.float32)
    expected = np.where(rows[:, 0].astype(np.float64) <= threshold, -1.0, 1.0)
    assert core.BoostedTrees(*arrays, 1).sum(rows).tolist() == expected.tolist()


def test_trees_that_compare_other_than_numbers_are_refused():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (300, 2)).astype(np.float32)
    data = lightgbm.Dataset(X, (X[:, 0] == 2).astype(np.float32), categorical_feature=[0])
    booster = lightgbm.train({"objective": "binary", "min_data_in_leaf": 5, "verbose": -1}, data, 3)
    with pytest.raises(ValueError):
        tree_arrays(booster.model_to_string())


def test_a_fusion_is_the_regression_corrected_by_the_trees():
    X = learned()[1]
    right = X[:, 0] > 0
    fusion = BoostedFusion.fitted(X, right, seed=0, n_threads=1)
    assert ((fusion.probability(X) > 0.5) == right).mean() > 0.95
    contributions = fusion.contributions(X)
    assert contributions.shape == X.shape
    assert fusion.probability(X[:0]).shape == (0,)
