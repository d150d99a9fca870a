"""``ceiba push``: what it hands to the model, and errors. tests/models/test_hub.py speaks with a server."""

import json

import pytest

from ceiba.models import XRLinear


@pytest.fixture
def pushed(monkeypatch):
    calls = []

    def push_to_hub(self, repo, **given):
        calls.append((repo, given))
        return "http://hub/commit/1"

    monkeypatch.setattr(XRLinear, "push_to_hub", push_to_hub)
    return calls


def test_push_measures_the_figures(run, model, corpus, pushed):
    words = ("--test", corpus / "test.jsonl", "--data", "made up", "--language", "en", "--license", "mit", "--private")
    assert run("push", model, "me/model", *words, "--json").json == {"repo": "me/model", "url": "http://hub/commit/1"}
    ((repo, given),) = pushed
    assert repo == "me/model"
    assert given["figures"]["P@1"] > 80
    assert (given["data"], given["language"], given["license"], given["private"]) == ("made up", ["en"], "mit", True)
    assert given["include_training_texts"] is None


def test_push_reads_a_test_file_with_columns_of_other_names(run, model, corpus, tmp_path, pushed):
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text().splitlines()]
    renamed = [json.dumps({"id": "x", "what": row["text"], "codes": row["labels"]}) for row in rows]
    (tmp_path / "renamed.jsonl").write_text("\n".join(renamed))
    words = ("--test", tmp_path / "renamed.jsonl", "--text-column", "what", "--label-column", "codes")
    run("push", model, "me/model", *words)
    assert pushed[0][1]["figures"]["P@1"] > 80


def test_push_without_figures(run, model, pushed):
    assert run("push", model, "me/model").out == "http://hub/commit/1\n"
    assert pushed[0][1]["figures"] is None


def test_errors_are_one_line(run, model, tmp_path):
    assert "repo_id" in run("push", model, "model").error()
    assert "none" in run("push", tmp_path / "none", "me/model").error()
