"""Probabilities and thresholds of fitted models: learned, used, saved."""

import json
import threading
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from ceiba import XRLinear, load, metrics
from ceiba.errors import CalibrationWarning, InputError, InputTypeError, ModelFormatError
from ceiba.io import current_generation

L = 40


def documents(n, seed):
    """Rows whose features hint at their labels."""
    rng = np.random.default_rng(seed)
    Y = rng.random((n, L)) < np.where(np.arange(L) < 10, 0.15, 0.03)
    hints = Y @ np.random.default_rng(0).normal(size=(L, 60)) + rng.normal(size=(n, 60)) * 0.8
    X = sp.csr_array((hints * (np.abs(hints) > 0.5)).astype(np.float32))
    return X, [np.flatnonzero(row).tolist() for row in Y]


@pytest.fixture(scope="module")
def sets():
    return documents(900, 1), documents(500, 2), documents(500, 3)


def fitted(sets, **params):
    (X, Y), _, _ = sets
    given = {"max_leaf_size": 8, "branching_factor": 4, "n_jobs": 1, **params}
    return XRLinear(**given).fit(X, Y, classes=None)


@pytest.fixture(scope="module")
def model(sets):
    return fitted(sets)


@pytest.fixture
def own(sets, model):
    """A model that a test may change."""
    copy = clone(model)
    copy.restore(model.model_, {})
    return copy


def micro_f1(model, X, Y):
    predicted = model.predict(X).toarray() > 0
    true = np.zeros(predicted.shape, bool)
    for row, labels in enumerate(Y):
        true[row, np.searchsorted(model.classes_, labels)] = True
    return 2 * (predicted & true).sum() / (predicted.sum() + true.sum())


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("combine", ["l3-hinge", "log-l3-hinge", "sigmoid"])
def test_calibrated_scores_are_probabilities_in_the_same_order(sets, method, combine):
    _, (X_val, Y_val), (X, Y) = sets
    model = fitted(sets, combine=combine)
    labels, raw = model.predict_topk(X, 5)
    before = model.predict_proba(X, 5)
    assert not model.gives_probabilities
    assert model.calibrate(X_val, Y_val, method) is model
    assert model.gives_probabilities
    same, p = model.predict_topk(X, 5)
    assert (same == labels).all()
    assert (np.diff(p, axis=1) <= 0).all()
    after = model.predict_proba(X, 5)
    assert after.dtype == np.float32
    for row in (0, 7):
        stored = dict(zip(model.classes_[after[[row]].indices].tolist(), after[[row]].data.tolist(), strict=True))
        assert stored == dict(zip(labels[row].tolist(), p[row].tolist(), strict=True))
    ece = [metrics.expected_calibration_error(Y, each, classes=model.classes_) for each in (before, after)]
    assert ece[1] < max(0.03, ece[0])
    loss = [metrics.log_loss(Y, each, classes=model.classes_) for each in (before, after)]
    assert loss[1] < loss[0]
    decided = model.decision_function(X, 5)
    kept = model.decision_function(X, 5).toarray()
    assert kept[0, np.searchsorted(model.classes_, labels[0].tolist())] == pytest.approx(raw[0])
    assert decided.shape == after.shape


def test_labels_that_are_not_reached_have_no_probability(own, sets):
    _, (X_val, Y_val), (X, _) = sets
    own.set_params(beam_size=1).calibrate(X_val, Y_val)
    labels, p = own.predict_topk(X, L)
    assert (p[labels == None] == -np.inf).all()  # noqa: E711
    assert (own.predict_proba(X).toarray() >= 0).all()
    assert own.predict_proba(X).nnz == (labels != None).sum()  # noqa: E711


def test_given_labels_are_scored_by_their_probability(own, sets):
    _, (X_val, Y_val), (X, _) = sets
    own.calibrate(X_val, Y_val)
    labels, p = own.predict_topk(X, 5, beam_size=10**6)
    for row, scores in enumerate(own.score_labels(X, labels.tolist())):
        assert scores == pytest.approx(p[row], abs=1e-6)


