"""How many threads `n_jobs` stands for: affinity, quotas of nested groups, Python's own switches."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ceiba
from ceiba import _cpus
from ceiba._cpus import asked_cpus, cpu_quota, usable_cpus
from ceiba._params import N_JOBS, available_threads, check
from ceiba.errors import InputError

V2 = "31 23 0:28 {root} /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw"
V1 = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def machine(folder, groups, mounts, files):
    """Make the part of a file system that tells of quotas."""
    contents = {"proc/self/cgroup": groups, "proc/self/mountinfo": "\n".join([MEMORY, mounts, "odd", ""]), **files}
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    return folder


def v2(**maxima):
    return {f"sys/fs/cgroup/{name.replace('_', '/')}/cpu.max": value for name, value in maxima.items()}


def v1(group, quota, period="100000"):
    folder = f"sys/fs/cgroup/cpu,cpuacct/{group}"
    return {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "quota"),
    [
        # version 2: the root of a container's own namespace, no quota, a service below a limited slice
        ("0::/", V2.format(root="/"), {"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ("0::/", V2.format(root="/"), {"sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ("0::/", V2.format(root="/"), {}, None),
        ("0::/a/b", V2.format(root="/"), v2(a="200000 100000", a_b="max 100000"), 2.0),
        ("0::/a/b", V2.format(root="/"), v2(a="200000 100000", a_b="50000 100000"), 0.5),
        ("0::/a/b", V2.format(root="/"), v2(a="200000 100000", a_b="800000 100000", c="10000 100000"), 2.0),
        # a mount that begins at the container's own group
        ("0::/docker/x", V2.format(root="/docker/x"), {"sys/fs/cgroup/cpu.max": "300000 100000"}, 3.0),
        ("0::/../x", V2.format(root="/"), {"sys/fs/cgroup/cpu.max": "300000 100000"}, 3.0),
        # version 1, alone and beside version 2
        ("4:cpu,cpuacct:/\n3:memory:/m", V1.format(root="/"), v1("", "250000"), 2.5),
        ("4:cpu,cpuacct:/a/b\n3:memory:/m", V1.format(root="/"), {**v1("a", "400000"), **v1("a/b", "-1")}, 4.0),
        ("4:cpuacct,cpu:/docker/x", V1.format(root="/docker/x"), v1("", "50000", "50000"), 1.0),
        ("4:cpu,cpuacct:/", V1.format(root="/"), v1("", "-1"), None),
        ("0::/\n4:cpu,cpuacct:/a", V1.format(root="/") + "\n" + V2.format(root="/"), v1("a", "100000"), 1.0),
        # what cannot be read is no quota
        ("0::/", V2.format(root="/"), {"sys/fs/cgroup/cpu.max": "many few"}, None),
        ("0::/", V2.format(root="/"), {"sys/fs/cgroup/cpu.max": ""}, None),
        ("0::/", V2.format(root="/"), {"sys/fs/cgroup/cpu.max": "100000 0"}, None),
        ("", "", {}, None),
    ],
)
def test_quotas(tmp_path, groups, mounts, files, quota):
    assert cpu_quota(machine(tmp_path, groups, mounts, files)) == quota


def test_a_system_without_groups(tmp_path):
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("cpus", "asked", "quota", "expected"),
    [(8, None, None, 8), (8, None, 1.5, 2), (8, None, 0.2, 1), (2, None, 6.0, 2), (8, 3, 1.0, 3), (2, 5, None, 5)],
)
def test_what_counts(monkeypatch, cpus, asked, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cpus)), raising=False)
    monkeypatch.setattr(_cpus, "cpu_quota", lambda: quota)
    monkeypatch.setattr(_cpus, "asked_cpus", lambda *given: asked)
    _cpus._limits.cache_clear()
    assert usable_cpus() == expected
    assert available_threads(None) == available_threads(-1) == expected
    assert available_threads(-2) == max(1, expected - 1)
    assert available_threads(-100) == 1
    assert available_threads(np.int64(3)) == 3
    monkeypatch.undo()
    _cpus._limits.cache_clear()


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({}, {}, None),
        ({}, {"PYTHON_CPU_COUNT": "3"}, 3),
        ({"cpu_count": "2"}, {"PYTHON_CPU_COUNT": "3"}, 2),
        ({"cpu_count": "default"}, {"PYTHON_CPU_COUNT": "3"}, None),
        ({}, {"PYTHON_CPU_COUNT": "default"}, None),
        ({}, {"PYTHON_CPU_COUNT": "0"}, None),
        ({}, {"PYTHON_CPU_COUNT": "many"}, None),
    ],
)
def test_switches_of_python(options, environment, expected):
    assert asked_cpus(options, environment) == expected


def test_the_environment_of_a_process():
    script = "from ceiba._params import available_threads as a; print(a(None), a(-2), a(4))"
    environment = {**os.environ, "PYTHONPATH": str(Path(ceiba.__file__).parents[1]), "PYTHON_CPU_COUNT": "3"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["3", "2", "4"]


def test_kinds_of_n_jobs():
    for good in (None, -1, -2, -99, 1, 64, np.int64(-2)):
        check("n_jobs", good, N_JOBS, "F")
    for bad in (0, 1.5, "2", True, float("nan")):
        with pytest.raises(InputError, match="n_jobs"):
            check("n_jobs", bad, N_JOBS, "F")


def test_all_but_one_trains_the_same():
    texts, labels = ["red car", "blue sea", "red sea"], [["a"], ["b"], ["a", "b"]]
    model = ceiba.XRLinear(n_jobs=-2).fit(texts, labels)
    assert (
        model.predict_topk(texts)[1].tobytes()
        == ceiba.XRLinear(n_jobs=1).fit(texts, labels).predict_topk(texts)[1].tobytes()
    )
    tf = ceiba.TfidfVectorizer(n_jobs=-2)
    assert (tf.fit_transform(texts) != ceiba.TfidfVectorizer(n_jobs=1).fit_transform(texts)).nnz == 0
