"""``ceiba compare``, and what ``ceiba evaluate`` says of rare labels and of each label."""

from __future__ import annotations

import csv
import json

import pytest

from ceiba import load, metrics
from ceiba.data import read

SETTINGS = ("--model", "xr-linear", "--threads", "1", "--json")


@pytest.fixture(scope="module")
def other(corpus, tmp_path_factory):
    """A model of a few of the documents, which does not know all labels."""
    from ceiba.cli import main

    folder = tmp_path_factory.mktemp("other")
    rows = (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()[:40]
    (folder / "few.jsonl").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(["train", str(folder / "few.jsonl"), "--model-dir", str(folder / "m"), *SETTINGS])
    assert end.value.code == 0
    return folder / "m"


def test_compare_gives_the_figures_of_evaluate(run, corpus, model, other):
    found = run("compare", other, model, corpus / "test.jsonl", "-k", "3", "--json").json
    for folder, side in ((other, "a"), (model, "b")):
        figures = run("evaluate", folder, corpus / "test.jsonl", "-k", "3", "--json").json
        for name in ("P@3", "nDCG@3", "R@3"):
            assert found[name][side] == pytest.approx(figures[name], abs=1e-3)
    assert found["P@3"]["low"] > 0
    assert found["P@3"]["p_value"] < 0.05
    assert "PSP@3" in found
    assert found["n"] == 80


def test_compare_is_deterministic_and_prints_a_table(run, corpus, model, other):
    words = ("compare", other, model, corpus / "test.jsonl", "--bootstraps", "50")
    first, again = run(*words), run(*words)
    assert first.code == 0
    assert first.out == again.out
    assert "interval" in first.out
    assert "P@5" in first.out
    assert run(*words, "--seed", "9").out != first.out
    same = run("compare", model, model, corpus / "test.jsonl", "--json").json
    assert same["P@1"]["difference"] == 0
    assert same["P@1"]["p_value"] == 1


def test_compare_names_what_is_wrong(run, corpus, model, tmp_path):
    assert "none" in run("compare", model, tmp_path / "none", corpus / "test.jsonl").error()
    assert "confidence" in run("compare", model, model, corpus / "test.jsonl", "--confidence", "1.5").error()


def test_evaluate_by_frequency(run, corpus, model):
    result = run("evaluate", model, corpus / "test.jsonl")
    assert all(name in result.out for name in ("head", "middle", "tail"))
    report = run("evaluate", model, corpus / "test.jsonl", "--json").json
    groups = report["by_frequency"]
    assert [group["name"] for group in groups] == ["tail", "middle", "head"]
    data = read(corpus / "test.jsonl")
    assert sum(group["n_positives"] for group in groups) == data.Y.nnz
    assert sum(group["n_labels"] for group in groups) >= len(load(model).classes_)


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.jsonl"])
def test_evaluate_per_label(run, corpus, model, tmp_path, name):
    path = tmp_path / name
    assert run("evaluate", model, corpus / "test.jsonl", "-k", "3", "--per-label", path).code == 0
    with path.open(encoding="utf-8") as file:
        if name.endswith("jsonl"):
            rows = [json.loads(line) for line in file]
        else:
            rows = list(csv.DictReader(file, delimiter="," if name.endswith("csv") else "\t"))
    fitted, data = load(model), read(corpus / "test.jsonl")
    top = fitted.predict_topk(list(data.texts), k=3)[0]
    positives = [[data.label_names[j] for j in row.indices] for row in data.Y]
    table = metrics.per_label(positives, top.tolist(), 3)
    wanted = dict(zip(table["label"].tolist(), table["recall"].tolist(), strict=True))
    assert {row["label"] for row in rows} == set(wanted)
    for row in rows:
        assert float(row["recall"]) == pytest.approx(wanted[row["label"]], abs=1e-3)
        assert int(row["training"]) == fitted.label_counts_[fitted.classes_.tolist().index(row["label"])]
    counts = [int(row["positives"]) for row in rows]
    assert counts == sorted(counts, reverse=True)


def test_outputs_are_checked_before_work(run, corpus, model, tmp_path):
    words = ("evaluate", model, corpus / "test.jsonl")
    assert "--per-label" in run(*words, "--per-label", tmp_path / "a.xlsx").error()
    assert "--plot-frequency" in run(*words, "--plot-frequency", tmp_path / "a.pdf").error()


@pytest.mark.parametrize("name", ["groups.svg", "groups.png"])
def test_evaluate_plots_by_frequency(run, corpus, model, tmp_path, name):
    pytest.importorskip("matplotlib")
    assert run("evaluate", model, corpus / "test.jsonl", "--plot-frequency", tmp_path / name).code == 0
    head = (tmp_path / name).read_bytes()[:300]
    assert b"svg" in head or head.startswith(b"\x89PNG")
