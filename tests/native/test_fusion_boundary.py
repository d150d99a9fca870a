"""Whatever arrays the regression gets, it answers or raises; it never reads past them."""

import numpy as np
import pytest

from ceiba._native import core
from ceiba.features.chars import word_tables

FEATURES = np.array([[0, 1], [2, 0], [1, 1]], np.float32)


def fit(features=FEATURES, target=(0, 1, 1), weight=None, C=1.0, max_iter=10, tol=1e-9, threads=1):
    weight = None if weight is None else np.array(weight, np.float64)
    return core.fit_logistic(features, np.array(target, np.uint8), weight, C, max_iter, tol, threads, None)


def probability(features=FEATURES, mean=(0, 0), scale=(1, 1), coef=(1, 1), intercept=0.0):
    return core.logistic_probability(features, *(np.array(a, np.float64) for a in (mean, scale, coef)), intercept)


def test_the_examples_are_sound():
    assert len(fit()[0]) == 2
    assert len(fit(weight=(1, 2, 3))[0]) == 2
    assert (probability() > 0.5).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"target": (0, 1)},
        {"target": (0, 1, 2)},
        {"target": (1, 1, 1)},
        {"weight": (1, 1)},
        {"weight": (0, 1, 1)},
        {"weight": (1, -1, 1)},
        {"weight": (1, np.nan, 1)},
        {"C": 0.0},
        {"C": np.inf},
        {"C": np.nan},
        {"max_iter": 0},
        {"tol": -1.0},
        {"tol": np.nan},
        {"threads": 0},
        {"features": np.zeros((3, 0), np.float32)},
        {"features": np.full((3, 2), np.nan, np.float32)},
        {"features": np.zeros((0, 2), np.float32), "target": ()},
    ],
)
def test_training_data_that_is_not_sound(changes):
    with pytest.raises(ValueError, match="logistic"):
        fit(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (0,)},
        {"scale": (1, 1, 1)},
        {"coef": ()},
        {"scale": (1, 0)},
        {"scale": (1, np.nan)},
        {"coef": (1, np.inf)},
        {"intercept": np.nan},
        {"features": np.full((3, 2), np.inf, np.float32)},
    ],
)
def test_regressions_that_are_not_sound(changes):
    with pytest.raises(ValueError, match="logistic"):
        probability(**changes)


TREES = {
    "node_ptr": ([0, 2, 2], np.int64),
    "leaf_ptr": ([0, 3, 4], np.int64),
    "feature": ([0, 1], np.int32),
    "threshold": ([0.5, 0.5], np.float64),
    "left": ([1, -1], np.int32),
    "right": ([-3, -2], np.int32),
    "leaf": ([1, 2, 3, 10], np.float64),
}


def trees(features=2, **changes):
    given = {name: np.array(changes.get(name, values), kind) for name, (values, kind) in TREES.items()}
    return core.BoostedTrees(*given.values(), features)


def test_the_trees_are_sound():
    assert trees().sum(FEATURES).tolist() == [12, 13, 13]
    assert trees().sum(FEATURES[:0]).shape == (0,)


@pytest.mark.parametrize(
    "changes",
    [
        {"node_ptr": [0, 2]},
        {"node_ptr": [0, 1, 2]},
        {"node_ptr": [0, 3, 2]},
        {"leaf_ptr": [0, 3, 5]},
        {"leaf_ptr": [0, 2, 4]},
        {"feature": [0, 2]},
        {"feature": [0, -1]},
        {"threshold": [0.5, np.nan]},
        {"threshold": [0.5]},
        {"left": [0, -1]},
        {"left": [2, -1]},
        {"left": [1, -4]},
        {"left": [-1, -1]},
        {"right": [1, -2]},
        {"leaf": [1, np.inf, 3, 10]},
        {"features": 1},
        {"features": 0},
    ],
)
def test_trees_that_are_not_sound(changes):
    with pytest.raises(ValueError, match="trees"):
        trees(**changes)


def test_trees_of_other_features():
    with pytest.raises(ValueError, match="trees"):
        trees().sum(np.zeros((1, 3), np.float32))


def phrases(texts=("a b", "c"), row_label=(0, 1)):
    return core.LabelPhrases(word_tables(), texts, np.array(row_label, np.int32))


def measure(texts=("a b c",), ptr=(0, 2), labels=(0, 1), threads=1):
    return phrases().measure(texts, np.array(ptr, np.int64), np.array(labels, np.int32), threads)


def test_the_phrases_are_sound():
    assert measure().all()
    assert not measure(labels=(5, 2**31 - 1)).any()


@pytest.mark.parametrize(
    "changes", [{"ptr": (0, 1)}, {"ptr": (0, 1, 2)}, {"ptr": (1, 2)}, {"labels": (0, -1)}, {"threads": 0}]
)
def test_pairs_that_are_not_sound(changes):
    with pytest.raises(ValueError):
        measure(**changes)


@pytest.mark.parametrize("changes", [{"row_label": (0,)}, {"row_label": (1, 0)}])
def test_labels_of_phrases_that_are_not_sound(changes):
    with pytest.raises(ValueError, match="phrases"):
        phrases(**changes)


def test_phrases_of_what_is_no_text():
    for texts in ((None,), (b"a",), 3):
        with pytest.raises(TypeError):
            measure(texts=texts)
