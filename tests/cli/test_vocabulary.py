"""``ceiba vocabulary``, and ``ceiba train --label-texts FILE``."""

import json

import pytest

pytest.importorskip("rdflib")

SKOS = "@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n"
TEXTS = ["a tabby cat", "a grey seal", "the cat sat", "a seal in the sea", "cat and dog", "one seal more"]
LABELS = ["cats", "seals", "cats", "seals", "cats", "seals"]


@pytest.fixture
def folder(tmp_path):
    lines = [f"{text}\t<urn:{label}>\n" for text, label in zip(TEXTS, LABELS, strict=True)]
    (tmp_path / "train.tsv").write_text("".join(lines), encoding="utf-8")
    concepts = [f'<urn:{name}> a skos:Concept ; skos:prefLabel "{name} here"@en, "{name} da"@de .\n' for name in "ab"]
    concepts += [f'<urn:{name}> a skos:Concept ; skos:prefLabel "the {name}"@en .\n' for name in ("cats", "seals")]
    (tmp_path / "v.ttl").write_text(SKOS + "".join(concepts), encoding="utf-8")
    return tmp_path


def first_text(run, folder):
    (folder / "new.txt").write_text("a cat\n", encoding="utf-8")
    (answer,) = run("predict", folder / "m", folder / "new.txt", "-k", "1").lines
    return answer["texts"][0]


LINEAR = ("--model", "xr-linear", "--set", "n_trees=1", "--threads", "1", "--json")


@pytest.mark.parametrize("order", ["after", "before"])
def test_train_with_a_vocabulary(folder, run, order):
    given = ["--label-texts", folder / "v.ttl", "--language", "en"]
    data = [folder / "train.tsv"]
    words = [*data, *given] if order == "after" else [*given, *data]
    assert run("train", *words, "--model-dir", folder / "m", *LINEAR).json["labels"] == 2
    assert first_text(run, folder) == "the cats"


def test_a_hybrid_model_learns_every_label_of_the_vocabulary(folder, run):
    words = ["--label-texts", folder / "v.ttl", "--language", "en", "--threads", "1", "--json"]
    report = run("train", folder / "train.tsv", "--model-dir", folder / "m", "--set", "fusion=logistic", *words).json
    assert report["labels"] == 4


@pytest.mark.parametrize("order", ["after", "before"])
def test_without_a_file_the_texts_are_beside_the_data(folder, run, order):
    assert run("vocabulary", folder / "v.ttl", "--language", "en", "-o", folder / "labels.jsonl").code == 0
    data = [folder / "train.tsv"]
    words = [*data, "--label-texts"] if order == "after" else ["--label-texts", *data]
    assert run("train", *words, "--model-dir", folder / "m", *LINEAR).code == 0
    assert first_text(run, folder) == "the cats"


def test_vocabulary_counts_and_writes(folder, run):
    facts = run("vocabulary", folder / "v.ttl", "--language", "en", "-o", folder / "l.jsonl", "--json").json
    assert (facts["labels"], facts["with_a_text"]) == (4, 4)
    rows = [json.loads(line) for line in (folder / "l.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[2] == {"label": "urn:cats", "text": "the cats", "alt_texts": [], "broader": []}


def test_errors_come_in_one_line(folder, run):
    assert "--language" in run("vocabulary", folder / "v.ttl").error()
    assert ".jsonl" in run("vocabulary", folder / "v.ttl", "--language", "en", "-o", folder / "x.csv").error()
    train = ("train", folder / "train.tsv", "--model-dir", folder / "m")
    assert "--language" in run(*train, "--label-texts", "--language", "en").error()
    assert "none.ttl" in run(*train, "--label-texts", folder / "none.ttl").error()
    assert not (folder / "m").exists()
