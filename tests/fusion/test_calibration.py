"""Calibrators: scores of pairs to probabilities."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ceiba.errors import InputError, ModelFormatError
from ceiba.fusion.calibration import IsotonicCalibrator, SigmoidCalibrator, make_calibrator
from ceiba.io.tensors import read_tensors, write_tensors

BOTH = [SigmoidCalibrator, IsotonicCalibrator]


def pairs(n=4000, seed=0):
    """Scores in (0, 1], and which are right: with the probability sqrt(score)."""
    rng = np.random.default_rng(seed)
    scores = rng.random(n) ** 2
    return scores, rng.random(n) < np.sqrt(scores) * 0.8


def test_the_sigmoid_is_the_logistic_regression_on_platts_targets():
    scores, y = pairs()
    n1 = y.sum()
    n0 = len(y) - n1
    high, low = (n1 + 1) / (n1 + 2), 1 / (n0 + 2)
    # a target t is a positive of weight t and a negative of weight 1 - t
    target = np.where(y, high, low)
    x = np.concatenate([scores, scores])[:, None]
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    fit.fit(x, np.repeat([1, 0], len(scores)), np.concatenate([target, 1 - target]))
    own = SigmoidCalibrator().fit(scores, y)
    assert own.coef_ == pytest.approx(fit.coef_[0], rel=1e-4)
    assert own.intercept_ == pytest.approx(fit.intercept_[0], rel=1e-4)


def test_isotonic_is_scikit_learns_on_the_same_targets():
    scores, y = pairs()
    own = IsotonicCalibrator().fit(scores, y)
    fit = IsotonicRegression().fit(scores, np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2)))
    at = np.linspace(scores.min(), scores.max(), 301)
    assert own.probability(at) == pytest.approx(fit.predict(at), abs=1e-9)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("scale", ["linear", "probability"])
def test_probabilities_are_near_the_share_that_is_right(kind, scale):
    scores, y = pairs(40_000)
    fresh = np.linspace(0.05, 0.95, 19)
    found = kind(scale).fit(scores, y).probability(fresh)
    assert np.abs(found - np.sqrt(fresh) * 0.8).max() < (0.12 if scale == "linear" else 0.05)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("scale", ["linear", "probability", "log-probability"])
def test_probabilities_rise_with_the_score_and_are_finite(kind, scale):
    scores, y = pairs()
    to_scale = np.log if scale == "log-probability" else np.asarray
    calibrator = kind(scale).fit(to_scale(scores), y)
    with np.errstate(divide="ignore"):
        p = calibrator.probability(to_scale(np.array([0.0, 1e-300, *np.linspace(1e-6, 1, 200)])))
    assert (np.diff(p) >= 0).all()
    assert p.min() >= 0
    assert p.max() < 1


@pytest.mark.parametrize("kind", BOTH)
def test_logarithms_give_the_same_probabilities(kind):
    scores, y = pairs()
    plain = kind("probability").fit(scores, y)
    logs = kind("log-probability").fit(np.log(scores), y)
    assert logs.probability(np.log(scores)) == pytest.approx(plain.probability(scores), abs=1e-9)


@pytest.mark.parametrize("kind", BOTH)
def test_weights_count_as_repetitions(kind):
    scores, y = pairs(300)
    weight = np.random.default_rng(1).integers(0, 4, len(scores))
    weighted = kind().fit(scores, y, weight)
    repeated = kind().fit(np.repeat(scores, weight), np.repeat(y, weight))
    assert weighted.probability(scores) == pytest.approx(repeated.probability(scores), abs=1e-7)


@pytest.mark.parametrize("kind", BOTH)
def test_what_was_not_reached_has_no_weight_and_no_probability(kind):
    scores, y = pairs(500)
    some = kind().fit(scores, y)
    more = kind().fit(np.append(scores, [-np.inf] * 50), np.append(y, [True] * 50))
    assert (more.probability(scores) == some.probability(scores)).all()
    assert more.probability([-np.inf]) == [0.0]


@pytest.mark.parametrize("kind", BOTH)
def test_separable_scores_and_scores_all_alike_stay_finite(kind):
    separable = kind().fit([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1]).probability([1.0, 2.5, 4.0])
    assert 0 < separable[0] <= separable[1] <= separable[2] < 1
    alike = kind().fit([0.5] * 10, [1] * 3 + [0] * 7).probability([0.1, 0.5, 0.9])
    assert alike == pytest.approx([(3 * 4 / 5 + 7 / 9) / 10] * 3)
    only_right = kind().fit([0.1, 0.9], [1, 1]).probability([0.1, 0.9])
    assert only_right == pytest.approx([0.75, 0.75])


def test_scores_that_fall_where_labels_are_right_do_not_turn_the_ranking_round():
    fit = SigmoidCalibrator().fit([4.0, 3.0, 2.0, 1.0], [0, 0, 1, 1])
    assert np.ptp(fit.probability([1.0, 2.0, 4.0])) == 0


@pytest.mark.parametrize("kind", BOTH)
def test_shape_and_dtype_are_kept(kind):
    scores, y = pairs(200)
    fit = kind().fit(scores, y)
    p = fit.probability(np.float32(scores).reshape(20, 10))
    assert p.shape == (20, 10)
    assert p.dtype == np.float32
    assert fit.probability(np.empty(0, np.float32)).shape == (0,)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("scale", ["linear", "probability"])
def test_arrays_bring_the_same_calibrator_back(kind, scale, tmp_path):
    scores, y = pairs(500)
    fit = kind(scale).fit(scores, y)
    write_tensors(tmp_path / "c.safetensors", fit.arrays())
    again = kind.from_arrays(read_tensors(tmp_path / "c.safetensors"), scale)
    assert (again.probability(scores) == fit.probability(scores)).all()


@pytest.mark.parametrize("kind", BOTH)
def test_damaged_arrays_are_refused(kind):
    arrays = kind().fit(*pairs(500)).arrays()
    for name, array in arrays.items():
        for bad in (None, array.astype(np.float32), np.full_like(array, np.nan), array[None], np.append(array, 1e9)):
            if bad is not None and name == "scores" and len(bad) == len(array) + 1:
                continue  # then it is the probabilities that lack one
            with pytest.raises(ModelFormatError):
                kind.from_arrays({**arrays, name: bad} if bad is not None else {}, "linear")
    last = "probabilities" if kind is IsotonicCalibrator else "coef"
    with pytest.raises(ModelFormatError):
        kind.from_arrays({**arrays, last: -arrays[last] - 1}, "linear")


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("scores", "y", "weight", "name"),
    [
        ([0.1, 0.2], [0, 0], None, "right label"),
        ([], [], None, "right label"),
        ([0.1, np.nan], [0, 1], None, "scores"),
        ([0.1, np.inf], [0, 1], None, "scores"),
        ([0.1, 0.2], [1], None, "y "),
        ([0.1, 0.2], [0, 1], [1, -1], "sample_weight"),
        ([0.1, 0.2], [0, 1], [1, 0], "right label"),
        ([0.1, 0.2], [0, 1], [1], "sample_weight"),
    ],
)
def test_bad_pairs_are_one_clear_error(kind, scores, y, weight, name):
    with pytest.raises(InputError, match=name):
        kind().fit(scores, y, weight)


def test_scores_outside_their_scale_and_unknown_names_are_errors():
    for scale, score in (("probability", 1.5), ("probability", -0.5), ("log-probability", 0.5)):
        with pytest.raises(InputError, match="scores"):
            SigmoidCalibrator(scale).fit([score, score], [0, 1])
    with pytest.raises(InputError, match="method"):
        make_calibrator("platt")
    with pytest.raises(InputError, match="scale"):
        make_calibrator("sigmoid", "logit")
