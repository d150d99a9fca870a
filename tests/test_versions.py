"""The versions that CI holds to fit those that the project declares; workflows name what exists."""

import re
import tomllib
from pathlib import Path

import pytest

packaging = pytest.importorskip("packaging")
from packaging.markers import default_environment  # noqa: E402
from packaging.requirements import Requirement  # noqa: E402
from packaging.utils import canonicalize_name  # noqa: E402

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
LOCK = ROOT / "requirements" / "ci.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"))
SYSTEMS = (*SYSTEMS, ("win32", "Windows", "AMD64"))


def declared():
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    found = map(Requirement, [*PROJECT["dependencies"], *extras])
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def locked():
    lines = [line.strip() for line in LOCK.read_text(encoding="utf8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def environments():
    for python in PYTHONS:
        for platform, system, machine in SYSTEMS:
            yield {
                **default_environment(),
                "python_version": python,
                "python_full_version": f"{python}.1",
                "sys_platform": platform,
                "platform_system": system,
                "platform_machine": machine,
                "extra": "",
            }


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_one_locked_version_fits_on_every_system(requirement):
    name = canonicalize_name(requirement.name)
    entries = [entry for entry in locked() if canonicalize_name(entry.name) == name]
    for environment in environments():
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        chosen = [entry for entry in entries if entry.marker is None or entry.marker.evaluate(environment)]
        assert len(chosen) == 1, (environment, entries)
        (pin,) = chosen[0].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version)


def test_versions_held_back_are_the_locked_ones():
    pins = {entry.name: str(entry.specifier) for entry in locked()}
    for line in (ROOT / "requirements" / "held.in").read_text(encoding="utf8").splitlines():
        if line.strip() and not line.startswith("#"):
            held = Requirement(line)
            assert pins[held.name] == str(held.specifier)
    (torch,) = re.findall(r"^TORCH := torch(==\S+)$", (ROOT / "Makefile").read_text(encoding="utf8"), re.MULTILINE)
    assert pins["torch"] == torch


def test_minimum_python_is_the_oldest_that_ci_runs():
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(PYTHONS[0])
    assert not Requirement(f"python{PROJECT['requires-python']}").specifier.contains("3.10.99")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf8")
    assert all(f'"{python}"' in workflow for python in PYTHONS)


@pytest.mark.parametrize(
    "path", [ROOT / "Makefile", *ROOT.glob(".github/workflows/*.yml"), ROOT / ".ci" / "run"], ids=lambda path: path.name
)
def test_named_tests_exist(path):
    named = set(re.findall(r"(?<![\w/.])(?:\{project\}/)?(tests/[\w/.]+)", path.read_text(encoding="utf8")))
    assert [name for name in named if not (ROOT / name).exists()] == []
