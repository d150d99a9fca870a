"""Annif's lexical matcher, its Bonsai tree and their ensembles, on the records and with the figures of hybrid.py.

    python -m benchmarks annif --data FOLDER --annif-env ENV --json rows.jsonl

The sources are first trained without some held-out records. On these Annif's own search finds the weights of the simple
ensemble, and the neural ensemble is trained. Then the sources are trained once more, on all records.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.hybrid import ranking_figures, rows_of, write_row
from benchmarks.runner import machine
from benchmarks.systems.annif import SOURCES, Annif


def run_annif(
    folder: Path, out: Path, *, env: Path, train: int, test: int, held_out: int, neural: bool, threads: int,
    keep: Path | None,
) -> None:  # fmt: skip
    """Train Annif's projects, measure each on the test records, and append a row for each."""
    train_rows = list(rows_of(folder / "train.jsonl.gz", train or None))
    test_rows = list(rows_of(folder / "test.jsonl.gz", test or None))
    known = [label for row in train_rows for label in row["labels"]]
    names = {row["label"]: row["text"] for row in rows_of(folder / "labels.jsonl.gz") if row["text"].strip()}
    names |= {label: label for label in known if label not in names}
    column = {label: i for i, label in enumerate(sorted(names))}
    counts = np.bincount([column[label] for label in known], minlength=len(column))
    test_rows = [row for row in test_rows if any(label in column for label in row["labels"])]
    pairs = [(i, column[label]) for i, row in enumerate(test_rows) for label in set(row["labels"]) if label in column]
    row, label = np.array(pairs).T
    Y = sp.csr_array((np.ones(len(row), np.float32), (row, label)), shape=(len(test_rows), len(column)))
    with tempfile.TemporaryDirectory() as work:
        annif = Annif(env, keep or Path(work), threads)
        annif.configure()
        annif.load_labels(names)
        seconds, weights = _train(annif, train_rows, held_out, neural)
        wanted = [*SOURCES, "ensemble", *(["nn_ensemble"] if neural else [])]
        documents = annif.documents("test", [{"text": row["text"], "labels": []} for row in test_rows])
        for project in wanted:
            started = time.perf_counter()
            found = annif.rank(project, documents)
            predicting = time.perf_counter() - started
            if len(found) != len(test_rows):
                raise SystemExit(f"{project} answered {len(found)} of {len(test_rows)} texts")
            about = {
                "data": folder.name,
                "train": len(train_rows),
                "test": len(test_rows),
                "labels": len(column),
                "settings": {"held_out": held_out, "weights": weights},
                "threads": threads,
                "machine": machine(),
                "versions": annif.versions(),
                "system": f"annif-{project}",
            }
            taken = {"training": round(seconds[project], 1), "predicting": round(predicting, 1)}
            figures = ranking_figures(_matrix(found, column), Y, counts, len(train_rows))
            write_row(out, {**about, **figures, "seconds": taken})


def _train(
    annif: Annif, rows: list[dict[str, Any]], held_out: int, neural: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Train all projects; return the seconds that each needs in all, and the weights of the sources."""
    order = np.random.default_rng(5).permutation(len(rows))
    held = annif.documents("held-out", [rows[i] for i in order[:held_out]])
    rest = annif.documents("rest", [rows[i] for i in order[held_out:]])
    everything = annif.documents("train", rows)

    def timed(call: Any, *arguments: Any) -> tuple[float, Any]:
        started = time.perf_counter()
        result = call(*arguments)
        taken = time.perf_counter() - started
        print(f"{call.__name__} {arguments[0] if len(arguments) > 1 else ''}: {taken:.0f} s", flush=True)
        return taken, result

    first = sum(timed(annif.train, name, rest)[0] for name in SOURCES)
    searching, weights = timed(annif.weights, held)
    annif.configure(weights)
    fitting = timed(annif.train, "nn_ensemble", held)[0] if neural else 0.0
    seconds = {name: timed(annif.train, name, everything)[0] for name in SOURCES}
    both = sum(seconds.values())
    return seconds | {"ensemble": first + searching + both, "nn_ensemble": first + searching + fitting + both}, weights


def _matrix(found: list[list[tuple[str, float]]], column: dict[str, int]) -> sp.csr_array:
    """Return scores of rows in the order they came."""
    ptr = np.concatenate([[0], np.cumsum([len(row) for row in found])])
    ids = np.array([column[label] for row in found for label, _ in row], np.int64)
    scores = np.array([score for row in found for _, score in row], np.float32)
    return sp.csr_array((scores, ids, ptr), shape=(len(found), len(column)))
