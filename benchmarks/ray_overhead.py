"""What the Ray path costs: side by side with threads on one node, and the memory of the driver."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np


def side_by_side(data: Path, out: Path, *, limit: int, n_trees: int, workers: int, repeats: int) -> None:
    """Train the same ensemble by threads of this process and by as many workers of a Ray, in turn."""
    from benchmarks.data import read
    from ceiba import XRLinear
    from ceiba.executors import RayExecutor
    from ceiba.features import TfidfVectorizer

    rows, _ = read(data, limit, 0)
    X = TfidfVectorizer(n_jobs=workers).fit_transform([row["text"] for row in rows])
    labels = [row["labels"] for row in rows]
    seconds: dict[str, list[float]] = {"threads": [], "ray": []}
    saved: dict[str, dict[str, bytes]] = {}
    with RayExecutor("local", n_workers=workers, threads_per_worker=1, object_store_memory=800_000_000) as executor:
        for _ in range(repeats):
            for name in seconds:
                model = XRLinear(n_trees=n_trees, random_state=0, n_jobs=workers)
                began = time.perf_counter()
                model.fit(X, labels, executor=executor if name == "ray" else None)
                seconds[name].append(round(time.perf_counter() - began, 2))
                with tempfile.TemporaryDirectory() as folder:
                    model.save(Path(folder) / "m")
                    saved[name] = {p.name: p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
    row = {
        "data": data.name, "rows": len(rows), "trees": n_trees, "workers": workers, "seconds": seconds,
        "ratio": round(median(seconds["ray"]) / median(seconds["threads"]), 3),
        "same_bytes": saved["ray"] == saved["threads"], **here(),
    }  # fmt: skip
    append(out, row)


def driver_memory(out: Path, *, megabytes: int, share: str) -> None:
    """Train on a made-up set of that size in a process of its own, and compare its peak with the set."""
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, str(megabytes), share], capture_output=True, text=True, env=dict(os.environ)
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    row = json.loads(done.stdout.splitlines()[-1])
    append(out, {"set_mb": megabytes, "share": share, **row, **here()})


_DRIVER = """
import json, sys, tempfile, time
import numpy as np, scipy.sparse as sp
from ceiba import XRLinear
from ceiba.executors import RayExecutor
def peak(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1e3 for line in file if line.startswith(name))
megabytes, share = int(sys.argv[1]), sys.argv[2]
per_row, d, L = 200, 100_000, 2000
n = megabytes * 10**6 // (8 * per_row)
rng = np.random.default_rng(0)
with tempfile.TemporaryDirectory() as work:
    executor = RayExecutor("local", n_workers=1, threads_per_worker=1, object_store_memory=(megabytes + 300) * 10**6,
                           work_dir=work, share=share)
    executor.start()
    indices, data = np.empty(n * per_row, np.int32), np.full(n * per_row, 0.07, np.float32)
    y = rng.integers(0, L, n)
    step, topic = d // per_row, rng.integers(0, d // per_row, (L, per_row), dtype=np.int32)
    for a in range(0, n, 50_000):
        own = topic[y[a : a + 50_000]]
        noise = rng.integers(0, step, own.shape, dtype=np.int32)
        own = np.where(rng.random(own.shape, dtype=np.float32) < 0.2, own, noise)
        indices[a * per_row : (a + len(own)) * per_row] = (own + np.arange(per_row, dtype=np.int32) * step).ravel()
    X = sp.csr_array((data, indices, np.arange(n + 1, dtype=np.int32) * per_row), shape=(n, d))
    Y = sp.csr_array((np.ones(n, np.float32), y.astype(np.int32), np.arange(n + 1, dtype=np.int32)), shape=(n, L))
    del indices, data
    size = sum(a.nbytes for m in (X, Y) for a in (m.data, m.indices, m.indptr)) / 1e6
    began = time.perf_counter()
    XRLinear(n_trees=1, random_state=0, max_iter=3).fit(X, Y, executor=executor)
    seconds = time.perf_counter() - began
    print(json.dumps({"data_mb": round(size), "peak_mb": round(peak("VmHWM")), "anonymous_mb": round(peak("RssAnon")),
                      "ratio": round(peak("VmHWM") / size, 3), "seconds": round(seconds, 1)}))
    executor.close()
"""


def here() -> dict[str, Any]:
    """Return the command, the commit and the versions of a row."""
    import ray

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = f"python -m benchmarks {' '.join(words)}"
    return {
        "command": command, "commit": commit, "ray": ray.__version__, "numpy": np.__version__,
        "python": platform.python_version(), "cpus": os.cpu_count(),
    }  # fmt: skip


def append(out: Path, row: dict[str, Any]) -> None:
    """Add a row to a file of JSON lines, and print it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))
