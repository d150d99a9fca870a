"""How many processors this process may use: its affinity, and the CPU quota of a container or a service."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any


def usable_cpus() -> int:
    """Return how many processors this process may use, at least 1.

    That is what its affinity and its cgroups' quotas leave, rounded up. ``PYTHON_CPU_COUNT`` and ``-X cpu_count`` count
    more than both, on every Python; Python itself knows them from 3.13 on.
    """
    asked, most = _limits()
    if asked:
        return asked
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return most if most < cpus else cpus


@lru_cache(maxsize=1)  # a tenth of a millisecond, which one text's answer must not take each time
def _limits() -> tuple[int | None, int]:
    """Return how many processors are asked for, and the most that a quota grants: read once in a process."""
    quota = cpu_quota()
    asked = asked_cpus(sys._xoptions, {} if sys.flags.ignore_environment else os.environ)
    return asked, sys.maxsize if quota is None else math.ceil(quota)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limits.cache_clear)


def asked_cpus(options: Mapping[str, Any], environment: Mapping[str, str]) -> int | None:
    """Return the number of processors that Python's own switches ask for; None where they ask for none."""
    for value in (options.get("cpu_count"), environment.get("PYTHON_CPU_COUNT")):
        if isinstance(value, str) and value.isdecimal() and int(value) > 0:
            return int(value)
        if value == "default":
            return None
    return None


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the processors that this process' cgroups grant, the least of all on the way up; None without a quota.

    Parameters
    ----------
    root : Path
        Where ``proc`` and the cgroup file systems are found.
    """
    groups = _groups(_lines(root / "proc/self/cgroup"))
    quotas = []
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            group, read = groups.get(""), _quota_v2
        elif kind[0] == "cgroup" and "cpu" in kind[2].split(","):
            group, read = groups.get("cpu"), _quota_v1
        else:
            continue
        mount = root / fields[4].replace(r"\040", " ").lstrip("/")
        for folder in _upwards(mount, group or "/", fields[3]):
            quota = read(folder)
            if quota is not None:
                quotas.append(quota)
    return min(quotas, default=None)


def _groups(lines: list[str]) -> dict[str, str]:
    """Return the path of this process' group by controller; that of version 2 has an empty name."""
    groups = {}
    for line in lines:
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _upwards(mount: Path, group: str, mounted: str) -> list[Path]:
    """Return the folders from a group up to the mount; a container's mount begins at its own group, not at the root."""
    path = PurePosixPath(group)
    inside = path.relative_to(mounted) if path.is_relative_to(mounted) else PurePosixPath()
    if ".." in inside.parts:
        inside = PurePosixPath()
    return [mount / inside, *(mount / parent for parent in inside.parents)]


def _quota_v2(folder: Path) -> float | None:
    return _ratio([word for line in _lines(folder / "cpu.max")[:1] for word in line.split()])


def _quota_v1(folder: Path) -> float | None:
    return _ratio([*_lines(folder / "cpu.cfs_quota_us")[:1], *_lines(folder / "cpu.cfs_period_us")[:1]])


def _ratio(words: list[str]) -> float | None:
    """Return quota over period; "max" and negative numbers are no quota."""
    try:
        quota, period = (int(word) for word in words)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
