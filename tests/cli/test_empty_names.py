"""An empty name, as a shell gives for a variable that is not set, is never the current folder."""

from __future__ import annotations

import pytest

import ceiba
from ceiba.data import read, read_filter
from ceiba.errors import InputError


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train", "", "--model-dir", "m"], "TRAIN"),
        (["train", "DATA", "--model-dir", ""], "--model-dir"),
        (["train", "DATA", "--model-dir", "m", "--model", "xr-transformer", "--encoder", ""], "encoder"),
        (["predict", "", "DATA"], "DIR"),
        (["predict", "MODEL", ""], "INPUT"),
        (["predict", "MODEL", "DATA", "-o", ""], "--output"),
        (["evaluate", "", "DATA"], "DIR"),
        (["evaluate", "MODEL", ""], "TEST"),
        (["evaluate", "MODEL", "DATA", "--filter", ""], "--filter"),
        (["inspect", ""], "DIR"),
        (["inspect", "MODEL", "--label", "violin", "--texts", ""], "--texts"),
        (["demo", "--model-dir", ""], "--model-dir"),
        (["datasets", "get", "Eurlex-4K", "--folder", ""], "--folder"),
    ],
)
def test_the_command_line_names_what_is_empty(run, model, corpus, tmp_path, monkeypatch, words, named):
    # where the current folder would do
    monkeypatch.chdir(model)
    before = sorted(model.rglob("*"))
    known = {"DATA": str(corpus / "test.jsonl"), "MODEL": str(model), "m": str(tmp_path / "m")}
    message = run(*[known.get(word, word) for word in words]).error()
    assert named in message
    assert "empty" in message
    assert sorted(model.rglob("*")) == before
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "call",
    [
        ceiba.load,
        read,
        lambda path: read_filter(path, n_rows=1),
        lambda path: ceiba.XRLinear().fit([[1.0]], [[0]]).save(path),
    ],
    ids=["load", "read", "read_filter", "save"],
)
def test_the_api_does_too(model, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="empty"):
        call("")
    assert not list(tmp_path.iterdir())
