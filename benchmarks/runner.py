"""Runs systems in turn, each stage in a process of its own, and appends a row for each."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks import data as data_files
from ceiba.metrics import evaluate

HERE = Path(__file__).resolve().parent
PROPENSITY = "propensity.json"  # A and B of a set, beside its features, where they are others than 0.55 and 1.5
FIGURES = [f"{name}@{k}" for name in ("P", "PSP", "nDCG", "R") for k in (1, 3, 5)]
SHOWN = ("system", "data", "train_total_s", "batch_us", "one_p50_us", "P@1", "failed")


@dataclass
class Environments:
    """The interpreters of the systems: Ceiba's and scikit-learn's is the one that runs this."""

    peers: Path
    libmultilabel: Path

    def python(self, system: str) -> str:
        """Return the interpreter of a system."""
        if system in ("ceiba", "sklearn"):
            return sys.executable
        path = self.libmultilabel if system == "libmultilabel" else self.peers
        if not path.exists():
            raise SystemExit(f"{path} is not there: make it with benchmarks/peers_env.sh, or name another one")
        return str(path)


def run_all(
    folders: Iterable[Path], systems: list[str], out: Path, environments: Environments, *, repeats: int, limit: int,
    threads: int, time_limit: float, features: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Run every system on every data folder, `repeats` times in turn."""
    facts: dict[str, Any] = {"limit": limit} if features is None else {"limit": limit, "features": features}
    with tempfile.TemporaryDirectory() as work:
        sets = {}
        for folder in folders:
            name = f"{folder.name}, first {limit}" if limit else folder.name
            sets[name] = Path(work) / folder.name
            if features is not None or str(folder) == data_files.ICD:
                data_files.write(sets[name], *data_files.matrices(folder, limit, False, threads, features))
            else:
                data_files.write_features(folder, sets[name], limit)
        run_in_turn(sets, systems, out, environments, repeats, threads, time_limit, facts)


def run_scale(
    numbers: list[int], systems: list[str], out: Path, environments: Environments, *, repeats: int, threads: int,
    time_limit: float,
) -> None:  # fmt: skip
    """Run every system on synthetic sets of growing numbers of labels."""
    from benchmarks.synthetic import generate

    for n_labels in numbers:
        with tempfile.TemporaryDirectory() as work:
            made = generate(n_labels)
            features = Path(work) / f"synthetic-{n_labels}"
            data_files.write(features, made.X, made.X_test, made.Y, made.Y_test)
            facts = {"labels": n_labels, "documents": made.X.shape[0], "columns": made.X.shape[1], "scale": True}
            del made
            run_in_turn({features.name: features}, systems, out, environments, repeats, threads, time_limit, facts)


def run_text(
    folders: Iterable[Path], systems: list[str], out: Path, environments: Environments, *, repeats: int, limit: int,
    threads: int, time_limit: float,
) -> None:  # fmt: skip
    """Time each system's own vectorizer, and one text in to labels out."""
    for folder in folders:
        for _ in range(repeats):
            for name in systems:
                with tempfile.TemporaryDirectory() as work:
                    result = Path(work) / "row.json"
                    command = [
                        environments.python(name),
                        str(HERE / "text.py"),
                        name,
                        str(folder),
                        str(limit),
                        str(threads),
                    ]
                    row = {"text": True, **_identity(name, folder.name, threads), "limit": limit}
                    row.update(_run([*command, str(result)], result, time_limit))
                    append(out, row)


def run_in_turn(
    sets: dict[str, Path], systems: list[str], out: Path, environments: Environments, repeats: int, threads: int,
    time_limit: float, facts: dict[str, Any],
) -> None:  # fmt: skip
    """Run every system on every set of features, `repeats` times in turn, and append a row for each run."""
    for name, features in sets.items():
        for repeat in range(repeats):
            for system in systems:
                row = {**_identity(system, name, threads), **facts, "repeat": repeat}
                row.update(run_one(system, features, environments, threads, time_limit, repeat))
                append(out, row)


def run_one(
    system: str, features: Path, environments: Environments, threads: int, time_limit: float, repeat: int = 0
) -> dict[str, Any]:
    """Train one system, then load it and predict in another process; return what was measured."""
    name, _, given = system.partition(":")
    settings = {key: _value(text) for key, _, text in (word.partition("=") for word in given.split("+") if word)}
    with tempfile.TemporaryDirectory() as work:
        model, row = Path(work) / "model", {}
        for stage in ("train", "predict"):
            found, ids = run_stage(stage, name, features, model, environments, threads, settings, time_limit)
            row.update(found)
            if "failed" in found:
                return {**row, "failed": f"{stage}: {found['failed']}"}
    return {**row, **score(features, ids)}


def run_stage(
    stage: str, system: str, features: Path, model: Path, environments: Environments, threads: int,
    settings: dict[str, Any], time_limit: float,
) -> tuple[dict[str, Any], Any]:  # fmt: skip
    """Let a process of its own train a system or predict with it; return what it measured, and the ids of "predict"."""
    with tempfile.TemporaryDirectory() as work:
        result = Path(work) / f"{stage}.json"
        command = [environments.python(system), str(HERE / "worker.py"), stage, system, str(features), str(model)]
        found = _run([*command, str(threads), json.dumps(settings), str(result)], result, time_limit)
        ids = Path(f"{result}.npy")
        return found, np.load(ids) if ids.exists() else None


def score(features: Path, ids: np.ndarray) -> dict[str, float]:
    """Return the figures of ranked ids, the same for every system."""
    Y, Y_test = (sp.load_npz(features / f"{name}.npz") for name in ("Y_trn", "Y_tst"))
    given = features / PROPENSITY
    A, B = json.loads(given.read_text()) if given.exists() else (0.55, 1.5)
    figures = evaluate(Y_test, ids[:, :5], ks=(1, 3, 5), Y_train=Y, A=A, B=B)
    return {name: round(float(figures[name]), 3) for name in FIGURES}


def append(out: Path, row: dict[str, Any], shown: Iterable[str] = SHOWN) -> None:
    """Add a row to a file of JSON lines in one write, and show some of it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps({key: row[key] for key in shown if key in row}), file=sys.stderr, flush=True)


def _run(command: list[str], result: Path, time_limit: float) -> dict[str, Any]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=time_limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {time_limit:.0f} s"}
    if done.returncode != 0 or not result.exists():
        return {"failed": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:300]}
    return json.loads(result.read_text())


def _identity(system: str, name: str, threads: int) -> dict[str, Any]:
    return {
        "system": system,
        "data": name,
        "threads": threads,
        "machine": machine(),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def machine() -> str:
    """Return the processor, its cores and the memory, in words."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        named = {key.strip(): value.strip() for key, value in lines.items()}
        wide = "AVX-512" if "avx512f" in named.get("flags", "") else "no AVX-512"
        model = f"{named.get('model name', model)}, {wide}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
