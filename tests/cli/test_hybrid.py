"""The hybrid model on the command line."""

from __future__ import annotations

import json

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
    done = run("train", data / "train.jsonl", "--model-dir", data / "model", "--include-training-texts")
    assert done.code == 2
    assert "--include-training-texts" in done.err
    assert not (data / "model").exists()


def test_label_texts_that_are_not_there(run, data):
    (data / "labels.jsonl").unlink()
    done = run("train", data / "train.jsonl", "--model-dir", data / "model", "--model", "hybrid", "--label-texts")
    assert done.code == 2
    assert "labels.jsonl" in done.err
