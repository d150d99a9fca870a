"""Transformer matchers beside linear models on the same texts: run as a script, it is one system in its own process."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SYSTEMS = ("xr-linear", "xr-linear-3", "frozen", "xr-transformer", "x-transformer")
FIGURES = [f"{name}@{k}" for name in ("P", "PSP") for k in (1, 3, 5)]


def run(
    folder: Path, systems: list[str], out: Path, *, encoder: str, train: int, test: int, max_length: int, threads: int,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    """Train and measure every system on the first texts of a data folder, and append a row for each."""
    for system in systems:
        task = {
            "system": system,
            "folder": str(folder),
            "encoder": encoder,
            "train": train,
            "test": test,
            "max_length": max_length,
            "threads": threads,
            "settings": settings if system.endswith("transformer") else {},
        }
        done = subprocess.run([sys.executable, __file__, json.dumps(task)], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{system} failed")
        row = json.loads(done.stdout.splitlines()[-1])
        with open(out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print({name: row[name] for name in ("system", "data", "fit_s", *FIGURES)}, flush=True)


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Train and measure one system."""
    from benchmarks.data import read
    from benchmarks.runner import machine
    from ceiba import metrics

    folder = Path(task["folder"])
    (texts, labels), (test, truth) = (
        ([row["text"] for row in part], [row["labels"] for row in part])
        for part in read(folder, task["train"], task["test"])
    )
    known = {label for row in labels for label in row}
    truth = [[label for label in row if label in known] for row in truth]
    model = make(task)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    model.fit(texts, labels)
    fitted = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    top, _ = model.predict_topk(test, 5)
    predicted = time.perf_counter() - started
    figures = metrics.evaluate(truth, top, ks=(1, 3, 5), Y_train=labels)
    report = model.fit_report_
    return {
        **{name: task[name] for name in ("system", "train", "test", "max_length", "threads", "settings")},
        "data": f"{folder.name}, first {task['train']:,}",
        "machine": machine(),
        "labels": len(model.classes_),
        "fit_s": round(fitted, 2),
        "seconds": {name: round(value, 2) for name, value in report["seconds"].items()},
        "levels": report.get("matcher", []),
        "predict_ms_per_text": round(1e3 * predicted / len(test), 3),
        "peak_mb": round(peak),
        "peak_over_start_mb": round(peak - base),
        **{name: round(figures[name], 2) for name in FIGURES},
    }


def make(task: dict[str, Any]) -> Any:
    """Return the estimator of a system."""
    from ceiba import XRLinear, XRTransformer, XTransformer

    system, threads = task["system"], task["threads"]
    if system == "xr-linear":
        return XRLinear(n_jobs=threads)
    if system == "xr-linear-3":
        return XRTransformer.default_ranker().set_params(n_jobs=threads)
    kind = XTransformer if system == "x-transformer" else XRTransformer
    encoder = f"frozen:{task['encoder']}" if system == "frozen" else task["encoder"]
    return kind(encoder=encoder, max_length=task["max_length"], n_jobs=threads, **task["settings"])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    print(json.dumps(measure(json.loads(sys.argv[1]))))
