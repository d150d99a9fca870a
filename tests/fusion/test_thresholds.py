"""Thresholds: the best of all, found by a search over every threshold there is."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.errors import InputError
from ceiba.fusion.thresholds import tune_thresholds

OBJECTIVES = ["micro_f1", "macro_f1"]


def problem(seed, n=12, L=4, levels=6, reached=0.7):
    """A few scores with many ties, some right labels that were not reached."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (n, L)) / levels
    found = rng.random((n, L)) < reached
    Y = rng.random((n, L)) < 0.2 + 0.6 * scores
    Y[0, 0] = found[0, 0] = True
    rows, labels = np.nonzero(found)
    S = sp.csr_array((scores[found].astype(np.float32), (rows, labels)), shape=(n, L))
    return S, sp.csr_array(Y.astype(np.float32))


def f1(S, Y, thresholds, objective, n_unknown=0):
    """F1 and precision of what reaches the thresholds, by the definition."""
    S = S.tocoo()
    predicted = np.zeros(Y.shape, bool)
    reach = S.data >= np.broadcast_to(np.asarray(thresholds, np.float32), Y.shape[1])[S.coords[1]]
    predicted[S.coords[0][reach], S.coords[1][reach]] = True
    true = Y.toarray() > 0
    hits = (predicted & true).sum(0)
    precision = hits.sum() / predicted.sum() if predicted.any() else 0.0
    if objective == "micro_f1":
        return 2 * hits.sum() / (predicted.sum() + true.sum() + n_unknown), precision
    total = predicted.sum(0) + true.sum(0)
    return np.mean(np.divide(2 * hits, total, out=np.zeros(len(hits)), where=total > 0)), precision


def candidates(S):
    return [*np.unique(S.data), 2.0]


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), least=st.sampled_from([None, 0.3, 0.6, 0.8]), n_unknown=st.integers(0, 9))
def test_no_common_threshold_is_better(objective, seed, least, n_unknown):
    S, Y = problem(seed)
    tried = [f1(S, Y, t, objective, n_unknown) for t in candidates(S)[:-1]]
    fit = [value for value, precision in tried if least is None or precision >= least - 1e-12]
    if not fit:
        with pytest.raises(InputError, match="min_precision"):
            tune_thresholds(S, Y, objective=objective, min_precision=least, n_unknown=n_unknown)
        return
    found = tune_thresholds(S, Y, objective=objective, min_precision=least, n_unknown=n_unknown)
    value, precision = f1(S, Y, found.threshold, objective, n_unknown)
    assert value == pytest.approx(max(fit))
    assert found.value == pytest.approx(value)
    assert found.precision == pytest.approx(precision)
    assert found.label_thresholds is None


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_without_shrinkage_no_combination_of_label_thresholds_is_better(objective, seed):
    from ceiba.fusion import thresholds

    S, Y = problem(seed, L=3, levels=5)
    best = max(f1(S, Y, combination, objective)[0] for combination in itertools.product(candidates(S), repeat=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thresholds, "SHRINKAGES", (0.0,))
        found = tune_thresholds(S, Y, objective=objective, per_label=True)
    # a label without right rows has the common threshold, which may predict it
    without = np.asarray(Y.sum(0)).ravel() == 0
    own = np.where(without, 2.0, found.label_thresholds)
    assert f1(S, Y, own, objective)[0] == pytest.approx(best)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(8))
def test_label_thresholds_keep_the_precision_asked_for(objective, seed):
    S, Y = problem(seed, n=300, L=20, levels=50)
    found = tune_thresholds(S, Y, objective=objective, per_label=True, min_precision=0.7)
    own = found.threshold if found.label_thresholds is None else found.label_thresholds
    assert f1(S, Y, own, objective)[1] >= 0.7
    assert found.precision >= 0.7


