"""`ceiba predict`: the estimator's answers, row for row, from files and as lines come."""

from __future__ import annotations

import io
import json
import os
import select
import shutil
import subprocess

import numpy as np
import pytest

from ceiba import load
from ceiba.cli.predict import arriving_lines
from ceiba.errors import DataFormatError
from ceiba.io import current_generation


def texts_of(corpus):
    return [json.loads(line)["text"] for line in (corpus / "test.jsonl").read_text().splitlines()]


def test_answers_are_those_of_the_estimator(run, corpus, model):
    answers = run("predict", model, corpus / "test.jsonl", "-k", "3", "--beam-size", "2").lines
    labels, scores = load(model).predict_topk(texts_of(corpus), 3, beam_size=2)
    assert [answer["labels"] for answer in answers] == labels.tolist()
    assert np.array_equal(np.array([answer["scores"] for answer in answers], np.float32), scores)
    assert all(list(answer) == ["labels", "scores"] for answer in answers)


def test_short_rows_end_where_the_search_ended(run, corpus, model):
    """A beam of one reaches one bottom cluster of each tree."""
    answers = run("predict", model, corpus / "test.jsonl", "-k", "1000", "--beam-size", "1").lines
    labels, _ = load(model).predict_topk(texts_of(corpus), 50, beam_size=1)
    assert [answer["labels"] for answer in answers] == [[x for x in row if x is not None] for row in labels.tolist()]
    assert min(len(answer["labels"]) for answer in answers) < 50


def test_no_text_no_labels_needed(run, corpus, model, tmp_path):
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": ""}\n{"text": "unheard of"}\n{"text": "harbour violin"}\n')
    answers = run("predict", model, path, "-k", "2", "--with-text").lines
    assert [answer["text"] for answer in answers] == ["", "unheard of", "harbour violin"]
    assert set(answers[2]["labels"]) == {"harbour", "violin"}


def test_output_file_is_whole_or_absent(run, corpus, model, tmp_path):
    out = tmp_path / "out.jsonl"
    result = run("predict", model, corpus / "test.jsonl", "-o", out)
    assert (result.code, result.out, result.err) == (0, "", "")
    written = out.read_text()
    assert written == run("predict", model, corpus / "test.jsonl").out
    (tmp_path / "bad.txt").write_bytes(b"fine\n\xff\n")
    assert "line 2" in run("predict", model, tmp_path / "bad.txt", "-o", out).error()
    assert out.read_text() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.txt", "out.jsonl"]
    assert "no such folder" in run("predict", model, corpus / "test.jsonl", "-o", tmp_path / "x" / "y").error()
    assert "is a folder" in run("predict", model, corpus / "test.jsonl", "-o", tmp_path).error()


def test_bad_model_folders(run, corpus, model, tmp_path):
    test = corpus / "test.jsonl"
    assert "nowhere" in run("predict", tmp_path / "nowhere", test).error()
    assert "holds no current.json" in run("predict", corpus, test).error()
    cut = shutil.copytree(model, tmp_path / "cut")
    path = current_generation(cut) / "tree-1.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    assert "tree-1.safetensors" in run("predict", cut, test).error()


def test_lines_are_answered_as_they_come(start, model):
    process = start("predict", model, "-", "-k", "2", "--threads", "1")
    fd = process.stdout.fileno()
    for text, expected in (
        ("harbour violin old", {"harbour", "violin"}),
        ("the bakery and the falcon", {"bakery", "falcon"}),
    ):
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert select.select([fd], [], [], 60)[0], "no answer before the next line"
        assert set(json.loads(process.stdout.readline())["labels"]) == expected
    out, err = process.communicate(b"\r\nglacier meadow", timeout=60)
    assert [len(json.loads(line)["labels"]) for line in out.splitlines()] == [2, 2]
    assert (err, process.returncode) == (b"", 0)


def test_reader_that_leaves_is_no_error_message(start, corpus, model, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text((corpus / "test.jsonl").read_text() * 40)
    process = start("predict", model, path, "-k", "5", "--threads", "1", stdin=subprocess.DEVNULL)
    os.read(process.stdout.fileno(), 10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 1


class Arriving(io.RawIOBase):
    """A stream that hands out given pieces, one per read."""

    def __init__(self, *pieces: bytes):
        self.pieces = list(pieces)

    def read1(self, _size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([], []),
        ([b"\n"], [[""]]),
        ([b"a\nb\n"], [["a", "b"]]),
        ([b"a", b"b\r\nc", b"\n"], [["ab"], ["c"]]),
        ([b"\xef\xbb\xbfa\n", b"b"], [["a"], ["b"]]),
        (["a\u2028\u00e9".encode()[:-1], "\u00e9\n".encode()[1:]], [["a\u2028\u00e9"]]),
    ],
)
def test_arriving_lines(pieces, lines):
    assert list(arriving_lines(Arriving(*pieces))) == lines


def test_arriving_lines_that_are_no_text():
    found = arriving_lines(Arriving(b"a\nb\n", b"c\n\xff\n"))
    assert next(found) == ["a", "b"]
    with pytest.raises(DataFormatError, match="standard input, line 4"):
        next(found)


def test_allowed_and_denied_labels(run, corpus, model, tmp_path):
    fitted = load(model)
    texts = [json.loads(line)["text"] for line in (corpus / "test.jsonl").read_text().splitlines()]
    (tmp_path / "allowed.txt").write_text("\ufeffharbour\n\n  violin \r\nbakery\n", encoding="utf-8")
    (tmp_path / "denied.txt").write_text("violin\n")
    given = ["--allowed", tmp_path / "allowed.txt", "--denied", tmp_path / "denied.txt"]
    result = run("predict", model, corpus / "test.jsonl", "--json", *given)
    expected = fitted.predict_topk(texts, 5, allowed=["harbour", "bakery"])[0]
    assert [row["labels"] for row in result.lines] == [[name for name in row if name is not None] for row in expected]
    alone = run("predict", model, corpus / "test.jsonl", "--json", "--denied", tmp_path / "denied.txt")
    assert not any("violin" in row["labels"] for row in alone.lines)


def test_a_label_of_a_list_that_is_unknown_is_an_error(run, corpus, model, tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("harbour\nunheard\n")
    for option in ("--allowed", "--denied"):
        message = run("predict", model, corpus / "test.jsonl", option, path).error()
        assert all(part in message for part in (option, "labels.txt", "line 2", "'unheard'"))
    path.write_text("\n")
    assert "--allowed" in run("predict", model, corpus / "test.jsonl", "--allowed", path).error()
    assert "--denied" in run("predict", model, corpus / "test.jsonl", "--denied", tmp_path / "none").error()


@pytest.mark.parametrize("words", [("--workers", "2"), ("--resume",), ("--rows-per-file", "100")])
def test_options_of_the_ray_engine_are_not_passed_over(run, model, corpus, words):
    assert words[0] in run("predict", model, corpus / "test.jsonl", *words).error()
