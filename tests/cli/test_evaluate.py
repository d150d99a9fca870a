"""`ceiba evaluate`: the figures of `ceiba.metrics`, from files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ceiba import load, metrics


def read(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["text"] for row in rows], [row["labels"] for row in rows]


def test_figures_are_those_of_the_metrics(run, corpus, model):
    report = run("evaluate", model, corpus / "test.jsonl", "-k", "1", "-k", "4", "--json").json
    fitted, (texts, labels), (_, trained) = load(model), read(corpus / "test.jsonl"), read(corpus / "train.jsonl")
    top, _ = fitted.predict_topk(texts, 4)
    expected = metrics.evaluate(labels, top, (1, 4), trained, classes=fitted.classes_)
    figures = {name: value for name, value in report.items() if "@" in name}
    assert figures == pytest.approx(expected, abs=1e-4)
    assert report["P@1"] > 90
    assert {name: report[name] for name in report if "@" not in name and name not in ("seconds", "by_frequency")} == {
        "n": 80,
        "unknown_labels": 0,
    }
    assert report["seconds"] > 0


def test_ranks_are_1_3_and_5_unless_given(run, corpus, model):
    report = run("evaluate", model, corpus / "test.jsonl", "--json").json
    assert [name for name in report if name.startswith("P@")] == ["P@1", "P@3", "P@5"]


def test_propensity_of_another_set(run, corpus, model):
    default = run("evaluate", model, corpus / "test.jsonl", "-k", "1", "--json").json
    amazon = run("evaluate", model, corpus / "test.jsonl", "-k", "1", "--json", "--propensity", "0.6", "2.6").json
    assert default["PSP@1"] != amazon["PSP@1"]
    assert default["P@1"] == amazon["P@1"]


UNKNOWN = [
    {"text": "harbour violin", "labels": ["harbour", "unheard", "harbour"]},
    {"text": "bakery falcon", "labels": ["unheard", "of", "bakery", "falcon"]},
    {"text": "glacier", "labels": ["of"]},
    {"text": "lantern", "labels": []},
]


def test_labels_the_model_does_not_know_are_positives_that_are_missed(run, corpus, model, write_jsonl, tmp_path):
    path = write_jsonl(tmp_path / "test.jsonl", UNKNOWN[:3])
    report = run("evaluate", model, path, "-k", "2", "--json").json
    assert (report["n"], report["unknown_labels"]) == (3, 4)
    # hits 1, 2 and 0 of 2 places, of 2, 4 and 1 positives
    assert report["P@2"] == 50
    assert report["R@2"] == pytest.approx(100 * (1 / 2 + 2 / 4 + 0) / 3, abs=1e-4)


def test_unknown_labels_count_alike_in_files_lists_and_matrices(run, corpus, model, write_jsonl, tmp_path):
    path = write_jsonl(tmp_path / "test.jsonl", UNKNOWN)
    report = run("evaluate", model, path, "-k", "1", "-k", "5", "--json").json
    figures = {name: value for name, value in report.items() if "@" in name}
    fitted = load(model)
    top, _ = fitted.predict_topk([row["text"] for row in UNKNOWN], 5)
    counts = metrics.LabelCounts(fitted.label_counts_, fitted.n_train_)
    lists = metrics.evaluate([row["labels"] for row in UNKNOWN], top, (1, 5), counts, classes=fitted.classes_)
    assert figures == pytest.approx(lists, abs=1e-4)
    names = [*fitted.classes_, "of", "unheard"]
    matrix = np.array([[float(name in row["labels"]) for name in names] for row in UNKNOWN])
    counts = metrics.LabelCounts([*fitted.label_counts_, 0, 0], fitted.n_train_)
    assert figures == pytest.approx(metrics.evaluate(matrix, top, (1, 5), counts, classes=names), abs=1e-4)


def test_unknown_labels_that_are_numbers(run, tmp_path):
    (tmp_path / "train.svm").write_text("0 1:1\n1 2:1\n2 3:1\n" * 5)
    (tmp_path / "test.svm").write_text("0,7 1:1\n7,9 2:1\n2 3:1\n")
    assert run("train", tmp_path / "train.svm", "--model-dir", tmp_path / "m").code == 0
    report = run("evaluate", tmp_path / "m", tmp_path / "test.svm", "-k", "3", "--json").json
    fitted = load(tmp_path / "m")
    X = np.eye(3, dtype=np.float32)
    expected = metrics.evaluate([[0, 7], [7, 9], [2]], fitted.predict_topk(X, 3)[0], 3, classes=fitted.classes_)
    assert {name: report[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert report["unknown_labels"] == 3
    # the filter takes a pair with an unknown label out of the positives too
    (tmp_path / "filter.txt").write_text("0 2\n")
    assert (
        "filter.txt"
        in run("evaluate", tmp_path / "m", tmp_path / "test.svm", "--filter", tmp_path / "filter.txt").error()
    )


def test_filter_with_unknown_labels(run, tmp_path):
    (tmp_path / "train.txt").write_text("2 2 2\n0 0:1\n1 1:1\n")
    (tmp_path / "test.txt").write_text("2 2 4\n0,3 0:1\n1,2 1:1\n")
    (tmp_path / "filter.txt").write_text("0 3\n1 3\n")
    assert run("train", tmp_path / "train.txt", "--model-dir", tmp_path / "m", "--model", "xr-linear").code == 0
    words = ["evaluate", tmp_path / "m", tmp_path / "test.txt", "-k", "2", "--json"]
    plain, filtered = run(*words).json, run(*words, "--filter", tmp_path / "filter.txt").json
    assert (plain["R@2"], plain["unknown_labels"]) == (50, 2)
    assert (filtered["R@2"], filtered["unknown_labels"]) == (75, 1)


def test_table_for_people(run, corpus, model):
    result = run("evaluate", model, corpus / "test.jsonl", "-k", "1", "-k", "10")
    assert (result.code, result.err) == (0, "")
    report = run("evaluate", model, corpus / "test.jsonl", "-k", "1", "-k", "10", "--json").json
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines() if line.split()}
    for name in ("P", "PSP", "nDCG", "R"):
        assert rows[name] == [f"{report[f'{name}@{k}']:.2f}" for k in (1, 10)]
    assert rows["n"] == ["80"]


def test_filter_leaves_pairs_out_of_answers_and_positives(run, tmp_path):
    """Four items that are rows and labels at once; row 1 must not be given label 1."""
    rows = "4 4 4\n" + "".join(f"{label} {label}:1\n" for label in range(4))
    (tmp_path / "train.txt").write_text(rows)
    (tmp_path / "test.txt").write_text("4 4 4\n0 0:1\n1,2 1:1\n2 2:1\n3 3:1\n")
    (tmp_path / "filter.txt").write_text("1 1\n")
    folder = tmp_path / "m"
    assert (
        run(
            "train",
            tmp_path / "train.txt",
            "--model-dir",
            folder,
            "--model",
            "xr-linear",
            "--set",
            "weight_threshold=0",
        ).code
        == 0
    )
    words = ["evaluate", folder, tmp_path / "test.txt", "-k", "1", "-k", "4", "--json"]
    plain, filtered = run(*words).json, run(*words, "--filter", tmp_path / "filter.txt").json
    assert (plain["P@1"], plain["P@4"]) == (100, 500 / 16)
    assert (filtered["P@1"], filtered["P@4"]) in {(75, 25), (100, 25)}
    (tmp_path / "bad.txt").write_text("9 1\n")
    assert "line 1" in run(*words, "--filter", tmp_path / "bad.txt").error()


def test_filter_of_named_labels_is_an_error(run, corpus, model, tmp_path):
    (tmp_path / "filter.txt").write_text("1 1\n")
    message = run("evaluate", model, corpus / "test.jsonl", "--filter", tmp_path / "filter.txt").error()
    assert "filter.txt" in message


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([{"text": "harbour"}], "label column"),
        ([{"text": "harbour", "labels": [3]}], "type int"),
        ([{"labels": ["harbour"]}], "text column"),
    ],
)
def test_files_that_do_not_fit(run, model, write_jsonl, tmp_path, rows, named):
    assert named in run("evaluate", model, write_jsonl(tmp_path / "test.jsonl", rows)).error()


def test_the_reliability_diagram_is_drawn(run, corpus, model, tmp_path):
    for name, start in (("d.svg", b"<?xml"), ("d.PNG", b"\x89PNG")):
        result = run("evaluate", model, corpus / "test.jsonl", "--plot", tmp_path / name, "--json")
        assert result.code == 0
        assert (tmp_path / name).read_bytes().startswith(start)
        assert "P@1" in result.json
    again = tmp_path / "again.svg"
    run("evaluate", model, corpus / "test.jsonl", "--plot", again)
    assert again.read_bytes() == (tmp_path / "d.svg").read_bytes()


def test_a_drawing_that_cannot_be_is_found_out_before_work(run, corpus, model, tmp_path):
    for name in ("d.pdf", "d", "no-such-folder/d.svg"):
        result = run("evaluate", model, corpus / "test.jsonl", "--plot", tmp_path / name)
        assert name in result.error()
    run(
        "train",
        corpus / "train.jsonl",
        "--model-dir",
        tmp_path / "m",
        "--model",
        "xr-linear",
        "--set",
        "combine=log-sigmoid",
    )
    assert "log-sigmoid" in run("evaluate", tmp_path / "m", corpus / "test.jsonl", "--plot", tmp_path / "d.svg").error()
    assert not (tmp_path / "d.svg").exists()


def test_without_matplotlib_the_extra_is_named(run, corpus, model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = run("evaluate", model, corpus / "test.jsonl", "--plot", tmp_path / "d.svg")
    assert "ceiba[plot]" in result.error()
    assert run("evaluate", model, corpus / "test.jsonl").code == 0


def test_a_model_that_is_not_calibrated_has_no_calibration_error(run, corpus, model):
    assert "ECE" not in run("evaluate", model, corpus / "test.jsonl", "--json").json
