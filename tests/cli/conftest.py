"""A small labelled corpus as files, a model of it, and the command line run in this process or in one of its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import ceiba
from ceiba.cli import main

SUBJECTS = ("harbour", "orchard", "glacier", "violin", "bakery", "lantern", "meadow", "railway", "pottery", "falcon")
ASPECTS = ("history", "repair", "poetry", "trade")


def documents(n: int, seed: int) -> list[dict]:
    """Make documents about two subjects each; a label is a subject, or a subject and its aspect."""
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        subjects = rng.sample(SUBJECTS, 2)
        aspect = rng.choice(ASPECTS)
        words = [*subjects, aspect, subjects[0], *rng.choices(("old", "new", "and", "the", "near", "with"), k=6)]
        rng.shuffle(words)
        rows.append({"text": " ".join(words), "labels": [*subjects, f"{subjects[0]}/{aspect}"]})
    return rows


def _write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def write_jsonl():
    return _write


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A folder with train.jsonl (600 documents) and test.jsonl (80)."""
    folder = tmp_path_factory.mktemp("corpus")
    _write(folder / "train.jsonl", documents(600, seed=1))
    _write(folder / "test.jsonl", documents(80, seed=2))
    return folder


SETTINGS = ("--model", "xr-linear", "--set", "max_leaf_size=10", "--set", "branching_factor=4", "--threads", "1")


@pytest.fixture(scope="session")
def model(corpus, tmp_path_factory) -> Path:
    """A folder with a linear model of the corpus, of two trees; tests must not change it."""
    folder = tmp_path_factory.mktemp("models") / "model"
    train = ["train", str(corpus / "train.jsonl"), "--model-dir", str(folder), "--json"]
    with pytest.raises(SystemExit) as end:
        main([*train, *SETTINGS, "--set", "n_trees=2", "--seed", "7"])
    assert end.value.code == 0
    return folder


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        """The single JSON object that standard output must be."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def lines(self) -> list:
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self) -> str:
        """The one line that an error must be."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1
        return self.err


@pytest.fixture
def run(capsys):
    """Run the command line in this process."""

    def run_command(*words) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(end.value.code, captured.out, captured.err)

    return run_command


def environment() -> dict[str, str]:
    """The environment of a process that imports the package these tests import."""
    source = str(Path(ceiba.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))}


@pytest.fixture
def start():
    """Start ``ceiba`` as a process of its own; what still runs when the test is over is killed."""
    started = []

    def start_command(*words, program=("-m", "ceiba"), **options) -> subprocess.Popen:
        command = [sys.executable, *program, *map(str, words)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=environment(), **{**pipes, **options})
        started.append(process)
        return process

    yield start_command
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
