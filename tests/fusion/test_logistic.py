"""The regression agrees with scikit-learn's and with its twin, whatever the features, weights and threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.fusion.logistic import LogisticFusion
from ceiba.reference import logistic as twin


def pairs(rng, rows, columns, noise=1.0):
    """Return features of unlike scales, one of them a copy of another, and classes that depend on them."""
    Z = rng.normal(size=(rows, columns))
    y = (Z @ rng.normal(size=columns) + noise * rng.normal(size=rows) > 1).astype(int)
    y[:2] = 0, 1
    X = Z * 10.0 ** rng.integers(-3, 4, columns) + 10.0 ** rng.integers(-3, 3, columns)
    X[:, -1] = X[:, 0]
    return X.astype(np.float32), y


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize(("rows", "columns"), [(30, 1), (500, 7), (9_000, 40)])
def test_probabilities_are_those_of_scikit_learn(rows, columns, C):
    X, y = pairs(np.random.default_rng(rows), rows, columns)
    fusion = LogisticFusion(C).fit(X, y)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=C, tol=1e-9, max_iter=10_000))
    expected = theirs.fit(X.astype(np.float64), y).predict_proba(X.astype(np.float64))[:, 1]
    found = fusion.probability(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(2, 200),
    columns=st.integers(1, 20),
    C=st.sampled_from([0.1, 1.0, 10.0]),
    weighted=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_regression_is_its_twin(seed, rows, columns, C, weighted):
    rng = np.random.default_rng(seed)
    X, y = pairs(rng, rows, columns)
    weight = rng.integers(1, 4, rows).astype(np.float64) if weighted else None
    fusion = LogisticFusion(C).fit(X, y, weight)
    expected = twin.fit_logistic(X, y, weight, C)
    np.testing.assert_allclose(fusion.probability(X), twin.probability(X, *expected), atol=1e-4)


def test_threads_do_not_change_a_bit():
    X, y = pairs(np.random.default_rng(1), 60_000, 12)
    one = LogisticFusion().fit(X, y)
    for threads in (2, 5):
        other = LogisticFusion().fit(X, y, n_threads=threads)
        for name, array in one.arrays().items():
            np.testing.assert_array_equal(other.arrays()[name], array)


def test_a_weight_is_a_number_of_copies():
    rng = np.random.default_rng(2)
    X, y = pairs(rng, 400, 5)
    weight = rng.integers(0, 4, 400)
    weight[:2] = 1
    once = LogisticFusion().fit(X, y, weight).probability(X)
    copies = LogisticFusion().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).probability(X)
    np.testing.assert_allclose(once, copies, atol=1e-6)


def test_constant_features_say_nothing():
    X, y = pairs(np.random.default_rng(3), 300, 4)
    with_constants = np.column_stack([np.full(300, 0.1), X, np.zeros(300), np.full(300, 1e10)]).astype(np.float32)
    fusion = LogisticFusion().fit(with_constants, y)
    np.testing.assert_array_equal(fusion.coef_[[0, 5, 6]], 0)
    np.testing.assert_allclose(fusion.probability(with_constants), LogisticFusion().fit(X, y).probability(X), atol=1e-6)


@pytest.mark.parametrize("C", [1.0, 1e6])
def test_separable_classes_have_finite_coefficients(C):
    X = np.linspace(-1, 1, 100, dtype=np.float32)[:, None]
    fusion = LogisticFusion(C).fit(X, X[:, 0] > 0)
    assert np.isfinite(fusion.coef_).all()
    found = fusion.probability(X)
    assert ((found > 0.5) == (X[:, 0] > 0)).all()
    assert (np.diff(found) >= 0).all()


def test_one_pair_of_each_class():
    assert LogisticFusion().fit([[0], [1]], [False, True]).probability([[0.5]])[0] == pytest.approx(0.5)


def test_contributions_add_up_to_the_logit():
    X, y = pairs(np.random.default_rng(4), 200, 6)
    fusion = LogisticFusion().fit(X, y)
    logit = fusion.contributions(X).sum(axis=1) + fusion.intercept_
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), fusion.probability(X), atol=1e-6)


def test_saved_arrays_are_the_same_regression():
    X, y = pairs(np.random.default_rng(5), 200, 6)
    fusion = LogisticFusion().fit(X, y)
    np.testing.assert_array_equal(LogisticFusion.from_arrays(fusion.arrays()).probability(X), fusion.probability(X))


@pytest.mark.parametrize(
    "change",
    [
        {"mean": None},
        {"coef": np.zeros(2)},
        {"coef": np.zeros(3, np.float32)},
        {"coef": np.zeros((3, 1))},
        {"scale": np.array([1.0, 0.0, 1.0])},
        {"mean": np.array([1.0, np.nan, 1.0])},
        {"intercept": np.zeros(2)},
    ],
)
def test_damaged_arrays_are_refused(change):
    arrays = LogisticFusion().fit(np.eye(3), [0, 1, 1]).arrays() | change
    with pytest.raises(ModelFormatError, match="logistic"):
        LogisticFusion.from_arrays({name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "error", "name"),
    [
        ({"y": [1, 1, 1]}, InputError, "y has no wrong"),
        ({"y": [0, 0, 0]}, InputError, "y has no right"),
        ({"sample_weight": [0, 1, 1]}, InputError, "y has no wrong"),
        ({"y": [0, 1]}, InputError, "y"),
        ({"y": [0, 1, 2]}, InputError, "row 2"),
        ({"y": [0, 1, np.nan]}, InputError, "row 2"),
        ({"y": ["a", "b", "c"]}, InputTypeError, "y"),
        ({"features": [[0.0], [np.nan], [1.0]]}, InputError, "row 1, column 0"),
        ({"features": [[0.0, 1.0], [1.0, 2.0], [1.0, np.inf]]}, InputError, "row 2, column 1"),
        ({"features": [[0.0], [1e300], [1.0]]}, InputError, "row 1, column 0"),
        ({"features": [0.0, 1.0, 2.0]}, InputError, "features"),
        ({"features": np.zeros((3, 0))}, InputError, "features"),
        ({"features": [["a"], ["b"], ["c"]]}, InputTypeError, "features"),
        ({"sample_weight": [1, 1]}, InputError, "sample_weight"),
        ({"sample_weight": [1, 1, -1]}, InputError, "sample_weight"),
        ({"sample_weight": [1, 1, np.nan]}, InputError, "sample_weight"),
        ({"n_threads": 0}, InputError, "n_threads"),
    ],
)
def test_bad_training_data(changes, error, name):
    with pytest.raises(error, match=name):
        LogisticFusion().fit(**({"features": [[0.0], [1.0], [2.0]], "y": [0, 1, 1]} | changes))


@pytest.mark.parametrize(("features", "name"), [([[1.0]], "columns"), ([[1.0, np.nan]], "row 0, column 1")])
def test_bad_features(features, name):
    with pytest.raises(InputError, match=name):
        LogisticFusion().fit(np.eye(2), [0, 1]).probability(features)


@pytest.mark.parametrize("params", [{"C": 0}, {"C": np.nan}, {"C": np.inf}, {"max_iter": 0}, {"tol": -1.0}])
def test_bad_parameters(params):
    with pytest.raises(InputError, match=next(iter(params))):
        LogisticFusion(**params)
