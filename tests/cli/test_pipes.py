"""Training, evaluation and prediction from pipes: a FIFO, a shell's ``<(...)``, /dev/stdin, '-'."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from ceiba import load

SMALL = ("--model", "xr-linear", "--threads", "1", "--set", "max_leaf_size=10")


@pytest.fixture
def pipe(tmp_path):
    def make(content: bytes, name: str = "fifo"):
        path = tmp_path / name
        os.mkfifo(path)
        threading.Thread(target=lambda: path.write_bytes(content), daemon=True).start()
        return path

    return make


def test_training_file_that_is_a_fifo(run, corpus, tmp_path, pipe):
    content = (corpus / "train.jsonl").read_bytes()
    report = run("train", pipe(content), "--model-dir", tmp_path / "m", "--json", *SMALL, "--seed", 1).json
    assert (report["rows"], report["labels"]) == (600, 50)
    assert run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "n", *SMALL, "--seed", 1).code == 0
    texts = ["harbour violin", "bakery"]
    assert (
        load(tmp_path / "m").predict_topk(texts, 3)[0].tolist()
        == load(tmp_path / "n").predict_topk(texts, 3)[0].tolist()
    )


def test_files_to_evaluate_and_predict_that_are_fifos(run, corpus, model, pipe):
    test = corpus / "test.jsonl"
    plain, piped = (run("evaluate", model, path, "--json").json for path in (test, pipe(test.read_bytes(), "a")))
    del plain["seconds"], piped["seconds"]
    assert plain == piped
    assert run("predict", model, pipe(test.read_bytes(), "b")).lines == run("predict", model, test).lines


@pytest.mark.parametrize("name", [pytest.param("/dev/stdin", marks=pytest.mark.slow), "-"])
def test_standard_input(start, corpus, tmp_path, model, name):
    for words in (
        ("train", name, "--model-dir", tmp_path / "m", "--json", *SMALL),
        ("evaluate", model, name, "--json"),
        ("predict", model, name, "--format", "jsonl"),
    ):
        process = start(*words)
        out, err = process.communicate((corpus / "test.jsonl").read_bytes(), timeout=100)
        assert process.returncode == 0, err
        assert len([json.loads(line) for line in out.splitlines()]) == (80 if words[0] == "predict" else 1)
    assert load(tmp_path / "m").n_train_ == 80


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs bash")
def test_process_substitution(corpus, tmp_path):
    command = f"{sys.executable} -m ceiba train <(cat {corpus}/train.jsonl) --model-dir {tmp_path}/m --threads 1 --json"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 600


def test_pipe_whose_format_cannot_be_told(run, tmp_path, pipe):
    message = run("train", pipe(b"text,labels\na,b\n"), "--model-dir", tmp_path / "m").error()
    assert "fifo" in message
    assert "--format" in message


def test_device(run, model):
    assert "not a regular file" in run("predict", model, "/dev/zero").error()
