"""`ceiba train`: every kind of file to a model, and nothing begun that cannot end well."""

from __future__ import annotations

import json

import pytest

from ceiba import XRLinear, load
from ceiba.data import read
from ceiba.io import current_generation

SMALL = ("--model", "xr-linear", "--threads", "1", "--set", "max_leaf_size=10")


def test_report(run, corpus, tmp_path):
    folder = tmp_path / "new" / "model"
    report = run("train", corpus / "train.jsonl", "--model-dir", folder, "--json", *SMALL, "--set", "n_trees=2").json
    model = load(folder)
    assert {name: report[name] for name in ("model", "model_dir", "rows", "labels", "positives", "trees")} == {
        "model": "XRLinear",
        "model_dir": str(folder),
        "rows": 600,
        "labels": 50,
        "positives": 1800,
        "trees": 2,
    }
    assert report["features"] == model.n_features_in_
    assert report["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    seconds = report["seconds"]
    assert 0 <= seconds["reading"] <= seconds["total"]
    assert 0 < seconds["training"] <= seconds["total"]
    assert list(folder.parent.iterdir()) == [folder]


def test_report_for_people_with_stages_on_stderr(run, corpus, tmp_path):
    result = run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *SMALL)
    assert result.code == 0
    assert "labels     50" in result.out
    lines = result.err.splitlines()
    assert "reading" in lines[0]
    assert "saving" in lines[-1]
    assert 3 <= len(lines) < 20
    assert "\r" not in result.err


def test_settings_and_seed_reach_the_model(run, corpus, tmp_path):
    words = ["--seed", "3", "--set", "C=0.5", "--set", "vectorizer__char_ngrams=[2,3]"]
    assert run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *SMALL, *words).code == 0
    model = load(tmp_path / "m")
    assert (model.random_state, model.C) == (3, 0.5)
    assert set(model.vectorizer_.vocabularies_) == {"word", "char"}


def test_a_preset_and_what_counts_more(run, corpus, tmp_path):
    words = ["--preset", "balanced", "--set", "overlap=2"]
    assert run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *SMALL, *words).code == 0
    model = load(tmp_path / "m")
    assert (model.n_trees, model.overlap) == (XRLinear.from_preset("balanced").n_trees, 2)
    words = ["--preset", "balanced", "--set", "n_trees=1", "--overwrite"]
    assert run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *SMALL, *words).code == 0
    assert load(tmp_path / "m").n_trees == 1
    result = run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "other", "--preset", "best")
    assert result.code != 0
    assert "'fast', 'balanced', 'accurate'" in result.err
    assert not (tmp_path / "other").exists()


