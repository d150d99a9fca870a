"""What must work on every Python and with each of its switches: install, then ``pytest tests/smoke``, without torch."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ceiba
from ceiba.errors import MissingExtraError

pytestmark = pytest.mark.smoke

SESSION = Path(__file__).parent / "session.py"


@pytest.mark.parametrize(
    ("switches", "variables", "level"),
    [
        ([], {}, 0),
        pytest.param(["-O"], {}, 1, marks=pytest.mark.slow),
        (["-OO"], {}, 2),
        pytest.param([], {"PYTHONOPTIMIZE": "2"}, 2, marks=pytest.mark.slow),
    ],
    ids=["plain", "-O", "-OO", "PYTHONOPTIMIZE"],
)
def test_a_session_works(switches, variables, level, tmp_path):
    source = str(Path(ceiba.__file__).parents[1])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    ran = subprocess.run(
        [sys.executable, *switches, SESSION],
        env={**environment, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == f"done {level}"


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
@pytest.mark.parametrize("kind", ["XRTransformer", "XTransformer"])
def test_without_torch_the_extra_is_named(kind):
    with pytest.raises(MissingExtraError, match=r"ceiba\[transformer\]"):
        getattr(ceiba, kind)(encoder="static").fit(["red car", "blue sea"], [["red"], ["blue"]])
