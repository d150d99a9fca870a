"""How the command starts: quickly, and with one line where it is called wrongly."""

from __future__ import annotations

import json

import pytest

import ceiba

HEAVY = ("numpy", "scipy", "sklearn", "pyarrow", "safetensors", "simple_icd_10_cm")
COMMANDS = ("train", "predict", "evaluate", "inspect", "params", "demo", "datasets", "datasets list", "datasets get")

# runs each command line of its arguments and prints which of the heavy modules were imported by that
PROGRAM = f"""
import contextlib, io, json, sys
from ceiba.cli import main
for line in sys.argv[1:]:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main(line.split())
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


def test_help_and_version_load_nothing_heavy(start):
    lines = ["--version", "--help", *(f"{command} --help" for command in COMMANDS), "trian", "train"]
    out, err = start(*lines, program=("-c", PROGRAM)).communicate(timeout=60)
    assert json.loads(out) == [], err


def test_module_is_the_command(start):
    process = start("--version")
    out, err = process.communicate(timeout=60)
    assert (out.decode().split(), err, process.returncode) == (["ceiba", ceiba.__version__], b"", 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(run, command):
    result = run(*command.split(), "--help")
    assert result.code == 0
    assert f"ceiba {command}" in result.out


def test_no_command_shows_the_commands(run):
    result = run()
    assert result.code == 0
    assert all(command.split()[0] in result.out for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["trian"], "trian"),
        (["train"], "TRAIN"),
        (["train", "data.jsonl"], "--model-dir"),
        (["predict", "folder", "-", "-k", "0"], "-k"),
        (["predict", "folder", "-", "-k", "many"], "-k"),
        (["evaluate", "folder", "data", "--beam-size", "0"], "--beam-size"),
        (["train", "data.jsonl", "--model-dir", "m", "--threads", "0"], "--threads"),
        (["train", "data.jsonl", "--model-dir", "m", "--unknown"], "--unknown"),
    ],
)
def test_wrong_usage_is_one_line(run, words, named):
    assert named in run(*words).error()
