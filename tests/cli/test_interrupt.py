"""Training that is stopped: at once, and without a model that is none."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ceiba import load
from ceiba.errors import ModelFormatError

SETTINGS = ("--model", "xr-linear", "--set", "max_leaf_size=10", "--set", "branching_factor=4", "--threads", "1")

# The first level would take hours.
ENDLESS = ("--set", "tolerance=1e-300", "--set", "max_iter=1000000000")

# Trains, but is killed when every file of the model is written except the manifest.
KILLED_WHILE_SAVING = """
import os, signal, sys
from ceiba.cli import main
from ceiba.models import saving
saving.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


def endless_training(start, corpus, folder):
    """Start a training with a terminal for its progress, and return it when it has come to the solver."""
    terminal, other = os.openpty()
    process = start("train", corpus / "train.jsonl", "--model-dir", folder, *SETTINGS, *ENDLESS, stderr=other)
    os.close(other)
    shown = b""
    deadline = time.monotonic() + 60
    while b"level 1" not in shown and time.monotonic() < deadline and process.poll() is None:
        shown += os.read(terminal, 4096)
    assert b"level 1" in shown, shown
    return process, terminal, shown


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_stopped_training_leaves_no_model(start, corpus, tmp_path, stop, code):
    process, terminal, shown = endless_training(start, corpus, tmp_path / "m")
    assert b"reading" in shown
    assert b"features" in shown
    time.sleep(0.2)
    started = time.monotonic()
    process.send_signal(stop)
    assert process.wait(timeout=20) == code
    # A second is promised; a busy machine may take as long again to end the process.
    assert time.monotonic() - started < 2
    os.close(terminal)
    assert process.stdout.read() == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_killed_while_saving_leaves_the_old_model_or_none(start, run, corpus, tmp_path):
    words = ["train", corpus / "train.jsonl", *SETTINGS, "--model-dir"]
    process = start(*words, tmp_path / "new", program=("-c", KILLED_WHILE_SAVING))
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    with pytest.raises(ModelFormatError):
        load(tmp_path / "new")
    assert run(*words, tmp_path / "new").code == 0
    load(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".ceiba-lock", "current.json", "model-0001"]
    assert run(*words, tmp_path / "old", "--seed", "1").code == 0
    process = start(*words, tmp_path / "old", "--seed", "2", "--overwrite", program=("-c", KILLED_WHILE_SAVING))
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert load(tmp_path / "old").random_state == 1
