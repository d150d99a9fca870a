"""Transformer models on the command line."""

import json

import pytest

from ceiba import load


@pytest.fixture(scope="module")
def rows(small_corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    lines = [json.dumps({"text": t, "labels": y}) for t, y in zip(*small_corpus, strict=True)]
    path.write_text("\n".join(lines))
    return path


SMALL = ["--set", "epochs=2", "--set", "max_length=16", "--set", "batch_size=8", "--set", "matcher_leaf_size=3"]
SMALL += ["--set", "learning_rate=1e-3", "--set", "matcher_branching_factor=3", "--threads", "1"]


@pytest.mark.parametrize("model", ["xr-transformer", "x-transformer"])
def test_train_evaluate_predict_inspect(run, rows, tiny_encoder, tmp_path, model):
    folder = tmp_path / "m"
    own = ["--set", "ranker__C=2", "--set", "ranker__n_trees=1", "--set", "vectorizer__word_ngrams=[1,2]"]
    report = run(
        "train", rows, "--model-dir", folder, "--model", model, "--encoder", tiny_encoder, "--json", *SMALL, *own
    ).json
    assert (report["rows"], report["trees"]) == (90, 1)
    assert report["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert run("evaluate", folder, rows, "-k", "1", "--json").json["P@1"] > 80
    answers = run("predict", folder, rows, "-k", "2").out.splitlines()
    assert len(answers) == 90
    parameters = run("inspect", folder, "--json").json["parameters"]
    assert (parameters["ranker"]["C"], parameters["vectorizer"]["word_ngrams"]) == (2.0, [1, 2])
    assert "ranker__C" in run("inspect", folder).out


def test_static_encoder(run, rows, tmp_path):
    words = ["--model", "xr-transformer", "--encoder", "static:12", "--json", *SMALL]
    run("train", rows, "--model-dir", tmp_path / "m", *words)
    assert run("evaluate", tmp_path / "m", rows, "-k", "1", "--json").json["P@1"] > 80
    assert "static:256" in run("train", rows, "--model-dir", tmp_path / "n", *words[:2], "--encoder", "static:x").err


def test_params_list_the_rankers_own(run):
    listed = run("params", "xr-transformer", "--json").json
    assert listed["ranker__n_trees"]["default"] == 3
    assert listed["learning_rate"]["description"]
    assert "ranker__n_jobs" not in listed
    assert run("params", "x-transformer", "--json").json == listed


def test_bad_words(run, rows, tmp_path):
    words = ["train", rows, "--model-dir", tmp_path / "m"]
    assert "--encoder is for" in run(*words, "--model", "xr-linear", "--encoder", "x").err
    assert "not a folder" in run(*words, "--model", "xr-transformer", "--encoder", "./nowhere").err
    assert "XRLinear has no parameter 'D'" in run(*words, "--model", "xr-transformer", "--set", "ranker__D=1").err
    assert not (tmp_path / "m").exists()


def test_label_texts(run, small_corpus, tiny_encoder, tmp_path):
    texts, labels = small_corpus
    data = tmp_path / "train.jsonl"
    data.write_text("\n".join(json.dumps({"text": t, "labels": y}) for t, y in zip(texts, labels, strict=True)))
    words = ["train", data, "--model-dir", tmp_path / "m", "--label-texts", "--overwrite"]
    linear = ["--model", "xr-linear"]
    assert "--label-texts needs a text for each label" in run(*words, *linear).err
    names = sorted({label for row in labels for label in row})
    (tmp_path / "labels.jsonl").write_text("\n".join(json.dumps({"label": n, "text": f"zebra {n}"}) for n in names))
    run(*words, *linear)
    assert run("inspect", tmp_path / "m", "--json").json["parameters"]["label_documents"] is True
    assert "zebra" in load(tmp_path / "m").vectorizer_.get_feature_names_out()
    own = ["--model", "xr-transformer", "--encoder", tiny_encoder, "--set", "cosine_weight=0.25"]
    run(*words, *own, "--set", "max_length=16", "--set", "steps=3")
    assert load(tmp_path / "m").cosine_weight_ == 0.25
