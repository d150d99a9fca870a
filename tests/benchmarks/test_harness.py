"""The harness from a data folder to a table, with Ceiba as the only system."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from benchmarks.__main__ import app
from benchmarks.transformer import of_frequent_labels
from typer.testing import CliRunner

from benchmarks import report, runner

WORDS = {"fruit": "apple pear ripe sweet", "car": "wheel engine fast road", "tree": "leaf bark forest green"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(0)
    for name, n in (("train", 120), ("test", 30)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            for _ in range(n):
                labels = rng.choice(list(WORDS), rng.integers(1, 3), replace=False).tolist()
                words = [word for label in labels for word in rng.choice(WORDS[label].split(), 3)]
                file.write(json.dumps({"text": " ".join(words), "labels": labels}) + "\n")
    return folder


def environments():
    return runner.Environments(Path(sys.executable), Path(sys.executable))


@pytest.mark.slow
def test_a_run_a_failure_and_a_report(folder, tmp_path):
    out = tmp_path / "rows.jsonl"
    arguments = ["run", "--data", str(folder), "--json", str(out), "--repeats", "2"]
    arguments += ["--systems", "ceiba:n_trees=2,ceiba:C=-1", "--time-limit", "60"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["system"] for row in rows] == ["ceiba:n_trees=2", "ceiba:C=-1"] * 2
    good, bad = rows[:2]
    assert "train: " in bad["failed"]
    assert "'C' parameter" in bad["failed"]
    assert good["P@1"] > 90
    assert good["settings"] == {"n_trees": 2}
    for key in ("tree_s", "training_s", "save_s", "load_s", "batch_us", "one_p50_us", "one_p99_us", "model_mb"):
        assert good[key] > 0, key
    assert {"machine", "threads", "versions", "commit", "train_peak_mb", "predict_peak_mb"} <= good.keys()
    result = CliRunner().invoke(
        app, ["report", str(out), "--to", str(tmp_path / "report"), "--base", "ceiba:n_trees=2"]
    )
    assert result.exit_code == 0, result.output
    text = (tmp_path / "report" / "report.md").read_text()
    assert f"## {folder.name}" in text
    assert "ceiba:n_trees=2" in text
    assert "'C' parameter" in text
    assert (tmp_path / "report" / f"{folder.name}.svg").read_text().startswith("<?xml")


@pytest.mark.slow
def test_label_texts_and_the_table_of_firsts(folder, tmp_path):
    with_texts = tmp_path / folder.name
    shutil.copytree(folder, with_texts)
    with gzip.open(with_texts / "labels.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"label": label, "text": f"{label} wheel"}) + "\n" for label in WORDS)
    out = tmp_path / "rows.jsonl"
    arguments = ["run", "--data", str(with_texts), "--json", str(out), "--repeats", "1", "--systems"]
    result = CliRunner().invoke(app, [*arguments, "ceiba:label_documents=true"])
    assert result.exit_code == 0, result.output
    (row,) = map(json.loads, out.read_text().splitlines())
    assert "failed" not in row
    assert row["settings"] == {"label_documents": True}
    result = CliRunner().invoke(app, [*arguments, "ceiba", "--features", '{"word_ngrams": [1, 2]}'])
    assert result.exit_code == 0, result.output
    pairs = json.loads(out.read_text().splitlines()[1])
    assert pairs["features"] == {"word_ngrams": [1, 2]}
    assert "failed" not in pairs
    peer = {**row, "system": "pecos", "P@1": 101.0, "PSP@1": -1.0, "PSP@3": -1.0}
    late = {"system": "omikuji", "data": row["data"], "failed": "train: not done after 3600 s"}
    with out.open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in (peer, late))
    result = CliRunner().invoke(app, ["accuracy-report", str(out), "--to", str(tmp_path)])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "accuracy.md").read_text()
    assert "| ceiba (word_ngrams=[1, 2]) | " in text
    assert "first in 2 of 6 figures" in text  # above in two, below in one, and equal in three is not first
    assert "| pecos | **101.00** |" in text
    assert "| omikuji | train: not done after 3600 s |" in text


def test_what_takes_too_long_is_a_row(folder, tmp_path):
    features = tmp_path / "features"
    runner.data_files.write_features(folder, features)
    row = runner.run_one("ceiba", features, environments(), 1, time_limit=0.01)
    assert row == {"failed": "train: not done after 0 s"}


def test_texts_from_end_to_end(folder, tmp_path):
    out = tmp_path / "rows.jsonl"
    arguments = ["text", "--data", str(folder), "--json", str(out), "--repeats", "1", "--systems", "ceiba,sklearn"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    ours, theirs = (json.loads(line) for line in out.read_text().splitlines())
    assert "failed" not in ours
    assert ours["one_text_p50_us"] > 0
    for case in ("words", "words and pairs", "characters"):
        assert ours[f"{case}: columns"] == theirs[f"{case}: columns"]


@pytest.mark.slow
def test_scaling_rows(tmp_path):
    out = tmp_path / "rows.jsonl"
    result = CliRunner().invoke(app, ["scale", "--labels", "50,200", "--json", str(out)])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["report", str(out), "--to", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "ceiba: training time grows as labels to the power of" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "scale.svg").exists()


def test_a_missing_environment_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"nowhere.*benchmarks/peers_env\.sh"):
        runner.Environments(Path("nowhere"), Path("nowhere")).python("pecos")


def test_the_scorer_by_hand(tmp_path):
    Y = sp.csr_matrix(np.array([[1, 0, 1], [0, 1, 0]], np.float32))
    for name in ("Y_trn", "Y_tst"):
        sp.save_npz(tmp_path / f"{name}.npz", Y)
    figures = runner.score(tmp_path, np.array([[0, 1, 2, -1, -1], [2, 1, 0, -1, -1]]))
    assert figures["P@1"] == pytest.approx(50)
    assert figures["P@3"] == pytest.approx(50)
    assert figures["R@3"] == pytest.approx(100)


def test_slopes():
    assert report.slope([(10, 2), (100, 20), (1000, 200)]) == pytest.approx(1)
    assert report.slope([(10, 1), (1000, 10)]) == pytest.approx(0.5)


@pytest.mark.slow
def test_transformers_beside_linear_models(folder, tiny_encoder, tmp_path):
    out = tmp_path / "rows.jsonl"
    arguments = ["transformer", "--data", str(folder), "--json", str(out), "--encoder", str(tiny_encoder)]
    arguments += ["--train", "100", "--test", "20", "--max-length", "16", "--settings", '{"steps": 3}']
    result = CliRunner().invoke(app, [*arguments, "--systems", "xr-linear,xr-transformer"])
    assert result.exit_code == 0, result.output
    linear, tuned = [json.loads(line) for line in out.read_text().splitlines()]
    assert linear["levels"] == []
    assert sum(level["steps"] for level in tuned["levels"]) == 3
    assert linear["P@1"] > 80
    assert all(row["peak_mb"] > row["peak_over_start_mb"] >= 0 for row in (linear, tuned))


@pytest.mark.slow
def test_label_texts_of_a_validation_split(folder, tiny_encoder, tmp_path):
    labels = WORDS
    with gzip.open(folder / "labels.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"label": label, "text": f"the {label}"}) + "\n" for label in labels)
    out = tmp_path / "rows.jsonl"
    arguments = ["transformer", "--data", str(folder), "--json", str(out), "--encoder", str(tiny_encoder)]
    arguments += ["--train", "60", "--test", "20", "--max-length", "16", "--label-texts", "--validation"]
    result = CliRunner().invoke(app, [*arguments, "--systems", "xr-linear-3,frozen"])
    assert result.exit_code == 0, result.output
    for row in map(json.loads, out.read_text().splitlines()):
        assert row["label_texts"]
        assert row["label_documents"]
        assert row["levels"] == []
        assert row["P@1"] > 50


def test_the_most_frequent_labels_are_kept():
    rows = [{"text": str(i), "labels": labels} for i, labels in enumerate([["a", "c"], ["b"], ["a", "b"], ["d"]])]
    kept, test = of_frequent_labels(rows, rows[1:], 2)
    assert [(row["text"], row["labels"]) for row in kept] == [("0", ["a"]), ("1", ["b"]), ("2", ["a", "b"])]
    assert [row["text"] for row in test] == ["1", "2"]


def test_steps_of_both_heads(tmp_path):
    out = tmp_path / "rows.jsonl"
    result = CliRunner().invoke(
        app, ["heads", "--labels", "100,200000", "--dim", "64", "--threads", "1", "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    small, large = (json.loads(line) for line in out.read_text().splitlines())
    assert (small["clusters"], large["clusters"]) == (7, 12_500)
    assert large["all_ms"] > small["all_ms"] > 0 < small["shortlist_ms"]


def test_time_to_the_same_accuracy(tmp_path):
    def row(system, steps, seconds, figure, **settings):
        levels = [{"steps": steps - 1, "seconds": seconds / 5}, {"steps": 1, "seconds": seconds / 20}]
        row = {"system": system, "most_labels": 1000, "levels": levels, "fit_s": seconds, "P@1": figure}
        row["P@5"] = figure / (2 if system == "xr-transformer" else 5)
        return {**row, "settings": settings, "machine": "any", "threads": 1, "data": "made up", "encoder": "static"}

    rows = [row("xr-transformer", 10, 5.0, 40.0), row("xr-transformer", 20, 10.0, 60.0)]
    rows += [row("x-transformer", 10, 20.0, 30.0), row("x-transformer", 20, 40.0, 50.0)]
    rows += [row("x-transformer", 20, 60.0, 39.0, head_init="random")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = CliRunner().invoke(app, ["growth-report", str(tmp_path / "rows.jsonl"), "--to", str(tmp_path)])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "rows.md").read_text()
    assert "| x-transformer | 1,000 | 60.00 | 50.00 | 7.5 | 40.0 | 5.33 | 1.9 | 10.0 | 5.33 |" in text
    assert (
        "| x-transformer, heads begun at random | 1,000 | 60.00 | 39.00 | 5.0 | 60.0 | > 12.00 | 1.2 | 15.0 | > 12.00 |"
        in text
    )
    assert "| x-transformer | 1,000 | 30.00 | 10.00 | 5.0 | 40.0 | > 8.00 | 1.2 | 10.0 | > 8.00 |" in text  # P@5
    assert (tmp_path / "rows.svg").exists()


@pytest.mark.slow
def test_a_hybrid_model_beside_its_base_and_then_from_its_folder(folder, tmp_path):
    out = tmp_path / "rows.jsonl"
    arguments = ["hybrid-cost", "--data", str(folder), "--json", str(out), "--model-dir", str(tmp_path / "model")]
    for _ in range(2):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    trained, loaded = [json.loads(line) for line in out.read_text().splitlines()]
    assert trained["hybrid / base, CPU"] > 0
    assert "training" not in loaded
    for row in (trained, loaded):
        assert row["train"] == 120
        assert row["seconds"]["one text, p50 CPU ms"] > 0
