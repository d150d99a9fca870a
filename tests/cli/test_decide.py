"""`ceiba calibrate`, `ceiba tune-thresholds` and `ceiba set-filters`: what a saved model is told."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ceiba import load


@pytest.fixture
def own(model, tmp_path):
    """A copy of the model that a test may change."""
    return shutil.copytree(model, tmp_path / "own")


def test_calibrate_replaces_the_model(run, corpus, own):
    before = load(own)
    report = run("calibrate", own, corpus / "test.jsonl", "--threads", "1", "--json").json
    assert report["rows"] == 80
    assert report["method"] == "sigmoid"
    assert report["ECE_after"] < report["ECE_before"]
    assert report["log_loss_after"] < report["log_loss_before"]
    after = load(own)
    assert after.gives_probabilities
    assert after.get_params()["n_jobs"] == before.get_params()["n_jobs"]
    texts = ["harbour violin history"]
    assert (after.predict_topk(texts)[0] == before.predict_topk(texts)[0]).all()
    measured = run("evaluate", own, corpus / "test.jsonl", "-k", "5", "--json").json
    assert measured["ECE"] == pytest.approx(report["ECE_after"], abs=1e-4)
    assert measured["log_loss"] == pytest.approx(report["log_loss_after"], abs=1e-4)
    facts = run("inspect", own, "--json").json
    assert facts["calibration"] == "sigmoid"
    assert "ECE_after" in run("calibrate", own, corpus / "test.jsonl", "--method", "isotonic").out
    assert "isotonic" in run("inspect", own).out


def test_tune_thresholds_into_another_folder(run, corpus, model, own, tmp_path):
    given = [corpus / "test.jsonl", "--output-dir", tmp_path / "tuned", "--json"]
    report = run("tune-thresholds", model, *given).json
    assert load(model).thresholds_ is None
    fitted = load(tmp_path / "tuned")
    assert report["threshold"] == pytest.approx(fitted.thresholds_.threshold, abs=1e-6)
    assert report["micro_f1"] == pytest.approx(fitted.thresholds_.value, abs=1e-6)
    assert run("inspect", tmp_path / "tuned", "--json").json["threshold"] == fitted.thresholds_.threshold
    assert "--output-dir" in run("tune-thresholds", model, *given).error()
    run("calibrate", own, corpus / "test.jsonl")
    options = ["--objective", "macro_f1", "--per-label", "--min-precision", "0.5"]
    report = run("tune-thresholds", own, corpus / "test.jsonl", *options, "--json").json
    assert {"macro_f1", "precision", "recall", "per_label"} <= report.keys()
    assert report["precision"] >= 0.5
    calibrator = load(own).calibrator_
    assert report["probability"] == pytest.approx(calibrator.probability(np.array([report["threshold"]]))[0], abs=1e-4)


def test_bad_input_is_one_clear_error(run, corpus, own, write_jsonl, tmp_path):
    for words, name in (
        (["calibrate", own, corpus / "test.jsonl", "--method", "platt"], "method"),
        (["tune-thresholds", own, corpus / "test.jsonl", "--objective", "f1"], "objective"),
        (["tune-thresholds", own, corpus / "test.jsonl", "--min-precision", "2"], "min_precision"),
        (["calibrate", own, tmp_path / "none.jsonl"], "none.jsonl"),
        (["calibrate", tmp_path / "none", corpus / "test.jsonl"], "none"),
    ):
        assert name in run(*words).error()
    path = write_jsonl(tmp_path / "unknown.jsonl", [{"text": "harbour", "labels": ["unheard"]}])
    for command in ("calibrate", "tune-thresholds"):
        assert "y: " in run(command, own, path).error()
    assert not load(own).gives_probabilities


def test_filters_are_kept_with_a_model(run, corpus, own, tmp_path):
    (tmp_path / "denied.txt").write_text("violin\nharbour\n")
    (tmp_path / "allowed.txt").write_text("violin\nbakery\nfalcon\n")
    report = run("set-filters", own, "--denied", tmp_path / "denied.txt", "--json").json
    assert report == {"model_dir": str(own), "labels": 50, "denied": 2}
    answers = run("predict", own, corpus / "test.jsonl").lines
    assert not {"violin", "harbour"} & {label for answer in answers for label in answer["labels"]}
    assert run("inspect", own, "--json").json["denied_labels"] == 2
    other = tmp_path / "other"
    both = ["--denied", tmp_path / "denied.txt", "--allowed", tmp_path / "allowed.txt", "--output-dir", other]
    assert "allowed" in run("set-filters", own, *both).out
    answers = run("predict", other, corpus / "test.jsonl").lines
    assert {label for answer in answers for label in answer["labels"]} == {"bakery", "falcon"}
    assert load(own).allowed_labels_ is None
    assert run("set-filters", other).code == 0
    assert (load(other).allowed_labels_, load(other).denied_labels_) == (None, None)


def test_filters_that_cannot_be_kept_change_nothing(run, own, tmp_path):
    before = load(own).predict_topk(["harbour"])[0].tolist()
    path = tmp_path / "labels.txt"
    for content, named in (("harbour\nunheard\n", "line 2"), ("\n", "--allowed")):
        path.write_text(content)
        assert named in run("set-filters", own, "--allowed", path).error()
    assert "--denied" in run("set-filters", own, "--denied", tmp_path / "none").error()
    assert load(own).predict_topk(["harbour"])[0].tolist() == before
