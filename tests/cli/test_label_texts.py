"""Models that know a text for each label: answers and `ceiba inspect` show it beside the label."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from pyarrow import parquet

from ceiba import XRLinear, load

SMALL = ("--model", "xr-linear", "--threads", "1", "--set", "max_leaf_size=4", "--seed", "1")
TEXTS = {
    "h1": "harbour works",
    "o2": "orchard care",
    "g3": "glacier, [old] ice",
    "v4": "violin\nmaking",
    "b5": "bakery",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coded")
    rows = [{"text": f"{text} {i % 3}", "labels": [label]} for i in range(6) for label, text in TEXTS.items()]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = [{"label": label, "text": text} for label, text in TEXTS.items() if label != "b5"]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    return folder


KNOWN = {**TEXTS, "b5": "b5"}  # a label without a row in labels.jsonl is called by its name


@pytest.fixture
def coded(run, folder, tmp_path):
    words = ["train", folder / "train.jsonl", "--model-dir", tmp_path / "m", "--label-texts", "--json", *SMALL]
    assert run(*words).code == 0
    return tmp_path / "m"


def test_model_keeps_label_texts(coded, tmp_path):
    model = load(coded)
    assert dict(zip(model.classes_.tolist(), model.label_texts_.tolist(), strict=True)) == KNOWN
    model.save(tmp_path / "again")
    assert load(tmp_path / "again").label_texts_.tolist() == model.label_texts_.tolist()


def test_model_without_label_texts(model, run, folder, tmp_path):
    assert load(model).label_texts_ is None
    assert run("train", folder / "train.jsonl", "--model-dir", tmp_path / "m", "--json", *SMALL).code == 0
    assert load(tmp_path / "m").label_texts_ is None


@pytest.mark.parametrize("given", [list, np.array, lambda texts: dict(zip("abc", texts, strict=True))])
def test_estimator_keeps_what_it_was_given(given, tmp_path):
    texts = ["one", "two", ""]
    model = XRLinear().fit(["x y", "y z", "z w"], [["a"], ["b"], ["c"]], label_texts=given(texts))
    assert model.label_texts_.tolist() == texts
    model.save(tmp_path / "m")
    assert load(tmp_path / "m").label_texts_.tolist() == texts
    assert model.fit(["x y", "y z"], [["a"], ["b"]]).label_texts_ is None


def test_json_lines(run, coded, folder, tmp_path):
    answers = run("predict", coded, folder / "train.jsonl", "-k", "2").lines
    assert all(list(answer) == ["labels", "texts", "scores"] for answer in answers)
    assert all(answer["texts"] == [KNOWN[label] for label in answer["labels"]] for answer in answers)
    assert answers[0]["texts"][0] == "harbour works"
    with_text = run("predict", coded, folder / "train.jsonl", "--with-text").lines[0]
    assert list(with_text) == ["text", "labels", "texts", "scores"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_tables(run, coded, folder, tmp_path, name):
    assert run("predict", coded, folder / "train.jsonl", "-k", "1", "-o", tmp_path / name).code == 0
    if name == "a.csv":
        rows = list(csv.DictReader((tmp_path / name).open(newline="")))
        assert list(rows[0]) == ["labels", "texts", "scores"]
        assert [json.loads(row["texts"]) for row in rows[:3]] == [["harbour works"], ["orchard care"], [TEXTS["g3"]]]
        return
    table = parquet.read_table(tmp_path / name)
    assert table.column_names == ["labels", "texts", "scores"]
    assert table.column("texts").to_pylist()[0] == ["harbour works"]


def test_answers_for_people(run, coded, folder, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    run("predict", coded, folder / "train.jsonl", "-k", "1")
    lines = [line for line in terminal.getvalue().splitlines() if line.startswith("  ")]
    assert lines[0].split()[1:] == ["h1", "harbour", "works"]
    assert all(len(line.splitlines()) == 1 for line in lines)
    assert any("v4" in line and "violin making" in line for line in lines)


def test_inspect(run, coded):
    place = run("inspect", coded, "--label", "g3", "--json").json["label"]
    assert (place["name"], place["text"]) == ("g3", TEXTS["g3"])
    for where in place["places"]:
        assert where["neighbour_texts"] == [KNOWN[label] for label in where["neighbours"]]
    shown = run("inspect", coded, "--label", "g3").out
    assert "g3" in shown
    assert TEXTS["g3"] in shown
    assert "harbour works" in run("inspect", coded, "--tree", "--depth", "9").out
    assert run("inspect", coded, "--json").json["label_texts"] is True


def test_inspect_finds_labels_by_their_texts(run, coded):
    message = run("inspect", coded, "--label", "Orchard").error()
    assert "o2" in message


def test_numbered_labels(run, tmp_path):
    rows = [
        {"title": f"{word} {i}", "content": "", "target_ind": [label]}
        for i in range(4)
        for label, word in enumerate(("red", "blue"))
    ]
    (tmp_path / "trn.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "lbl.json").write_text('{"title": "Red things"}\n{"title": "Blue things"}\n')
    words = ["train", tmp_path / "trn.json", "--model-dir", tmp_path / "m", "--label-texts", "--json", "--threads", "1"]
    assert run(*words).code == 0
    (tmp_path / "in.txt").write_text("blue\n")
    answer = run("predict", tmp_path / "m", tmp_path / "in.txt", "-k", "1").lines[0]
    assert (answer["labels"], answer["texts"]) == ([1], ["Blue things"])
    assert run("inspect", tmp_path / "m", "--label", "1", "--json").json["label"]["text"] == "Blue things"
