"""Ceiba on Ray and PECOS's distributed XR-Linear on MPI, side by side on the same features."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.data import write_features
from benchmarks.ray_overhead import append, here
from benchmarks.runner import HERE, Environments, machine, run_stage, score


def side_by_side(
    data: Path, out: Path, environments: Environments, *, limit: int, workers: int, repeats: int, time_limit: float
) -> None:
    """Train one tree by as many workers of Ray and processes of MPI, a thread each, in turn; append a row.

    The start of either cluster and of its processes, and the reading of the features, are not counted.
    """
    from ceiba.executors import RayExecutor

    if shutil.which("mpirun") is None:
        raise SystemExit("mpirun is not there: install Open MPI, Debian's openmpi-bin for one")
    seconds: dict[str, list[float]] = {"ceiba": [], "pecos": []}
    figures: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory() as work,
        RayExecutor("local", n_workers=workers, threads_per_worker=1, object_store_memory=800_000_000) as executor,
    ):
        features = Path(work) / data.name
        write_features(data, features, limit)
        n_rows = sp.load_npz(features / "Y_trn.npz").shape[0]
        for repeat in range(repeats):
            for name in seconds:
                model = Path(work) / f"{name}-{repeat}"
                if name == "ceiba":
                    seconds[name].append(_ceiba(features, model, executor))
                else:
                    seconds[name].append(_pecos(features, model, environments, workers, time_limit))
                if not repeat:
                    ids = run_stage("predict", name, features, model, environments, workers, {}, time_limit)[1]
                    found = score(features, ids)
                    figures[name] = {figure: found[figure] for figure in ("P@1", "P@3", "P@5", "PSP@5")}
    append(out, {
        "data": data.name, "rows": n_rows, "trees": 1, "workers": workers, "seconds": seconds,
        "times_faster": round(median(seconds["pecos"]) / median(seconds["ceiba"]), 2), "figures": figures,
        "pecos": "1.2.8, Open MPI", "machine": machine(), **here(),
    })  # fmt: skip


def _ceiba(features: Path, model: Path, executor: Any) -> float:
    from ceiba import XRLinear

    X, Y = (sp.load_npz(features / f"{name}.npz").astype(np.float32).tocsr() for name in ("X_trn", "Y_trn"))
    # the workers have imported Ceiba then, as those of MPI have PECOS
    XRLinear(empty_labels="keep").fit(X[:500], Y[:500], executor=executor)
    began = time.perf_counter()
    trained = XRLinear(random_state=0).fit(X, Y, executor=executor)
    seconds = time.perf_counter() - began
    trained.save(model)
    return round(seconds, 2)


def _pecos(features: Path, model: Path, environments: Environments, processes: int, time_limit: float) -> float:
    import json

    result = model.with_suffix(".json")
    command = [
        "mpirun", "--oversubscribe", "-n", str(processes), environments.python("pecos"), "-m", "mpi4py",
        str(HERE / "pecos_mpi.py"), str(features), str(model), "1", str(result),
    ]  # fmt: skip
    # Open MPI asks for these two where the user is root, as in most containers
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=time_limit, check=False, env={**os.environ, **allowed}
    )
    if done.returncode or not result.exists():
        raise SystemExit(f"PECOS under mpirun ended with {done.returncode}: {done.stderr[-2000:]}")
    return round(json.loads(result.read_text())["seconds"], 2)
