"""The command line trains and evaluates on corpora of other programs."""

import json

import pytest

WRITERS = {
    "annif.tsv": lambda i, row: f"{row['text']}\t" + " ".join(f"<{label}>" for label in row["labels"]),
    "fasttext.train": lambda i, row: " ".join(f"__label__{label}" for label in row["labels"]) + f" {row['text']}",
    "libmultilabel.tsv": lambda i, row: f"{i}\t{' '.join(row['labels'])}\t{row['text']}",
}
SMALL = ("--model", "xr-linear", "--set", "n_trees=1", "--threads", "1", "--json")


@pytest.mark.parametrize("name", WRITERS)
def test_train_and_evaluate(tmp_path, corpus, run, name):
    path = tmp_path / name
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()][:200]
    path.write_text("".join(WRITERS[name](i, row) + "\n" for i, row in enumerate(rows)), encoding="utf-8")
    report = run("train", path, "--model-dir", tmp_path / "m", *SMALL).json
    assert report["rows"] == 200
    assert report["labels"] == len({label for row in rows for label in row["labels"]})
    assert run("evaluate", tmp_path / "m", path, "--json").json["P@1"] > 80


def test_a_bad_line_is_one_line_of_error(tmp_path, run):
    path = tmp_path / "train.tsv"
    path.write_text("a text\t<urn:a>\nno tab\n", encoding="utf-8")
    error = run("train", path, "--format", "annif", "--model-dir", tmp_path / "m").error()
    assert "train.tsv, line 2" in error


def test_an_unknown_format_lists_the_known(tmp_path, run):
    path = tmp_path / "train.tsv"
    path.write_text("a text\t<urn:a>\n", encoding="utf-8")
    assert "annif" in run("train", path, "--format", "anif", "--model-dir", tmp_path / "m").error()