@pytest.mark.parametrize("combine", ["l3-hinge", "log-l3-hinge", "sigmoid"])
@pytest.mark.parametrize("method", [None, "sigmoid", "isotonic"])
def test_tuned_thresholds_count_in_predict(sets, combine, method):
    _, (X_val, Y_val), (X, Y) = sets
    model = fitted(sets, combine=combine)
    before = micro_f1(model, X, Y)
    if method is not None:
        model.calibrate(X_val, Y_val, method)
    model.tune_thresholds(X_val, Y_val)
    found = model.thresholds_
    assert micro_f1(model, X_val, Y_val) == pytest.approx(found.value)
    assert micro_f1(model, X, Y) > before - 0.01
    assert micro_f1(model, X, Y) == pytest.approx(found.value, abs=0.05)
    if method is None:  # thresholds stay what they are when the model is calibrated
        predicted = model.predict(X)
        model.calibrate(X_val, Y_val)
        assert (model.predict(X) != predicted).nnz == 0


def test_thresholds_of_labels_and_of_a_least_precision(own, sets):
    _, (X_val, Y_val), (X, _) = sets
    own.tune_thresholds(X_val, Y_val, objective="macro_f1", per_label=True)
    assert own.thresholds_.label_thresholds.shape == (L,)
    scores = own.decision_function(X).toarray()
    assert ((own.predict(X).toarray() > 0) == (scores >= own.thresholds_.label_thresholds)).all()
    own.tune_thresholds(X_val, Y_val, min_precision=0.9)
    predicted = own.predict(X_val).toarray() > 0
    true = np.zeros(predicted.shape, bool)
    for row, labels in enumerate(Y_val):
        true[row, labels] = True
    assert (predicted & true).sum() / predicted.sum() >= 0.9


def test_what_a_user_sets_counts_more_than_what_was_tuned(own, sets):
    _, (X_val, Y_val), (X, _) = sets
    default = own.predict(X)
    assert (own.set_params(prediction_threshold=0.5).predict(X) != default).nnz == 0
    with pytest.warns(UserWarning, match="prediction_threshold"):
        own.tune_thresholds(X_val, Y_val)
    assert (own.predict(X) != default).nnz == 0
    own.set_params(prediction_threshold="tuned")
    tuned = own.predict(X)
    assert (tuned != default).nnz > 0
    own.calibrate(X_val, Y_val)
    assert (own.predict(X) != tuned).nnz == 0
    own.set_params(prediction_threshold=0.3)  # of a calibrated model, a probability
    p = own.predict_proba(X).toarray()
    assert ((own.predict(X).toarray() > 0) == (p >= np.float32(0.3))).all()
    for limit, expected in ((0, own.predict_proba(X).nnz), (1, 0)):
        assert own.set_params(prediction_threshold=limit).predict(X).nnz == expected


def test_what_was_learned_is_saved_and_loaded(own, sets, tmp_path):
    _, (X_val, Y_val), (X, _) = sets
    for method, per_label in (("sigmoid", False), ("isotonic", True)):
        own.calibrate(X_val, Y_val, method).tune_thresholds(X_val, Y_val, per_label=per_label, objective="macro_f1")
        own.save(tmp_path / "m")
        again = load(tmp_path / "m")
        assert again.gives_probabilities
        assert (again.predict(X) != own.predict(X)).nnz == 0
        assert (again.predict_topk(X)[1] == own.predict_topk(X)[1]).all()
        for name in ("threshold", "objective", "value", "precision", "recall", "shrinkage"):
            assert getattr(again.thresholds_, name) == getattr(own.thresholds_, name)
        assert (again.thresholds_.curve.precision == own.thresholds_.curve.precision).all()


def test_a_damaged_decision_is_refused(own, sets, tmp_path):
    from ceiba.io.tensors import read_tensors, write_tensors

    _, (X_val, Y_val), _ = sets
    own.calibrate(X_val, Y_val).tune_thresholds(X_val, Y_val, per_label=True, objective="macro_f1").save(tmp_path / "m")
    generation = current_generation(tmp_path / "m")
    arrays = read_tensors(generation / "decision.safetensors", mmap=False)
    decision = json.loads((generation / "model.json").read_text())["model"]["decision"]
    assert decision["calibrator"] == "sigmoid"
    for name in arrays:
        write_tensors(generation / "decision.safetensors", {**arrays, name: arrays[name][:-1]})
        with pytest.raises(ModelFormatError, match="decision"):
            load(tmp_path / "m", verify=False)


