"""`compare`, `by_frequency` and `per_label`: they agree with `evaluate` and with counting by hand."""

import numpy as np
import pytest
from scipy import sparse

from ceiba import metrics
from ceiba.errors import InputError

N, L = 300, 40


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(5)
    Y = sparse.random_array((N, L), density=0.08, random_state=random, format="csr")
    Y.data[:] = 1
    train = sparse.random_array((500, L), density=0.1, random_state=random, format="csr")
    noise = random.random((2, N, L))
    return Y, train, noise[0] + 0.2 * Y.toarray(), noise[1] + 0.7 * Y.toarray()


def test_figures_are_those_of_evaluate(data):
    Y, train, a, b = data
    found = metrics.compare(Y, a, b, (1, 3, 7), train, n_bootstraps=20)
    for scores, side in ((a, "a"), (b, "b")):
        figures = metrics.evaluate(Y, scores, (1, 3, 7), train)
        assert {"P@1", "nDCG@3", "R@7", "PSP@3"} <= set(found)
        for name, difference in found.items():
            assert getattr(difference, side) == pytest.approx(figures[name], abs=1e-9)
            assert difference.difference == pytest.approx(difference.b - difference.a)


def test_the_better_model_is_told(data):
    Y, train, a, b = data
    found = metrics.compare(Y, a, b, 3, train)
    for difference in found.values():
        assert 0 < difference.low < difference.difference < difference.high
        assert difference.p_value < 0.01
    other = metrics.compare(Y, b, a, 3, train)
    assert other["P@3"].low == pytest.approx(-found["P@3"].high)
    assert other["P@3"].p_value == found["P@3"].p_value


def test_the_interval_of_a_mean_is_the_normal_one(data):
    Y, _, a, b = data
    found = metrics.compare(Y, a, b, 1, n_bootstraps=4000)["P@1"]
    hits = [Y.toarray()[np.arange(N), scores.argmax(1)] for scores in (a, b)]
    half = 196 * np.std(hits[1] - hits[0]) / np.sqrt(N)
    assert found.low == pytest.approx(found.difference - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.difference + half, abs=0.1 * half)


def test_equal_rankings_do_not_differ(data):
    Y, train, a, _ = data
    for difference in metrics.compare(Y, a, a, (1, 5), train).values():
        assert (difference.difference, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_a_seed_gives_the_same_and_another_other_draws(data):
    Y, _, a, b = data
    one, same, other = (metrics.compare(Y, a, b, random_state=seed, n_bootstraps=200) for seed in (3, 3, 4))
    assert one == same
    assert one["P@3"].low != other["P@3"].low


def test_chance_differences_are_seldom_significant():
    random = np.random.default_rng(0)
    Y = sparse.random_array((80, 10), density=0.2, random_state=random, format="csr")
    p = [metrics.compare(Y, *random.random((2, 80, 10)), ks=1, n_bootstraps=200)["P@1"].p_value for _ in range(60)]
    assert np.mean(np.array(p) < 0.05) < 0.15
    assert np.mean(p) > 0.35


def test_containers_and_rows_without_positives():
    Y = [["cat"], [], ["dog", "seal"]]
    a, b = [["cat"], ["cat"], ["cat"]], [["dog"], ["cat"], ["dog"]]
    found = metrics.compare(Y, a, b, (1, 9), n_bootstraps=50)
    assert (found["P@1"].a, found["P@1"].b) == pytest.approx((100 / 3, 100 / 3))
    assert (found["R@9"].a, found["R@9"].b) == (50.0, 25.0)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"n_bootstraps": 0}, "n_bootstraps"),
        ({"confidence": 1.0}, "confidence"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_parameters_out_of_range(given, named):
    with pytest.raises(InputError, match=named):
        metrics.compare([["a"]], [["a"]], [["a"]], **given)


def test_rows_that_do_not_fit():
    with pytest.raises(InputError, match="Y_score_b has 2"):
        metrics.compare([["a"]], [["a"]], [["a"], ["b"]])


def test_groups_by_frequency(data):
    Y, _, _, b = data
    counts = np.arange(L) * 5
    groups = metrics.by_frequency(Y, b, metrics.LabelCounts(counts, n=1000), (1, 3))
    assert [(g.name, g.least, g.most, g.n_labels) for g in groups] == [
        ("tail", 0, 9, 2),
        ("middle", 10, 99, 18),
        ("head", 100, None, 20),
    ]
    dense, top = Y.toarray(), metrics.top_k(b, 3)
    for group, own in zip(groups, (counts < 10, (counts >= 10) & (counts < 100), counts >= 100), strict=True):
        pairs = [(i, label) for i in range(N) for label in top[i] if own[label]]
        right = sum(dense[i, label] for i, label in pairs)
        assert group.n_positives == dense[:, own].sum()
        assert group.figures["P@3"] == pytest.approx(100 * right / len(pairs))
        assert group.figures["R@3"] == pytest.approx(100 * right / dense[:, own].sum())


def test_other_bounds_and_labels_that_training_never_saw():
    counts = metrics.LabelCounts([1, 7], n=10)
    groups = metrics.by_frequency([["x", "new"]], [["y", "new"]], counts, 2, bounds=[5], classes=["x", "y"])
    assert [(group.name, group.n_labels, group.figures["R@2"]) for group in groups] == [
        ("0-4", 2, 50.0),
        ("5+", 1, 0.0),
    ]
    with pytest.raises(InputError, match="bounds"):
        metrics.by_frequency([["x"]], [["x"]], counts, bounds=[5, 5], classes=["x", "y"])


def test_a_table_of_labels(data):
    Y, train, _, b = data
    table = metrics.per_label(Y, b, 3, train)
    figures = metrics.evaluate(Y, b, 3)
    assert table["label"].tolist() == list(range(L))
    assert table["training"].tolist() == np.bincount(train.indices, minlength=L).tolist()
    assert table["precision"].mean() == pytest.approx(figures["macro-P@3"])
    assert table["recall"].mean() == pytest.approx(figures["macro-R@3"])
    assert table["F1"].mean() == pytest.approx(figures["macro-F1@3"])
    assert "training" not in metrics.per_label(Y, b, 3)
