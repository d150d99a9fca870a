"""A built wheel, in a fresh environment with no compiler on the PATH: `make test-newest` and `make test-wheel`."""

import json
import os
import platform
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.wheel,
    pytest.mark.skipif("CEIBA_WHEEL" not in os.environ, reason="CEIBA_WHEEL names no wheel"),
]

ROOT = Path(__file__).parents[2]
LARGEST_WHEEL = 5_000_000
FIRST_PREDICTION = """
import json
from ceiba import XRLinear
model = XRLinear().fit(["a ripe red apple", "fast red car"], [["fruit"], ["vehicle"]])
print(json.dumps(model.predict_topk(["a red apple"], k=1)[0].tolist()))
"""


class Environment:
    """A fresh environment, and a PATH that has its programs and no other."""

    def __init__(self, folder: Path):
        self.folder = folder
        subprocess.run([os.environ["CEIBA_WHEEL_PYTHON"], "-m", "venv", folder], check=True)
        hidden = ("PATH", "PYTHONPATH", "CC", "CXX", "CEIBA_ISA", "VIRTUAL_ENV")
        self.variables = {name: value for name, value in os.environ.items() if name not in hidden}
        self.variables |= {"PATH": str(folder / "bin"), "OMP_NUM_THREADS": "1"}

    def python(self, *arguments, cwd=None) -> str:
        done = subprocess.run(
            [self.folder / "bin" / "python", *arguments],
            env=self.variables,
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *what) -> None:
        self.python("-m", "pip", "install", "--quiet", "--only-binary", ":all:", *what)


@pytest.fixture(scope="module")
def wheel():
    return Path(os.environ["CEIBA_WHEEL"])


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel and what it depends on, nothing else, and time it up to a first prediction."""
    environment = Environment(tmp_path_factory.mktemp("fresh") / "env")
    for compiler in ("c++", "g++", "clang++", "cc", "gcc", "clang", "cmake", "ninja"):
        assert shutil.which(compiler, path=environment.variables["PATH"]) is None
    start = time.perf_counter()
    environment.install(wheel)
    middle = time.perf_counter()
    assert json.loads(environment.python("-c", FIRST_PREDICTION)) == [["fruit"]]
    end = time.perf_counter()
    environment.seconds = {"pip install": middle - start, "first prediction": end - middle}
    return environment


def test_it_has_every_instruction_set_and_is_small(wheel):
    assert wheel.stat().st_size < LARGEST_WHEEL
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {Path(name).name.split(".")[0] for name in names if name.startswith("ceiba/_native/") and ".so" in name}
    portable = {"core_v2", "core_v3", "core_v4"} if platform.machine() == "x86_64" else {"core_base"}
    assert modules == {"cpu", *portable}
    assert "ceiba/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "native/", "benchmarks/"))]


@pytest.mark.skipif(platform.system() != "Linux", reason="manylinux is a name of Linux")
def test_it_may_be_installed_on_other_systems(wheel):
    assert re.search(r"-manylinux_2_\d+_(x86_64|aarch64)\.whl$", wheel.name)


def test_it_installs_without_a_compiler(installed, capsys):
    with capsys.disabled():
        print("".join(f"\n{what}: {seconds:.1f} s" for what, seconds in installed.seconds.items()))
    assert "ceiba" in installed.python("-m", "pip", "list")
    assert str(installed.folder) in installed.python("-c", "import ceiba; print(ceiba.__file__)")


def test_the_example_of_the_readme_runs(installed, tmp_path):
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf8"), re.DOTALL)
    installed.python("-c", example[1], cwd=tmp_path)
    assert (tmp_path / "my-model").is_dir()


def test_the_smoke_tier_passes(installed):
    installed.install("pytest")
    report = installed.python("-m", "pytest", "-p", "no:cacheprovider", "-m", "smoke", "tests/smoke", cwd=ROOT)
    assert "passed" in report


def test_its_builds_agree(installed):
    installed.install("pytest")
    installed.python("-m", "pytest", "-p", "no:cacheprovider", "tests/native/test_builds.py", cwd=ROOT)


@pytest.mark.slow
def test_the_demo_runs(installed, tmp_path):
    installed.install("simple-icd-10-cm")
    figures = json.loads(installed.python("-m", "ceiba", "demo", "--json", cwd=tmp_path))
    assert figures
