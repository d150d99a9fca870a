"""The solver against the optimum of its objective."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import as_features
from ceiba.linear.solve import SolverSettings, train_layer, training_cost
from ceiba.reference import layers as reference
from ceiba.reference.weights import unpack

patient = settings(deadline=None, max_examples=40)

TIGHT = SolverSettings(tolerance=1e-4, max_iter=20_000, weight_threshold=0.0, weight_dtype="float32")


def weights_of(layer):
    W, intercepts = unpack(layer)
    return W.toarray().astype(np.float64), intercepts.astype(np.float64)


def everything_matched(problem, n_children):
    return np.array([0, n_children]), InstanceLists.everything(problem.X.shape[0])


def excess(problem, layer, child_ptr, matched, positives, settings):
    """Return, per child, an upper bound of how far its objective is above the optimum, relative to the objective.

    Smooth losses only: the objective is strongly convex with modulus 1.
    """
    W, intercepts = weights_of(layer)
    found = []
    for parent in range(len(child_ptr) - 1):
        for child in range(child_ptr[parent], child_ptr[parent + 1]):
            data = reference.problem(problem.features, matched, positives, parent, child, settings)
            at = W[:, child], intercepts[child], *data, settings.loss, settings.bias
            value = reference.objective(*at)
            found.append(0.5 * (reference.gradient(*at) ** 2).sum() / value if value else 0.0)
    return np.array(found)


@pytest.mark.parametrize("bias", [1.0, 0.0, 0.3])
@pytest.mark.parametrize("costs", [(1.0, 1.0), (4.0, 0.5)])
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
def test_smooth_losses_reach_the_optimum(make_problem, loss, C, costs, bias):
    problem = make_problem(90, 30, 12, zero_rows=4)
    settings = replace(TIGHT, loss=loss, C=C, cost_positive=costs[0], cost_negative=costs[1], bias=bias)
    child_ptr, matched = everything_matched(problem, 12)
    layer = train_layer(problem.features, child_ptr, matched, problem.positives, settings)
    assert layer.work["unconverged"] == 0
    assert excess(problem, layer, child_ptr, matched, problem.positives, settings).max() < 1e-4
    if bias == 0:
        assert not layer.arrays["bias"].any()


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_weights_are_those_of_the_exact_solution(make_problem, loss):
    problem = make_problem(40, 12, 4, zero_rows=2)
    settings = replace(TIGHT, loss=loss)
    child_ptr, matched = everything_matched(problem, 4)
    layer = train_layer(problem.features, child_ptr, matched, problem.positives, settings)
    W, intercepts = weights_of(layer)
    exact, exact_intercepts = reference.train_weights(problem.features, child_ptr, matched, problem.positives, settings)
    largest = np.abs(exact).max()
    np.testing.assert_allclose(W, exact, atol=5e-3 * largest)
    np.testing.assert_allclose(intercepts, exact_intercepts, atol=5e-3 * largest)


@pytest.mark.parametrize("bias", [1.0, 0.0])
@pytest.mark.parametrize("costs", [(1.0, 1.0), (3.0, 0.5)])
@pytest.mark.parametrize("C", [0.3, 2.0])
def test_hinge_is_near_the_optimum(make_problem, C, costs, bias):
    problem = make_problem(40, 12, 3, zero_rows=3)
    settings = replace(TIGHT, loss="hinge", C=C, cost_positive=costs[0], cost_negative=costs[1], bias=bias)
    child_ptr, matched = everything_matched(problem, 3)
    layer = train_layer(problem.features, child_ptr, matched, problem.positives, settings)
    W, intercepts = weights_of(layer)
    for child in range(3):
        data = reference.problem(problem.features, matched, problem.positives, 0, child, settings)
        found = reference.objective(W[:, child], intercepts[child], *data, "hinge", bias)
        least = reference.objective(*reference.solve(*data, "hinge", bias), *data, "hinge", bias)
        assert found == pytest.approx(least, rel=1e-3)
        assert found - least < settings.tolerance * data[2].sum()


def test_hinge_weights_stay_in_the_span_of_the_box(make_problem):
    """Each |alpha| is at most the cost, so with one feature per instance the weights are, too."""
    X = sp.csr_array(np.diag(np.linspace(0.01, 2, 40)).astype(np.float32))
    Y = sp.csr_array((np.arange(40)[:, None] % 3 == 0).astype(np.float32))
    settings = replace(TIGHT, loss="hinge", C=0.25, bias=0.0)
    layer = train_layer(
        as_features(X), np.array([0, 1]), InstanceLists.everything(40), InstanceLists.from_columns(Y), settings
    )
    W, _ = weights_of(layer)
    alpha = W[:, 0] / X.diagonal()
    expected = np.minimum(0.25, 1 / X.diagonal() ** 2) * np.where(Y.toarray()[:, 0] > 0, 1, -1)
    np.testing.assert_allclose(alpha, expected, rtol=1e-3)


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_tolerance_bounds_the_gap(make_problem, loss):
    """At the default tolerance eps the objective is off by at most eps^2 (eps for hinge) times the costs."""
    problem = make_problem(50, 15, 4)
    settings = replace(TIGHT, loss=loss, tolerance=0.1)
    child_ptr, matched = everything_matched(problem, 4)
    W, intercepts = weights_of(train_layer(problem.features, child_ptr, matched, problem.positives, settings))
    for child in range(4):
        data = reference.problem(problem.features, matched, problem.positives, 0, child, settings)
        found = reference.objective(W[:, child], intercepts[child], *data, loss, 1.0)
        least = reference.objective(*reference.solve(*data, loss, 1.0), *data, loss, 1.0)
        limit = (0.1 if loss == "hinge" else 2 * 0.1**2) * data[2].sum()
        assert found - least < limit
        assert found < 1.05 * least


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
@pytest.mark.parametrize("n_children", [1, 7, 8, 9, 15, 16, 17, 33, 100, 300])
@pytest.mark.parametrize("n_parents", [1, 3])
def test_every_lane_group(make_problem, n_parents, n_children, loss):
    """One parent is solved in groups of 8 lanes, several in groups of 16; the last group may be part empty."""
    problem = make_problem(80, 25, n_children, seed=n_children)
    settings = replace(TIGHT, loss=loss, tolerance=1e-3)
    child_ptr = np.arange(n_parents + 1) * n_children // n_parents
    matched = InstanceLists.everything(80)
    if n_parents > 1:
        half = InstanceLists(np.array([0, 80, 120, 120]), np.r_[np.arange(80), np.arange(0, 80, 2)].astype(np.int32))
        matched = half  # all, every other, none
    layer = train_layer(problem.features, child_ptr, matched, problem.positives, settings)
    assert excess(problem, layer, child_ptr, matched, problem.positives, settings).max() < 1e-3


def test_relevance_multiplies_costs(make_problem):
    problem = make_problem(90, 30, 12)
    rng = np.random.default_rng(0)
    positives = problem.positives._replace(
        weight=rng.uniform(0.1, 3, len(problem.positives.indices)).astype(np.float32)
    )
    child_ptr, matched = everything_matched(problem, 12)
    layers = {}
    for loss in ("squared_hinge", "logistic"):
        settings = replace(TIGHT, loss=loss)
        layers[loss] = train_layer(problem.features, child_ptr, matched, positives, settings)
        assert excess(problem, layers[loss], child_ptr, matched, positives, settings).max() < 1e-4
    plain = train_layer(problem.features, child_ptr, matched, problem.positives, TIGHT)
    assert np.abs(weights_of(plain)[0] - weights_of(layers["squared_hinge"])[0]).max() > 0.01

    settings = replace(TIGHT, loss="hinge", C=0.2)
    W, intercepts = weights_of(train_layer(problem.features, child_ptr, matched, positives, settings))
    data = reference.problem(problem.features, matched, positives, 0, 3, settings)
    assert len(set(data[2].tolist())) > 2
    found = reference.objective(W[:, 3], intercepts[3], *data, "hinge", 1.0)
    least = reference.objective(*reference.solve(*data, "hinge", 1.0), *data, "hinge", 1.0)
    assert found == pytest.approx(least, rel=5e-3)


def test_relevance_of_one_is_no_relevance(make_problem):
    problem = make_problem(90, 30, 12)
    ones = problem.positives._replace(weight=np.ones(len(problem.positives.indices), np.float32))
    child_ptr, matched = everything_matched(problem, 12)
    first = train_layer(problem.features, child_ptr, matched, problem.positives, TIGHT)
    second = train_layer(problem.features, child_ptr, matched, ones, TIGHT)
    np.testing.assert_allclose(weights_of(first)[0], weights_of(second)[0], atol=1e-4)


def test_positives_that_are_not_matched_are_passed_over(make_problem):
    problem = make_problem(60, 20, 6)
    matched = InstanceLists(np.array([0, 30]), np.arange(0, 60, 2, dtype=np.int32))
    child_ptr = np.array([0, 6])
    layer = train_layer(problem.features, child_ptr, matched, problem.positives, TIGHT)
    assert excess(problem, layer, child_ptr, matched, problem.positives, TIGHT).max() < 1e-4
    kept = problem.Y[::2]
    alone = train_layer(
        as_features(problem.X[::2]),
        child_ptr,
        InstanceLists.everything(30),
        InstanceLists.from_columns(kept),
        TIGHT,
    )
    np.testing.assert_allclose(weights_of(layer)[0], weights_of(alone)[0], atol=1e-2)


def test_nothing_matched_gives_no_weights(make_problem):
    problem = make_problem(60, 20, 6)
    none = InstanceLists(np.zeros(3, np.int64), np.zeros(0, np.int32))
    layer = train_layer(problem.features, np.array([0, 2, 6]), none, problem.positives, TIGHT)
    assert layer.n_weights == 0
    assert not layer.arrays["bias"].any()


def test_parents_without_children_are_legal(make_problem):
    problem = make_problem(60, 20, 6)
    matched = InstanceLists(np.array([0, 60, 60, 120]), np.tile(np.arange(60, dtype=np.int32), 2))
    child_ptr = np.array([0, 2, 2, 6])
    layer = train_layer(problem.features, child_ptr, matched, problem.positives, TIGHT)
    assert excess(problem, layer, child_ptr, matched, problem.positives, TIGHT).max() < 1e-4


def test_labels_without_positives_are_all_negative(make_problem):
    problem = make_problem(60, 20, 6)
    Y = problem.Y.tolil()
    Y[:, [1, 4]] = 0
    positives = InstanceLists.from_columns(sp.csr_array(Y))
    child_ptr, matched = everything_matched(problem, 6)
    layer = train_layer(problem.features, child_ptr, matched, positives, TIGHT)
    assert excess(problem, layer, child_ptr, matched, positives, TIGHT).max() < 1e-4
    W, intercepts = weights_of(layer)
    assert ((problem.X @ W + intercepts)[:, [1, 4]] < 0).all()


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_rows_of_zeros_alone_are_legal(loss, bias):
    X = sp.csr_array((30, 8), dtype=np.float32)
    Y = sp.csr_array((np.arange(30)[:, None] % 3 == 0).astype(np.float32))
    settings = replace(TIGHT, loss=loss, bias=bias)
    layer = train_layer(
        as_features(X), np.array([0, 1]), InstanceLists.everything(30), InstanceLists.from_columns(Y), settings
    )
    assert layer.n_weights == 0
    data = X, np.where(np.arange(30) % 3 == 0, 1.0, -1.0), np.ones(30)
    least = reference.solve(*data, loss, bias)[1]
    assert float(layer.arrays["bias"][0]) == pytest.approx(least, abs=2e-2)


@pytest.mark.parametrize("n_parents", [1, 2])
def test_every_child_has_its_own_threshold(make_problem, n_parents):
    problem = make_problem(60, 20, 21)
    child_ptr = np.arange(n_parents + 1) * 21 // n_parents
    matched = InstanceLists(np.arange(n_parents + 1) * 60, np.tile(np.arange(60, dtype=np.int32), n_parents))
    arguments = problem.features, child_ptr, matched, problem.positives
    whole, intercepts = weights_of(train_layer(*arguments, replace(TIGHT, weight_threshold=0.0)))
    multiplier = np.linspace(0.5, 4, 21)
    layer = train_layer(*arguments, replace(TIGHT, weight_threshold=0.1), threshold_multiplier=multiplier)
    W, same = weights_of(layer)
    np.testing.assert_array_equal(W, reference.threshold(whole, (0.1 * multiplier).astype(np.float32)))
    np.testing.assert_array_equal(same, intercepts)
    assert 0 < np.count_nonzero(W) < np.count_nonzero(whole)


def test_max_iter_stops(make_problem):
    problem = make_problem(60, 20, 6)
    child_ptr, matched = everything_matched(problem, 6)
    settings = replace(TIGHT, tolerance=1e-6, max_iter=1)
    layer = train_layer(problem.features, child_ptr, matched, problem.positives, settings)
    assert layer.work["unconverged"] == 1
    assert layer.work["visits"] == 60


@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
def test_threads_do_not_change_a_bit(make_problem, loss, weight_dtype):
    problem = make_problem(200, 50, 90)
    settings = SolverSettings(loss=loss, weight_dtype=weight_dtype)
    for n_parents in (1, 5):
        child_ptr = np.arange(n_parents + 1) * 90 // n_parents
        matched = InstanceLists(np.arange(n_parents + 1) * 200, np.tile(np.arange(200, dtype=np.int32), n_parents))
        layers = [
            train_layer(problem.features, child_ptr, matched, problem.positives, settings, seed=5, n_threads=n)
            for n in (1, 2, 3)
        ]
        for layer in layers[1:]:
            for name, array in layers[0].arrays.items():
                assert array.tobytes() == layer.arrays[name].tobytes(), name


def test_the_seed_decides_the_order_of_visits(make_problem):
    problem = make_problem(100, 30, 20)
    child_ptr, matched = everything_matched(problem, 20)
    settings = replace(TIGHT, tolerance=0.1)
    layers = [
        train_layer(problem.features, child_ptr, matched, problem.positives, settings, seed=seed) for seed in (1, 1, 2)
    ]
    first, again, other = (weights_of(layer)[0] for layer in layers)
    assert (first == again).all()
    assert (first != other).any()


def test_progress_counts_up_and_errors_in_it_stop_training(make_problem):
    problem = make_problem(4000, 400, 400)
    child_ptr, matched = everything_matched(problem, 400)
    settings = replace(TIGHT, C=1000, tolerance=1e-9, max_iter=1_000_000)

    def stop(done):
        raise ZeroDivisionError(done)

    with pytest.raises(ZeroDivisionError):
        train_layer(problem.features, child_ptr, matched, problem.positives, settings, progress=stop)


@patient
@given(st.data())
def test_random_problems_reach_the_optimum(data):
    n, d, n_labels = (data.draw(st.integers(1, limit)) for limit in (30, 8, 20))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    X = as_features(sp.csr_array((rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.5)).astype(np.float32)))
    Y = sp.csr_array((rng.random((n, n_labels)) < data.draw(st.sampled_from([0.0, 0.2, 0.9]))).astype(np.float32))
    settings = replace(
        TIGHT,
        loss=data.draw(st.sampled_from(["squared_hinge", "logistic"])),
        C=data.draw(st.sampled_from([0.01, 0.3])),
        bias=data.draw(st.sampled_from([0.0, 0.5, 1.0])),
        cost_positive=data.draw(st.sampled_from([0.5, 3.0])),
    )
    positives = InstanceLists.from_columns(Y)
    child_ptr, matched = np.array([0, n_labels]), InstanceLists.everything(n)
    layer = train_layer(X, child_ptr, matched, positives, settings)
    W, intercepts = weights_of(layer)
    for child in range(n_labels):
        problem = reference.problem(X, matched, positives, 0, child, settings)
        at = W[:, child], intercepts[child], *problem, settings.loss, settings.bias
        assert (reference.gradient(*at) ** 2).sum() < 1e-3 * max(reference.objective(*at), 1e-3)


@pytest.mark.parametrize("weight_dtype", ["float32", "float8"])
@pytest.mark.parametrize("weighted", [False, True])
def test_shards_of_parents_do_not_change_a_bit(make_problem, weight_dtype, weighted):
    problem = make_problem(300, 60, 120)
    settings = SolverSettings(weight_dtype=weight_dtype)
    child_ptr = np.arange(12) * 120 // 11
    rng = np.random.default_rng(3)
    rows = [np.flatnonzero(rng.random(300) < share).astype(np.int32) for share in np.linspace(0, 1, 11)]
    matched = InstanceLists(np.cumsum([0, *map(len, rows)]), np.concatenate(rows))
    positives = problem.positives
    if weighted:
        weight = rng.uniform(0.5, 2, len(positives.indices)).astype(np.float32)
        positives = InstanceLists(positives.ptr, positives.indices, weight)
    whole, *others = (
        train_layer(problem.features, child_ptr, matched, positives, settings, n_shards=n, seed=5, n_threads=2)
        for n in (1, 2, 7, 11, 50)
    )
    assert whole.n_weights > 0
    for layer in others:
        assert layer.work == whole.work
        for name, array in whole.arrays.items():
            assert array.dtype == layer.arrays[name].dtype, name
            assert array.tobytes() == layer.arrays[name].tobytes(), name


def test_progress_over_shards_adds_up(make_problem):
    problem = make_problem(300, 60, 120)
    child_ptr = np.arange(11) * 12
    matched = InstanceLists(np.arange(11) * 300, np.tile(np.arange(300, dtype=np.int32), 10))
    seen = []
    train_layer(
        problem.features, child_ptr, matched, problem.positives, SolverSettings(), n_shards=5, progress=seen.append
    )
    assert seen == sorted(seen)
    assert seen[-1] == training_cost(problem.features, child_ptr, matched).sum()