def frequent_and_rare(seed, n=2000, L=60):
    """Labels whose scores mean different things; half of them are rare."""
    rng = np.random.default_rng(seed)
    share = np.where(np.arange(L) < L // 2, 0.2, 0.003)
    shift = rng.uniform(0.1, 0.7, L)
    Y = rng.random((n, L)) < share
    scores = np.clip(shift + 0.15 * rng.standard_normal((n, L)) + 0.3 * Y, 0.001, 1).astype(np.float32)
    return sp.csr_array(scores), sp.csr_array(Y.astype(np.float32))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_label_thresholds_are_better_on_other_rows_where_labels_differ(objective):
    S, Y = frequent_and_rare(0)
    tune, test = slice(0, 1000), slice(1000, 2000)
    common = tune_thresholds(S[tune], Y[tune], objective=objective)
    own = tune_thresholds(S[tune], Y[tune], objective=objective, per_label=True)
    better = f1(S[test], Y[test], own.label_thresholds, objective)[0]
    assert better > f1(S[test], Y[test], common.threshold, objective)[0] + 0.1
    assert np.isfinite(own.shrinkage)


def test_where_all_labels_are_alike_shrinkage_keeps_the_common_threshold_near():
    rng = np.random.default_rng(0)
    scores = rng.random((600, 200)).astype(np.float32) ** 4
    Y = rng.random((600, 200)) < scores
    S, Y = sp.csr_array(scores), sp.csr_array(Y.astype(np.float32))
    common = tune_thresholds(S[:200], Y[:200])
    own = tune_thresholds(S[:200], Y[:200], per_label=True)
    limits = own.threshold if own.label_thresholds is None else own.label_thresholds
    assert f1(S[200:], Y[200:], limits, "micro_f1")[0] > f1(S[200:], Y[200:], common.threshold, "micro_f1")[0] - 0.01


def test_label_thresholds_shrink_more_the_rarer_the_label():
    from ceiba.fusion import thresholds

    S, Y = frequent_and_rare(1)
    found = []
    for shrinkage in (0.0, 10.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(thresholds, "SHRINKAGES", (shrinkage,))
            found.append(tune_thresholds(S, Y, per_label=True))
        assert found[-1].shrinkage == shrinkage
    whole, shrunk = (each.label_thresholds - np.float32(each.threshold) for each in found)
    count = Y.toarray().sum(0)
    assert shrunk == pytest.approx(whole * count / (count + 10), abs=1e-6)


def test_a_label_without_right_rows_has_the_common_threshold():
    S, Y = frequent_and_rare(2)
    Y = sp.csr_array(Y.toarray() * (np.arange(60) != 5))
    found = tune_thresholds(S, Y, per_label=True)
    assert found.label_thresholds[5] == np.float32(found.threshold)


def test_missed_labels_lower_the_best_threshold():
    S, Y = problem(3, n=200, L=10, levels=100)
    assert tune_thresholds(S, Y, n_unknown=2000).threshold < tune_thresholds(S, Y).threshold
    assert tune_thresholds(S, Y, n_unknown=2000).recall < tune_thresholds(S, Y).recall


def test_scores_may_be_logarithms_and_minus_infinity_is_none():
    S, Y = problem(4, n=200, L=10, levels=100)
    S.data += np.float32(0.001)
    logs = S.copy()
    logs.data = np.log(S.data)
    plain, log = tune_thresholds(S, Y), tune_thresholds(logs, Y)
    assert log.value == plain.value
    assert ((S.data >= np.float32(plain.threshold)) == (logs.data >= np.float32(log.threshold))).all()
    logs.data[:] = np.where(logs.data < np.float32(log.threshold), -np.inf, logs.data)
    assert tune_thresholds(logs, Y).value == plain.value


def test_reached_says_which_pairs_are_predicted():
    S, Y = frequent_and_rare(0)
    for per_label in (False, True):
        found = tune_thresholds(S, Y, per_label=per_label)
        own = found.threshold if found.label_thresholds is None else found.label_thresholds
        kept = sp.csr_array((found.reached(S.indices, S.data), S.indices, S.indptr), shape=S.shape).toarray()
        assert (kept == (S.toarray() >= np.asarray(own, np.float32))).all()
        assert found.least <= found.threshold


def test_the_curve_says_what_thresholds_give():
    S, Y = problem(5, n=300, L=20, levels=1000)
    curve = tune_thresholds(S, Y).curve
    assert (np.diff(curve.thresholds) < 0).all()
    assert (np.diff(curve.recall) >= 0).all()
    assert len(curve.thresholds) <= 200
    for i in (0, len(curve.thresholds) // 2, -1):
        predicted = S.data >= curve.thresholds[i]
        value, precision = f1(S, Y, curve.thresholds[i], "micro_f1")
        assert curve.precision[i] == pytest.approx(precision)
        assert curve.f1[i] == pytest.approx(value)
        assert curve.labels_per_row[i] == pytest.approx(predicted.sum() / 300)
    at = curve.threshold_for(0.6)
    assert f1(S, Y, at, "micro_f1")[1] >= 0.6
    with pytest.raises(InputError, match="precision"):
        curve.threshold_for(1.0)


def test_a_threshold_lies_between_two_scores():
    S = sp.csr_array(np.array([[0.9, 0.4, 0.2], [0.6, 0.3, 0.1]], np.float32))
    Y = sp.csr_array(np.array([[1, 0, 0], [1, 0, 0]]))
    assert tune_thresholds(S, Y).threshold == 0.5
    near = np.nextafter(np.float32(0.6), np.float32(0))
    S = sp.csr_array(np.array([[0.6, near]], np.float32))
    found = tune_thresholds(S, sp.csr_array([[1, 0]]))
    assert found.value == 1.0
    assert found.reached(S.indices, S.data).tolist() == [True, False]


def test_bad_input_is_one_clear_error():
    S, Y = problem(0)
    with pytest.raises(InputError, match="right label"):
        tune_thresholds(S, sp.csr_array(Y.shape))
    with pytest.raises(InputError, match="right label"):
        tune_thresholds(sp.csr_array(Y.shape, dtype=np.float32), Y)
    with pytest.raises(InputError, match="shape"):
        tune_thresholds(S, Y[:5])
    with pytest.raises(InputError, match="objective"):
        tune_thresholds(S, Y, objective="f1")
    for least in (0, 1.5, "0.5"):
        with pytest.raises(InputError, match="min_precision"):
            tune_thresholds(S, Y, min_precision=least)
    S.data[0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        tune_thresholds(S, Y)
