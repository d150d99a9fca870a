"""The hybrid model on the command line."""

from __future__ import annotations

import json
import re

import pytest

from ceiba import load

ROWS = [
    {"text": f"{a} {b} number{i}", "labels": [label]}
    for i in range(12)
    for a, b, label in (("red", "apple", "fruit"), ("fast", "car", "vehicle"), ("small", "kitten", "animal"))
]
NAMES = [("fruit", "apple"), ("vehicle", "car"), ("animal", "kitten"), ("ship", "sailing ship"), ("nameless", " ")]


@pytest.fixture
def data(tmp_path):
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    names = [{"label": label, "text": text} for label, text in NAMES]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in names))
    return tmp_path


def test_trained_asked_measured_and_inspected(run, data):
    folder = data / "model"
    given = ["--model", "hybrid", "--label-texts", "--set", "fusion=logistic", "--json"]
    report = json.loads(run("train", data / "train.jsonl", "--model-dir", folder, *given).out)
    assert report["model"] == "HybridClassifier"
    assert report["labels"] == 4  # those of the rows, and the one that has a text only
    assert "label-words" in report["sources"]
    (data / "asked.txt").write_text("an old sailing ship\n")
    answer = json.loads(run("predict", folder, data / "asked.txt", "-k", "1").out)
    assert answer["labels"] == ["ship"]
    assert answer["texts"] == ["sailing ship"]
    figures = json.loads(run("evaluate", folder, data / "train.jsonl", "--json").out)
    assert figures["P@1"] == 100
    assert report["training_texts"] is False
    facts = json.loads(run("inspect", folder, "--json").out)
    assert (facts["sources"], facts["training_texts"]) == (report["sources"], False)
    assert load(folder).gives_probabilities


def test_training_texts_are_kept_when_asked_for(run, data):
    given = ["--model-dir", data / "model", "--include-training-texts", "--set", "fusion=logistic", "--json"]
    report = json.loads(run("train", data / "train.jsonl", "--model", "hybrid", *given).out)
    assert report["training_texts"] is True
    assert json.loads(run("inspect", data / "model", "--json").out)["training_texts"] is True
    found = load(data / "model").explain("red apple number3", "fruit").training_texts
    assert found[0].text == "red apple number3"


def test_training_texts_of_a_model_that_keeps_none(run, data):
    words = ["--model", "xr-linear", "--include-training-texts"]
    done = run("train", data / "train.jsonl", "--model-dir", data / "model", *words)
    assert done.code == 2
    assert "--include-training-texts" in done.err
    assert not (data / "model").exists()


def test_label_texts_that_are_not_there(run, data):
    (data / "labels.jsonl").unlink()
    done = run("train", data / "train.jsonl", "--model-dir", data / "model", "--model", "hybrid", "--label-texts")
    assert done.code == 2
    assert "labels.jsonl" in done.err


def test_the_model_that_is_trained_by_default(run, data):
    given = ["--set", "fusion=logistic", "--json"]
    report = run("train", data / "train.jsonl", "--model-dir", data / "model", *given).json
    assert (report["model"], report["sources"]) == ("HybridClassifier", ["linear", "neighbors"])
    named = run("train", data / "train.jsonl", "--model-dir", data / "named", "--model", "hybrid", *given).json
    assert named["sources"] == report["sources"]
    assert load(data / "model").predict(["a red apple"]).nnz == 1


def test_features_have_the_sources_that_need_no_texts(run, tmp_path):
    train = "".join(f"{label} {label + 1}:1 {8 + i % 3}:0.5\n" for i in range(10) for label in range(6))
    (tmp_path / "train.svm").write_text(train)
    (tmp_path / "test.svm").write_text("2 3:1\n4 5:1\n")
    report = run("train", tmp_path / "train.svm", "--model-dir", tmp_path / "m", "--json").json
    assert report["model"] == "HybridClassifier"
    assert set(report["sources"]) - {"class-words"} == {"linear", "neighbors"}  # these where LightGBM is installed
    answers = run("predict", tmp_path / "m", tmp_path / "test.svm", "-k", "1").lines
    assert [answer["labels"] for answer in answers] == [[2], [4]]


@pytest.mark.parametrize(
    "rows",
    [
        [("a b", ["x"]), ("c", ["y"])],
        [("a b", ["x"])] * 5,
        [(f"a word{i}", [f"label{i}"]) for i in range(9)],
    ],
)
def test_rows_that_a_fusion_cannot_learn_from_name_the_model_that_can(run, tmp_path, rows):
    lines = [json.dumps({"text": text, "labels": labels}) for text, labels in rows]
    (tmp_path / "few.jsonl").write_text("\n".join(lines))
    words = ["train", tmp_path / "few.jsonl", "--model-dir", tmp_path / "m"]
    assert "XRLinear" in run(*words).error()
    assert not (tmp_path / "m").exists()
    assert run(*words, "--model", "xr-linear").code == 0


def test_a_model_without_trees_of_all_labels_says_so(run, data):
    run("train", data / "train.jsonl", "--model-dir", data / "model", "--set", "fusion=logistic")
    for option in ("--tree", "--most-overlapped"):
        assert option in run("inspect", data / "model", option).error()


def test_a_tuned_encoder_as_a_source(run, data, tiny_encoder):
    folder = data / "model"
    given = ["--base", "xr-transformer", "--encoder", tiny_encoder, "--set", "fusion=logistic", "--threads", "1"]
    given += ["--set", "base__steps=2", "--set", "base__max_length=16", "--set", "base__matcher_leaf_size=3"]
    report = json.loads(run("train", data / "train.jsonl", "--model-dir", folder, *given, "--json").out)
    assert report["model"] == "HybridClassifier"
    assert "transformer" in report["sources"]
    shown = json.loads(run("inspect", folder, "--json").out)
    assert "transformer-means" in shown["sources"]
    assert load(folder).base.steps == 2
    assert json.loads(run("evaluate", folder, data / "train.jsonl", "--json").out)["P@1"] > 80
    (data / "asked.txt").write_text("a fast car\n")
    assert len(json.loads(run("predict", folder, data / "asked.txt", "-k", "1").out)["labels"]) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--base", "hybrid"], "--base.*xr-linear"),
        (["--base", "tree"], "no model 'tree'"),
        (["--base", "xr-linear", "--model", "xr-linear"], "--base is for a hybrid model"),
        (["--base", "xr-linear", "--set", "base__D=1"], "XRLinear has no parameter 'D'"),
        (["--set", "base__C=1"], "--set base__C.*--base"),
        (["--base", "xr-linear", "--set", "base=none"], "base"),
        (["--base", "xr-linear", "--encoder", "folder"], "frozen:"),
    ],
)
def test_what_a_base_cannot_be(run, data, given, words):
    done = run("train", data / "train.jsonl", "--model-dir", data / "model", *given)
    assert done.code == 2
    assert re.search(words, " ".join(done.err.split()))
    assert not (data / "model").exists()


def test_filters_may_name_a_label_that_has_a_text_only(run, data):
    (data / "denied.txt").write_text("ship\n")
    words = ["train", data / "train.jsonl", "--set", "fusion=logistic", "--denied", data / "denied.txt"]
    assert "'ship'" in run(*words, "--model-dir", data / "none").err
    assert run(*words, "--label-texts", "--model-dir", data / "model").code == 0
    (data / "asked.txt").write_text("an old sailing ship\n")
    (answer,) = run("predict", data / "model", data / "asked.txt").lines
    assert "ship" not in answer["labels"]
