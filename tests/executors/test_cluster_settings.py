"""The settings of a cluster: one declaration for RayExecutor, the command line and the lists of parameters."""

import inspect
import json

import pytest

from ceiba.cli import main
from ceiba.errors import ClusterError, InputError
from ceiba.executors import RayExecutor

COMMANDS = {
    "train": ["train", "none.jsonl", "--model-dir", "m"],
    "predict": ["predict", "m", "none.jsonl", "-o", "out"],
    "evaluate": ["evaluate", "m", "none.jsonl"],
}


@pytest.fixture
def run(capsys):
    def run_command(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        found = capsys.readouterr()
        return stop.value.code, found.out, found.err

    return run_command


def test_every_setting_is_a_parameter_and_is_listed(run):
    listed = json.loads(run("params", "ray", "--json")[1])
    signature = inspect.signature(RayExecutor).parameters
    assert {"n_workers", "share", "max_retries", "object_store_memory", "connect_timeout"} <= listed.keys()
    for name, each in listed.items():
        assert signature[name].default == each["default"]
        assert each["values"]
        assert each["description"]
        assert f"\n    {name} : " in RayExecutor.__doc__


@pytest.mark.parametrize(
    ("name", "value"),
    [("gpus_per_worker", -1), ("object_store_memory", 0), ("object_store_memory", "2 GB"), ("n_workers", 1.5)],
)
def test_a_wrong_value_is_refused(name, value):
    with pytest.raises(InputError, match=name):
        RayExecutor(**{name: value})


def test_an_unknown_parameter_is_refused():
    with pytest.raises(TypeError, match="n_worker"):
        RayExecutor(n_worker=2)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--engine", "ray", "--cluster", "share=post"], "'share'"),
        (["--engine", "ray", "--cluster", "shares=files"], "'shares'"),
        (["--engine", "ray", "--cluster", "share"], "NAME=VALUE"),
        (["--engine", "ray", "--cluster", "share=files"], "work_dir"),
        (["--engine", "ray", "--cluster", "max_retries=1", "--cluster", "max_retries=2"], "'max_retries'"),
        (["--engine", "ray", "--workers", "2", "--cluster", "n_workers=3"], "--workers"),
        (["--engine", "ray", "--threads", "2", "--cluster", "threads_per_worker=3"], "--threads"),
        (["--cluster", "max_retries=1"], "--engine ray"),
    ],
)
def test_settings_that_cannot_be_used_are_found_before_the_work(run, tmp_path, monkeypatch, command, words, named):
    monkeypatch.chdir(tmp_path)
    code, _, error = run(*COMMANDS[command], *words)
    assert code == 2
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_settings_reach_the_executor(run, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    found = []

    def start(executor):
        found.append(executor.settings)
        raise ClusterError("not today")

    monkeypatch.setattr(RayExecutor, "start", start)
    words = ["--cluster", "max_retries=7", "--cluster", "connect_timeout=2.5", "--cluster", "gpus_per_worker=0.5"]
    code, _, error = run(*COMMANDS[command], "--engine", "ray", "--workers", 3, *words)
    assert (code, "not today" in error) == (2, True)
    settings = found[0]
    assert (settings.n_workers, settings.max_retries, settings.connect_timeout) == (3, 7, 2.5)
    assert settings.gpus_per_worker == 0.5
