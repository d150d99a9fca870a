"""Transformer matchers beside linear models on the same texts: run as a script, it is one system in its own process."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

SYSTEMS = ("xr-linear", "xr-linear-3", "frozen", "xr-transformer", "x-transformer", "pecos-xr-transformer")
FIGURES = [f"{name}@{k}" for name in ("P", "PSP") for k in (1, 3, 5)]


# PECOS's own: the tree of its matcher (splits, clusters, labels of a leaf) and the steps of each level of it are given
PECOS = {"matcher_tree": [16, 1024, 16], "steps": [0, 240], "learning_rate": 1e-4, "batch_size": 32}
PECOS |= {"Cp": 4.0, "Cn": 1.0, "threshold": 0.001, "beam": 100, "fine_tune": True}


def run(
    folder: Path, systems: list[str], out: Path, *, encoder: str, train: int, test: int, max_length: int, threads: int,
    settings: dict[str, Any], pecos: dict[str, Any], peers: Path, label_texts: bool, labels: int, validation: bool,
    seed: int,
) -> None:  # fmt: skip
    """Train and measure every system on the first texts of a data folder, and append a row for each."""
    from benchmarks.runner import append

    for system in systems:
        own = pecos if system.startswith("pecos") else settings if system.endswith("transformer") else {}
        task = {
            "system": system,
            "folder": str(folder),
            "encoder": encoder,
            "train": train,
            "test": test,
            "max_length": max_length,
            "threads": threads,
            "settings": own,
            "label_texts": label_texts,
            "most_labels": labels,
            "validation": validation,
            "seed": seed,
            "peers": str(peers),
        }
        done = subprocess.run([sys.executable, __file__, json.dumps(task)], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{system} failed")
        row = json.loads(done.stdout.splitlines()[-1])
        append(out, row, ("system", "data", "fit_s", *FIGURES))


def texts_of(task: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str], list[list[str]]]:
    """Return texts and labels to train on and to measure with: of validation, the training texts that follow."""
    from benchmarks.data import read

    folder, n, m, most = Path(task["folder"]), task["train"], task["test"], task["most_labels"]
    needed = n + m if task["validation"] else n
    rows, test = of_frequent_labels(*read(folder), most) if most else read(folder, needed, m)
    rows, test = (rows[:n], rows[n:needed]) if task["validation"] else (rows[:n], test[:m])
    known = {label for row in rows for label in row["labels"]}
    truth = [[label for label in row["labels"] if label in known] for row in test]
    return [row["text"] for row in rows], [row["labels"] for row in rows], [row["text"] for row in test], truth


def of_frequent_labels(rows: list[dict], test: list[dict], n_labels: int) -> tuple[list[dict], list[dict]]:
    """Return the texts that have one of the training texts' most frequent labels, with those of their labels alone."""
    counts = Counter(label for row in rows for label in row["labels"])
    kept = set(sorted(counts, key=lambda label: (-counts[label], label))[:n_labels])

    def of_kept(part: list[dict]) -> list[dict]:
        return [{**row, "labels": own} for row in part if (own := [label for label in row["labels"] if label in kept])]

    return of_kept(rows), of_kept(test)


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Train and measure one system."""
    from benchmarks.runner import machine
    from ceiba import metrics

    folder = Path(task["folder"])
    texts, labels, test, truth = texts_of(task)
    made = (measure_pecos if task["system"].startswith("pecos") else measure_ceiba)(task, texts, labels, test)
    figures = metrics.evaluate(truth, made.pop("top"), ks=(1, 3, 5), Y_train=labels)
    return {
        **{name: value for name, value in task.items() if name not in ("folder", "encoder", "peers")},
        "encoder": Path(task["encoder"]).name,
        "data": f"{folder.name}, first {task['train']:,}",
        "machine": machine(),
        **made,
        **{name: round(figures[name], 2) for name in FIGURES},
    }


def measure_ceiba(task: dict[str, Any], texts: list[str], labels: list[list[str]], test: list[str]) -> dict[str, Any]:
    """Train a system of Ceiba and rank labels for the test texts."""
    from benchmarks.data import label_texts

    model = make(task)
    extra = {"label_texts": label_texts(Path(task["folder"]))} if task["label_texts"] else {}
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    model.fit(texts, labels, **extra)
    fitted = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    top, _ = model.predict_topk(test, 5)
    predicted = time.perf_counter() - started
    report = model.fit_report_
    return {
        "top": top,
        "labels": len(model.classes_),
        "fit_s": round(fitted, 2),
        "seconds": {name: round(value, 2) for name, value in report["seconds"].items()},
        "levels": report.get("matcher", []),
        "label_documents": getattr(model, "ranker_", model).label_documents,
        "cosine_weight": getattr(model, "cosine_weight_", 0.0),
        "predict_ms_per_text": round(1e3 * predicted / len(test), 3),
        "peak_mb": round(peak),
        "peak_over_start_mb": round(peak - base),
    }


def measure_pecos(task: dict[str, Any], texts: list[str], labels: list[list[str]], test: list[str]) -> dict[str, Any]:
    """Train PECOS's XR-Transformer in its own interpreter, on Ceiba's TF-IDF, and take what it ranks."""
    from benchmarks.data import write
    from ceiba import TfidfVectorizer
    from ceiba.data.labels import encode_labels

    Y, classes = encode_labels(labels)
    vectorizer = TfidfVectorizer()
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        Y = sp.csr_matrix(Y, dtype=np.float32)
        write(at, sp.csr_matrix(vectorizer.fit_transform(texts)), sp.csr_matrix(vectorizer.transform(test)), Y, Y[:0])
        (at / "train.json").write_text(json.dumps(texts), encoding="utf-8")
        (at / "test.json").write_text(json.dumps(test), encoding="utf-8")
        own = {name: task[name] for name in ("encoder", "max_length", "threads", "seed")}
        given = json.dumps({**own, **PECOS, **task["settings"], "folder": folder, "out": str(at / "result.json")})
        script = Path(__file__).parent / "systems" / "pecos_transformer.py"
        # it loads checkpoints of its own that are no plain tensors
        environment = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [task["peers"], "-P", "-W", "ignore", str(script), given]  # -P: pecos.py lies beside it
        subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr, env=environment)
        result = json.loads((at / "result.json").read_text(encoding="utf-8"))
    ids = [row + [-1] * (5 - len(row)) for row in result["top"]]
    return {
        "top": np.append(classes, [None])[np.array(ids)],
        "labels": len(classes),
        "fit_s": round(result["fit_s"], 2),
        "predict_ms_per_text": round(1e3 * result["predict_s"] / len(test), 3),
        "peak_mb": round(result["peak_mb"]),
    }


def make(task: dict[str, Any]) -> Any:
    """Return the estimator of a system."""
    from benchmarks.estimators import make_estimator
    from ceiba import XRLinear, XRTransformer, XTransformer

    system, threads = task["system"], task["threads"]
    if system.startswith("xr-linear"):
        model = XRLinear() if system == "xr-linear" else XRTransformer.default_ranker()
        return model.set_params(n_jobs=threads, random_state=task["seed"], label_documents=task["label_texts"])
    kind = XTransformer if system == "x-transformer" else XRTransformer
    encoder = f"frozen:{task['encoder']}" if system == "frozen" else task["encoder"]
    shared = {"max_length": task["max_length"], "n_jobs": threads, "random_state": task["seed"]}
    return make_estimator(kind, task["settings"], encoder=encoder, **shared)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    print(json.dumps(measure(json.loads(sys.argv[1]))))