def test_same_seed_same_model_with_any_threads(run, corpus, tmp_path):
    for name, threads in (("one", 1), ("two", 2)):
        words = ["--model", "xr-linear", "--seed", "3", "--threads", threads, "--set", "max_leaf_size=10"]
        assert run("train", corpus / "train.jsonl", "--model-dir", tmp_path / name, *words).code == 0
    one, two = ((current_generation(tmp_path / name) / "tree-0.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_columns_and_separator(run, tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("id,head,body,subject\n" + "1,red,apple,fruit|red\n2,green,leaf,plant\n3,red,leaf,plant|red\n" * 3)
    words = ["--text-column", "head", "--text-column", "body", "--label-column", "subject", "--label-separator", "|"]
    assert run("train", path, "--model-dir", tmp_path / "m", *words).code == 0
    model = load(tmp_path / "m")
    assert model.classes_.tolist() == ["fruit", "plant", "red"]
    assert model.vectorizer_.get_feature_names_out().tolist() == ["apple", "green", "leaf", "red"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--label-column", "tags"], "'tags'"),
        (["--text-column", "title"], "'title'"),
        (["--format", "docx"], "'docx'"),
        (["--zero-based"], "zero_based"),
        (["--model", "fasttext"], "'fasttext'"),
        (["--set", "beam=3"], "'beam'"),
        (["--set", "C=-1"], "'C'"),
        (["--set", "vectorizer__word_ngrams=[2,1]"], "'word_ngrams'"),
        (["--set", "label_embedding=text"], "label_embedding"),
        (["--set", "vectorizer=none"], "vectorizer"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(run, corpus, tmp_path, words, named):
    assert named in run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *words).error()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("empty.jsonl", "", "empty.jsonl"),
        ("cut.jsonl", '{"text": "a", "labels": ["x"]}\n{"text": "b", "lab', "line 2"),
        ("none.jsonl", '{"text": "a", "labels": []}\n', "labels"),
        ("bare.jsonl", '{"text": "a"}\n', "label column"),
        ("mixed.jsonl", '{"text": "a", "labels": ["x"]}\n{"text": "a", "labels": [1.5]}\n', "line 2"),
        ("nan.svm", "0 1:0.5\n1 1:nan\n", "nan.svm, line 2"),
    ],
)
def test_bad_files_are_one_line_and_leave_nothing(run, tmp_path, name, content, named):
    (tmp_path / name).write_text(content)
    assert named in run("train", tmp_path / name, "--model-dir", tmp_path / "m").error()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_missing_file(run, tmp_path):
    assert "no such file" in run("train", tmp_path / "no.jsonl", "--model-dir", tmp_path / "m").error()


def test_model_is_only_replaced_when_asked(run, corpus, tmp_path):
    words = ["train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *SMALL]
    (tmp_path / "m").mkdir()
    assert run(*words, "--seed", "1").code == 0
    assert "--overwrite" in run(*words, "--seed", "2").error()
    assert load(tmp_path / "m").random_state == 1
    assert run(*words, "--seed", "2", "--overwrite").code == 0
    assert load(tmp_path / "m").random_state == 2


def test_other_folders_and_files_are_left_alone(run, tmp_path):
    (tmp_path / "thesis.tex").write_text("my only copy")
    # the data does not exist: the folder is looked at first
    words = ["train", tmp_path / "no.jsonl", "--overwrite", "--model-dir"]
    assert "holds other files" in run(*words, tmp_path).error()
    assert "is a file" in run(*words, tmp_path / "thesis.tex").error()
    assert "thesis.tex/m" in run(*words, tmp_path / "thesis.tex" / "m").error()
    assert (tmp_path / "thesis.tex").read_text() == "my only copy"


def test_sparse_features_from_training_to_prediction(run, tmp_path):
    train = "".join(f"{label} {label + 1}:1 {8 + i % 3}:0.5\n" for i in range(30) for label in range(6))
    (tmp_path / "train.svm").write_text(train)
    # features 7 to 10 do not occur here: the width is the model's
    (tmp_path / "test.svm").write_text("2 3:1\n4,99 5:1\n")
    folder = tmp_path / "m"
    assert run("train", tmp_path / "train.svm", "--model-dir", folder, *SMALL).code == 0
    result = run("evaluate", folder, tmp_path / "test.svm", "-k", "1", "--json").json
    assert (result["P@1"], result["n"], result["unknown_labels"]) == (100, 2, 1)
    found = run("predict", folder, tmp_path / "test.svm", "-k", "1").lines
    assert [answer["labels"] for answer in found] == [[2], [4]]
    (tmp_path / "wide.svm").write_text("2 30:1\n")
    assert "wide.svm" in run("predict", folder, tmp_path / "wide.svm").error()
    (tmp_path / "text.jsonl").write_text(json.dumps({"text": "red", "labels": [1]}) + "\n")
    assert "trained on features" in run("predict", folder, tmp_path / "text.jsonl").error()


def test_labels_that_look_joined_are_warned_of_in_one_line(run, tmp_path):
    rows = [{"text": f"{a} {b}", "labels": f"{a} {b}"} for a in ("red", "green", "blue") for b in ("fox", "owl")]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("train", tmp_path / "a.jsonl", "--model-dir", tmp_path / "m", "--json", *SMALL)
    assert result.code == 0
    warning = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert len(warning) == 1
    assert "--label-separator ' '" in warning[0]
    words = ["--label-separator", " ", "--overwrite", "--json"]
    result = run("train", tmp_path / "a.jsonl", "--model-dir", tmp_path / "m", *words, *SMALL)
    assert (result.json["labels"], result.err) == (5, "")


def test_a_model_is_trained_with_filters_of_its_own(run, corpus, tmp_path):
    (tmp_path / "denied.txt").write_text("violin\nharbour\n")
    words = ["train", corpus / "train.jsonl", *SMALL, "--denied", tmp_path / "denied.txt", "--model-dir"]
    assert run(*words, tmp_path / "m").code == 0
    assert load(tmp_path / "m").denied_labels_.tolist() == ["harbour", "violin"]
    (tmp_path / "denied.txt").write_text("violin\nunheard\n")
    message = run(*words, tmp_path / "n").err
    assert "'unheard'" in message
    assert "features" not in message, "found before training"
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("allowed", ["violin\n", None])
def test_filters_that_leave_no_label_are_found_before_training(run, corpus, tmp_path, allowed):
    given = []
    if allowed is None:  # every label is denied
        names = read(corpus / "train.jsonl", labels=True).label_names
        (tmp_path / "denied.txt").write_text("\n".join(names))
    else:
        (tmp_path / "allowed.txt").write_text(allowed)
        (tmp_path / "denied.txt").write_text(allowed + "harbour\n")
        given = ["--allowed", tmp_path / "allowed.txt"]
    words = ["train", corpus / "train.jsonl", *SMALL, "--denied", tmp_path / "denied.txt", *given]
    message = run(*words, "--model-dir", tmp_path / "m").err
    assert "denied" in message
    assert "features" not in message
    assert not (tmp_path / "m").exists()
