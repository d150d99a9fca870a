"""Calibration figures: worked out by hand, beside the slow twin and scikit-learn's."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from ceiba import metrics
from ceiba.errors import InputError, InputTypeError
from ceiba.reference import calibration as reference

TRUE = [{0, 1}, {2}, set(), {3}]
SCORES = np.array(
    [
        [0.9, 0.5, 0.1, 0.0],
        [0.2, 0.6, 0.8, 0.0],
        [0.7, 0.3, 0.2, 0.1],
        [0.4, 0.1, 0.1, 0.35],
    ]
)
# The two best of each row: 0.9 right, 0.5 right, 0.8 right, 0.6, 0.7, 0.3, 0.4, 0.35 right
# Bins of a quarter: (0.25, 0.5]: .5 r, .3, .4, .35 r; (0.5, 0.75]: .6, .7; (0.75, 1]: .9 r, .8 r
CURVE = ([1.55 / 4, 0.65, 0.85], [0.5, 0.0, 1.0], [4, 2, 2])
ECE = (4 * (0.5 - 1.55 / 4) + 2 * 0.65 + 2 * 0.15) / 8


def rows(scores):
    return [dict(enumerate(row)) for row in scores.tolist()]


def test_figures_worked_out_by_hand():
    curve = metrics.reliability_curve(TRUE, SCORES, 2, n_bins=4)
    for found, expected in zip(curve, CURVE, strict=True):
        assert found.tolist() == pytest.approx(expected)
    assert metrics.expected_calibration_error(TRUE, SCORES, 2, n_bins=4) == pytest.approx(ECE)
    assert curve.error == pytest.approx(ECE)
    first = math.log(0.9) + math.log(0.8) + math.log(0.3) + math.log(0.6)
    assert metrics.log_loss(TRUE, SCORES, 1) == pytest.approx(-first / 4)
    assert metrics.brier_score(TRUE, SCORES, 1) == pytest.approx((0.1**2 + 0.2**2 + 0.7**2 + 0.4**2) / 4)


def test_the_slow_twin_gives_them_too():
    pairs = reference.pairs(TRUE, rows(SCORES), 2)
    assert reference.expected_calibration_error(pairs, 4) == pytest.approx(ECE)
    assert [list(each) for each in zip(*reference.reliability_curve(pairs, 4), strict=True)] == [
        pytest.approx(expected) for expected in CURVE
    ]


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("k", [1, 3, None])
@pytest.mark.parametrize("seed", range(4))
def test_every_container_gives_the_figures_of_the_slow_twin(seed, k, strategy):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 11, (30, 8)) / 10
    reached = rng.random((30, 8)) < 0.6
    Y = rng.random((30, 8)) < scores * 0.7
    true = [set(np.flatnonzero(row)) for row in Y]
    sparse = sp.csr_array((scores[reached], np.nonzero(reached)), shape=scores.shape)
    dense = np.where(reached, scores, -np.inf)
    found = [{j: s for j, s in enumerate(row) if np.isfinite(s)} for row in dense.tolist()]
    pairs = reference.pairs(true, found, k)
    for Y_true in (true, Y, sp.csr_array(Y)):
        for Y_score in (sparse, sparse.tocoo(), dense):
            curve = metrics.reliability_curve(Y_true, Y_score, k, n_bins=7, strategy=strategy)
            expected = list(zip(*reference.reliability_curve(pairs, 7, strategy), strict=True))
            assert [each.tolist() for each in curve] == [pytest.approx(each) for each in map(list, expected)]
            error = metrics.expected_calibration_error(Y_true, Y_score, k, n_bins=7, strategy=strategy)
            assert error == pytest.approx(reference.expected_calibration_error(pairs, 7, strategy))
            assert metrics.log_loss(Y_true, Y_score, k) == pytest.approx(reference.log_loss(pairs))
            assert metrics.brier_score(Y_true, Y_score, k) == pytest.approx(reference.brier_score(pairs))


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_all_pairs_of_a_dense_matrix_are_scikit_learns_figures(strategy):
    rng = np.random.default_rng(0)
    p = rng.random((200, 10))
    Y = rng.random((200, 10)) < p**2
    curve = metrics.reliability_curve(Y, p, None, n_bins=10, strategy=strategy)
    frequency, probability = calibration_curve(Y.ravel(), p.ravel(), n_bins=10, strategy=strategy)
    assert curve.probability == pytest.approx(probability)
    assert curve.frequency == pytest.approx(frequency)
    assert metrics.log_loss(Y, p) == pytest.approx(sklearn_log_loss(Y.ravel(), p.ravel()))
    assert metrics.brier_score(Y, p) == pytest.approx(brier_score_loss(Y.ravel(), p.ravel()))


def test_probabilities_that_are_right_have_little_error():
    rng = np.random.default_rng(0)
    p = rng.random((20_000, 5))
    Y = rng.random(p.shape) < p
    assert metrics.expected_calibration_error(Y, p) < 0.01
    assert metrics.expected_calibration_error(Y, np.sqrt(p)) > 0.1
    assert metrics.log_loss(Y, p) < metrics.log_loss(Y, np.sqrt(p))


def test_wrong_certainties_have_a_finite_loss():
    assert 15 < metrics.log_loss([[0], [1]], np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)) < 17


def test_labels_that_were_not_returned_and_unknown_ones_are_no_pairs():
    p = sp.csr_array(np.array([[0.5, 0.0, 0.0]]))
    assert metrics.brier_score([["a", "new"]], p, classes=["a", "b", "c"]) == 0.25
    dense = np.array([[0.5, -np.inf, -np.inf]])
    assert metrics.brier_score([["a", "new"]], dense, classes=["a", "b", "c"]) == 0.25


def test_nothing_returned_is_no_error():
    nothing = sp.csr_array((2, 3))
    assert metrics.expected_calibration_error([[0], [1]], nothing) == 0
    assert metrics.expected_calibration_error([[0], [1]], nothing, strategy="quantile") == 0
    assert metrics.log_loss([[0], [1]], nothing) == 0
    assert len(metrics.reliability_curve([[0], [1]], nothing, None).n_pairs) == 0


def test_bad_input_is_one_clear_error():
    for bad in (np.array([[1.5, 0.2]]), np.array([[-0.5, 0.2]]), sp.csr_array(np.array([[2.0]]))):
        with pytest.raises(InputError, match="Y_score"):
            metrics.log_loss([[0]], bad)
    with pytest.raises(InputTypeError, match="Y_score"):
        metrics.expected_calibration_error([[0]], [[0, 1]])
    with pytest.raises(InputError, match="rows"):
        metrics.brier_score([[0], [1]], np.array([[0.5, 0.5]]))
    with pytest.raises(InputError, match="n_bins"):
        metrics.expected_calibration_error([[0]], np.array([[0.5]]), n_bins=0)
    with pytest.raises(InputError, match="strategy"):
        metrics.reliability_curve([[0]], np.array([[0.5]]), strategy="width")
    with pytest.raises(InputError, match="k"):
        metrics.log_loss([[0]], np.array([[0.5]]), 0)
