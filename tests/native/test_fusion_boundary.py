"""Whatever arrays the regression gets, it answers or raises; it never reads past them."""

import numpy as np
import pytest

from ceiba._native import core

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