def test_calls_under_way_end_on_the_model_they_began_with(own, sets):
    _, (X_val, Y_val), (X, _) = sets
    raw = own.predict_topk(X, 5)[1]
    own.calibrate(X_val, Y_val)
    sigmoid = own.predict_topk(X, 5)[1]
    own.calibrate(X_val, Y_val, "isotonic")
    known = [raw.tobytes(), sigmoid.tobytes(), own.predict_topk(X, 5)[1].tobytes()]
    wrong, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            if own.predict_topk(X, 5)[1].tobytes() not in known:
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        own.calibrate(X_val, Y_val)
        own.calibrate(X_val, Y_val, "isotonic")
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_new_fit_forgets_what_was_learned(sets):
    (X, Y), (X_val, Y_val), _ = sets
    model = fitted(sets).calibrate(X_val, Y_val).tune_thresholds(X_val, Y_val)
    model.fit(X, Y)
    assert not model.gives_probabilities
    assert model.thresholds_ is None
    assert model.calibrator_ is None


def test_scores_combined_in_another_way_are_an_error(own, sets):
    _, (X_val, Y_val), (X, _) = sets
    own.tune_thresholds(X_val, Y_val)
    own.set_params(combine="sigmoid")
    with pytest.raises(InputError, match="combine"):
        own.predict(X)
    own.predict_topk(X)
    own.set_params(combine="log-l3-hinge").predict(X)
    own.calibrate(X_val, Y_val).set_params(combine="l1-hinge")
    for method in (own.predict_topk, own.predict_proba, own.predict):
        with pytest.raises(InputError, match="combine"):
            method(X)


def test_probabilities_of_a_model_that_was_not_calibrated_are_warned_of(own, sets):
    _, (X_val, Y_val), (X, _) = sets
    with pytest.warns(CalibrationWarning, match="calibrate") as warned:
        before = own.predict_proba(X, 3)
    assert warned[0].filename == __file__
    assert before.nnz == 3 * X.shape[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own.predict_topk(X, 3)
        own.decision_function(X, 3)
        own.predict(X)
        own.calibrate(X_val, Y_val).predict_proba(X, 3)


def test_unknown_labels_count_as_missed(own, sets):
    _, (X_val, Y_val), _ = sets
    own.tune_thresholds(X_val, Y_val)
    known = own.thresholds_
    own.tune_thresholds(X_val, [[*row, 999, 998] for row in Y_val])
    assert own.thresholds_.recall < known.recall
    assert own.thresholds_.threshold <= known.threshold


def test_bad_input_is_one_clear_error(own, sets):
    _, (X_val, Y_val), _ = sets
    before = own.model_
    for method in (own.calibrate, own.tune_thresholds):
        with pytest.raises(InputError, match="rows"):
            method(X_val, Y_val[:5])
        with pytest.raises(InputError, match="right label"):
            method(X_val, [[] for _ in Y_val])
        with pytest.raises(InputTypeError, match="'y'"):
            method(X_val, labels=Y_val)
    with pytest.raises(InputError, match="method"):
        own.calibrate(X_val, Y_val, "platt")
    with pytest.raises(InputError, match="objective"):
        own.tune_thresholds(X_val, Y_val, objective="f1")
    with pytest.raises(InputError, match="min_precision"):
        own.tune_thresholds(X_val, [[] for _ in Y_val[:-1]] + [[0]], min_precision=1.0, objective="micro_f1")
    with pytest.raises(InputError, match="min_precision"):
        own.tune_thresholds(X_val, Y_val, min_precision=2)
    assert own.model_ is before


@pytest.mark.parametrize("method", ["calibrate", "tune_thresholds"])
@pytest.mark.parametrize(
    "bad",
    [
        [["red"]] * 2,
        "red",
        None,
        3,
        [[1]] * 4,
        [["red"], ["red"], ["red"], [None]],
        [["red"], ["red"], ["red"], 3],
        np.ones((4, 9)),
        -np.ones((4, 2)),
        np.full((4, 2), np.nan),
        [["blue"]] * 4,
        [[]] * 4,
    ],
)
def test_labels_that_cannot_be_used_are_called_y(method, bad):
    texts = ["red car", "green apple", "red apple", "green car"]
    model = XRLinear(n_jobs=1).fit(texts, [["red"], ["green"], ["red"], ["green"]])
    with pytest.raises((InputError, InputTypeError), match=r"^y\b"):
        getattr(model, method)(texts, bad)


@pytest.mark.parametrize("learn", ["calibrate", "tune_thresholds"])
def test_labels_that_the_model_does_not_know_are_said_to_be_unknown(learn):
    model = XRLinear().fit(["red apple", "fast car"], [["fruit"], ["vehicle"]])
    with pytest.raises(InputError, match=r"y: .*classes"):
        getattr(model, learn)(["an apple"], [["Fruit"]])
