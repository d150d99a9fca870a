"""What a hybrid model costs: its training beside that of its linear base alone, and the answer for one text.

    python -m benchmarks hybrid-cost --data FOLDER --train 50000 --repeats 2 --json rows.jsonl

The folder is that of `hybrid`. Both models make their features of the texts themselves. They are trained in turn, so
that a machine that other programs use is as busy for both. Seconds of the processor are those of all threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hybrid import one_text, rows_of, write_row

SETTINGS = {"sources": ["linear", "neighbors"], "fusion": "logistic"}


def run_cost(
    folder: Path,
    out: Path,
    *,
    train: int,
    label_texts: bool,
    settings: dict[str, Any],
    repeats: int,
    model_dir: Path | None,
    threads: int,
) -> None:
    """Append a row of training times, where there is no model yet, and of the times of single texts."""
    from ceiba import HybridClassifier, load

    about = {"data": folder.name, "label texts": label_texts, "settings": settings, "threads": threads}
    row: dict[str, Any] = {}
    if model_dir is not None and model_dir.exists():
        model = load(model_dir)
        model.set_params(n_jobs=threads)
    else:
        model, row = _train(folder, train, label_texts, settings, repeats, threads)
        if model_dir is not None:
            model.save(model_dir)
    assert isinstance(model, HybridClassifier)
    texts = [each["text"] for each in rows_of(folder / "test.jsonl.gz", 1100)]
    model.predict_topk(texts[-100:], k=5)  # touches the model's pages
    sizes = {"train": model.n_train_, "labels": len(model.classes_)}
    write_row(out, {**about, **sizes, "system": "hybrid cost", **row, "seconds": one_text(model, texts, 1000)})


def _train(
    folder: Path, train: int, label_texts: bool, settings: dict[str, Any], repeats: int, threads: int
) -> tuple[Any, dict[str, Any]]:
    """Train base and hybrid model in turn; return the last hybrid model and the seconds of all."""
    from ceiba import HybridClassifier, XRLinear

    rows = list(rows_of(folder / "train.jsonl.gz", train or None))
    texts, labels = [row["text"] for row in rows], [row["labels"] for row in rows]
    known = {label for row in labels for label in row}
    names = {each["label"]: each["text"] for each in rows_of(folder / "labels.jsonl.gz") if each["label"] in known}
    names = {label: text for label, text in names.items() if text.strip()} if label_texts else {}
    taken: dict[str, list[float]] = {}
    for _ in range(repeats):
        # the settings of the source "linear" where no base is given
        base = XRLinear(n_trees=3, relevance_norm="l2", n_jobs=threads)
        _timed(taken, "base", lambda base=base: base.fit(texts, labels))
        hybrid = HybridClassifier(n_jobs=threads, **settings)
        _timed(taken, "hybrid", lambda hybrid=hybrid: hybrid.fit(texts, labels, label_texts=names or None))
    row: dict[str, Any] = {
        "training": {name: [round(value, 1) for value in values] for name, values in taken.items()},
        "hybrid / base": round(float(np.median(taken["hybrid, s"]) / np.median(taken["base, s"])), 2),
        "hybrid / base, CPU": round(float(np.median(taken["hybrid, CPU s"]) / np.median(taken["base, CPU s"])), 2),
    }
    return hybrid, row


def _timed(taken: dict[str, list[float]], name: str, work: Callable[[], Any]) -> None:
    started, busy = time.perf_counter(), time.process_time()
    work()
    taken.setdefault(f"{name}, s", []).append(time.perf_counter() - started)
    taken.setdefault(f"{name}, CPU s", []).append(time.process_time() - busy)
