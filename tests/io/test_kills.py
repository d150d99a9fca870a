"""A save that is killed at any moment: the folder holds the old model or the new one, and the next save tidies up."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ceiba import XRLinear, load
from ceiba.errors import ModelFormatError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FORMAT_2 = Path(__file__).parents[1] / "models" / "format-2" / "xr_linear"
KILLED, SAVED = 99, 0
TEXTS = ["red apple", "green apple", "red car", "green car"]


def make(names):
    return XRLinear(max_leaf_size=2, n_jobs=1).fit(TEXTS, [[name] for name in names])


@pytest.fixture(scope="module")
def models():
    return {"old": make(["o1", "o2", "o3", "o4"]), "new": make(["n1", "n2", "n3", "n4"])}


def save_and_die(model, folder, at):
    """Save in a child that ends before its call number `at` to the file system; return whether it was killed."""
    child = os.fork()
    if child == 0:
        calls = 0

        def hook(event, _):
            nonlocal calls
            if event.startswith(("os.", "fcntl.", "shutil.")) or event == "open":
                calls += 1
                if calls == at:
                    os._exit(KILLED)

        code = 1
        try:
            sys.addaudithook(hook)
            model.save(folder)
            code = SAVED
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (KILLED, SAVED)
    return code == KILLED


def what_is_there(folder):
    names = load(folder).classes_.tolist()
    return {"o1": "old", "n1": "new"}.get(names[0], "format 2")


@pytest.mark.parametrize("before", ["nothing", "empty", "old", "format 2"])
def test_a_kill_between_any_two_calls(models, tmp_path, before):
    folder = tmp_path / "m"
    seen = []
    for at in range(1, 2000):
        shutil.rmtree(folder, ignore_errors=True)
        if before == "empty":
            folder.mkdir()
        elif before == "old":
            models["old"].save(folder)
        elif before == "format 2":
            shutil.copytree(FORMAT_2, folder)
        killed = save_and_die(models["new"], folder, at)
        if before in ("nothing", "empty"):
            try:
                seen.append(what_is_there(folder))
            except ModelFormatError:
                seen.append(before)
        else:
            seen.append(what_is_there(folder))
        models["old"].save(folder)
        assert what_is_there(folder) == "old"
        left = {path.name for path in folder.iterdir()} - {".ceiba-lock", "current.json"}
        assert len(left) == 1, left
        assert left.pop().startswith("model-")
        assert [path.name for path in tmp_path.iterdir()] == ["m"]
        if not killed:
            break
    assert at > 30
    change = seen.index("new")
    assert set(seen[:change]) == {before}
    assert set(seen[change:]) == {"new"}
    assert change < len(seen) - 1  # there is something to do after the new model counts


def test_a_save_after_two_kills(models, tmp_path):
    folder = tmp_path / "m"
    models["old"].save(folder)
    for at in (25, 40, 50, 60):
        save_and_die(models["new"], folder, at)
        save_and_die(models["new"], folder, at + 3)
        assert what_is_there(folder) in ("old", "new")
    models["new"].save(folder)
    assert len(list(folder.iterdir())) == 3


SAVER = """
import sys
from ceiba import load
model = load(sys.argv[1], mmap=False)
print("ready", flush=True)
while True:
    model.save(sys.argv[2])
"""


@pytest.mark.slow
def test_kills_at_random_moments(models, tmp_path):
    rng = random.Random(0)
    target = tmp_path / "m"
    for name, model in models.items():
        model.save(tmp_path / name)
    models["old"].save(target)
    expected = {name: model.predict_topk(TEXTS, k=2)[1].tobytes() for name, model in models.items()}
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for number in range(30):
        name = ("new", "old")[number % 2]
        command = [sys.executable, "-c", SAVER, str(tmp_path / name), str(target)]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        end = time.monotonic() + rng.uniform(0, 0.2)
        while time.monotonic() < end:
            found = load(target)
            assert found.predict_topk(TEXTS, k=2)[1].tobytes() in expected.values()
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = load(target)
        kind = {"o1": "old", "n1": "new"}[found.classes_[0]]
        assert found.predict_topk(TEXTS, k=2)[1].tobytes() == expected[kind]
    models["new"].save(target)
    assert len(list(target.iterdir())) == 3
    np.testing.assert_array_equal(load(target).classes_, models["new"].classes_)
