"""Figures worked out by hand on four rows that hold every odd case: short, empty and unanswerable rows."""

import math

import numpy as np
import pytest

from ceiba import metrics
from ceiba.metrics import LabelCounts
from ceiba.reference import metrics as reference

TRUE = [{0, 1}, {2}, set(), {1, 2, 3}]
RANKED = [[0, 2, 1], [1, 2], [3, 0, 1], []]
# A = B = 1 and N = 20: C = 2 (ln 20 - 1), so the weights are 1 + C/2, 1 + C/4, 1 + C and 1 + C/8.
TRAIN = LabelCounts([1, 3, 0, 7], n=20)
WEIGHTS = [2.995732273554, 1.997866136777, 4.991464547108, 1.498933068388]
FIGURES = {
    "P@1": 100 * 1 / 4,
    "P@3": 100 * 3 / 12,
    "nDCG@1": 100 * (1 + 0 + 0) / 3,
    "nDCG@3": 51.688351423988,  # (1.5 / 1.63093 + 0.63093 / 1 + 0) / 3
    "R@1": 100 * (1 / 2 + 0 + 0) / 3,
    "R@3": 100 * (2 / 2 + 1 / 1 + 0) / 3,
    "PSP@1": 23.081981944558,  # 2.99573 / (2.99573 + 4.99146 + 4.99146)
    "PSP@3": 54.051244339165,  # 9.98506 / (4.99360 + 4.99146 + 8.48826)
    "PSnDCG@1": 23.081981944558,
    "PSnDCG@3": 51.425415958591,  # 2.44931 + 3.14926, over 2.60969 + 4.99146 + 3.28561
    "coverage@1": 100 * 1 / 4,
    "coverage@3": 100 * 3 / 4,
    "macro-P@1": 100 * (1 + 0 + 0 + 0) / 4,
    "macro-P@3": 100 * (1 / 2 + 1 / 3 + 1 / 2 + 0) / 4,
    "macro-R@1": 100 * (1 + 0 + 0 + 0) / 4,
    "macro-R@3": 100 * (1 + 1 / 2 + 1 / 2 + 0) / 4,
    "macro-F1@1": 100 * (2 / 2 + 0 + 0 + 0) / 4,
    "macro-F1@3": 100 * (2 / 3 + 2 / 5 + 2 / 4 + 0) / 4,
}
SINGLE = {
    "P": metrics.precision_at_k,
    "nDCG": metrics.ndcg_at_k,
    "R": metrics.recall_at_k,
    "PSP": metrics.psp_at_k,
    "PSnDCG": metrics.psndcg_at_k,
    "coverage": metrics.coverage_at_k,
    "macro-P": metrics.macro_precision_at_k,
    "macro-R": metrics.macro_recall_at_k,
    "macro-F1": metrics.macro_f1_at_k,
}


def test_evaluate_gives_the_figures_worked_out_by_hand():
    figures = metrics.evaluate(TRUE, RANKED, ks=(1, 3), Y_train=TRAIN, A=1, B=1)
    assert figures == pytest.approx(FIGURES, abs=1e-9)
    assert list(figures) == list(FIGURES)


def test_the_slow_twin_gives_them_too():
    assert reference.evaluate(TRUE, RANKED, 4, (1, 3), WEIGHTS) == pytest.approx(FIGURES, abs=1e-9)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("k", [1, 3])
def test_each_metric_on_its_own_gives_the_same(name, k):
    propensity = {"Y_train": TRAIN, "A": 1, "B": 1} if name.startswith("PS") else {}
    assert SINGLE[name](TRUE, RANKED, k, **propensity) == pytest.approx(FIGURES[f"{name}@{k}"], abs=1e-9)


def test_propensity_metrics_only_with_training_labels():
    assert not any(name.startswith("PS") for name in metrics.evaluate(TRUE, RANKED))


def test_figures_are_plain_floats_for_the_distinct_ks_in_order():
    figures = metrics.evaluate(TRUE, RANKED, ks=np.array([3, 1, 3]))
    assert list(figures)[:2] == ["P@1", "P@3"]
    assert all(type(value) is float for value in figures.values())
    assert metrics.evaluate(TRUE, RANKED, ks=3)["P@3"] == 25


def test_a_large_k_divides_by_k_whatever_was_returned():
    figures = metrics.evaluate(TRUE, RANKED, ks=1000)
    assert figures["P@1000"] == pytest.approx(100 * 3 / 4000)
    assert figures["R@1000"] == pytest.approx(FIGURES["R@3"])


def test_a_set_without_any_positive_has_figures_of_zero():
    figures = metrics.evaluate([[], []], [[1], [0]], Y_train=[[0], [1]])
    assert set(figures.values()) == {0.0}
    assert set(metrics.evaluate([[], []], [[], []]).values()) == {0.0}


def test_a_repeated_label_and_an_empty_place_are_no_hits_but_keep_their_place():
    once, repeated = [[0, -1, 1]], [[0, 0, 1]]
    for ranked in (once, repeated, np.array(once), np.array(repeated), [[0, None, 1]]):
        figures = metrics.evaluate([[0, 1]], ranked, ks=(2, 3))
        assert figures["P@2"] == 50
        assert figures["nDCG@3"] == pytest.approx(100 * 1.5 / (1 + 1 / math.log2(3)))
        assert figures["macro-P@3"] == 100


def test_a_label_that_training_never_saw_counts_as_missed():
    figures = metrics.evaluate([["a", "new"]], [["a", "b"]], ks=2, Y_train=[["a"], ["b"], ["a"]])
    assert figures["R@2"] == 50
    assert figures["coverage@2"] == 50
    w = reference.inverse_propensity([{0}, {1}, {0}], 3)
    assert figures["PSP@2"] == pytest.approx(100 * w[0] / (w[0] + w[2]))
    scores = np.array([[0.9, 0.1]])
    with_classes = metrics.evaluate([["a", "new"]], scores, ks=2, Y_train=LabelCounts([2, 1], n=3), classes=["a", "b"])
    assert with_classes == figures


def test_inverse_propensity():
    assert metrics.inverse_propensity(TRAIN, A=1, B=1) == pytest.approx(WEIGHTS, abs=1e-9)
    rows = [{0, 2}, {0}, {1, 0}, {2}, set(), {0}]
    expected = reference.inverse_propensity(rows, 3, A=0.5, B=0.4)
    assert metrics.inverse_propensity(rows, A=0.5, B=0.4) == pytest.approx(expected, rel=1e-12)
    # classes gives the order, and a column to labels that no row has
    by_class = metrics.inverse_propensity(rows, A=0.5, B=0.4, classes=[2, 9, 0, 1])
    unseen = reference.inverse_propensity(rows, 4, A=0.5, B=0.4)[3]
    assert by_class == pytest.approx([expected[2], unseen, expected[0], expected[1]], rel=1e-12)


@pytest.mark.parametrize("n", [1, 2])
def test_inverse_propensity_of_one_or_two_rows_is_one(n):
    assert metrics.inverse_propensity(LabelCounts([0, 1], n=n)) == pytest.approx([1, 1])
    assert reference.inverse_propensity([{1}] * n, 2) == [1, 1]
