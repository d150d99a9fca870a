"""What the core's kernels do, in units of work, beside what this machine's caches and memory allow.

A roofline ratio is the time the bytes of a kernel's work would take at the bandwidth of the memory they lie in, over
the time it takes: 1 is the limit. Times are CPU seconds of one thread, medians of a few runs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks import data as data_files
from benchmarks.runner import append, machine
from ceiba import TfidfVectorizer, XRLinear
from ceiba.features.matrix import as_features
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.queries import Queries

LINE = 64  # bytes


def bandwidth(n_bytes: int) -> float:
    """Return the GB/s at which one thread sums arrays of this size again and again."""
    values = np.ones(n_bytes // 4, np.float32)
    rounds = max(1, (256 << 20) // n_bytes)

    def read() -> None:
        for _ in range(rounds):
            values.max()

    return rounds * n_bytes / seconds(read) / 1e9


def seconds(call: Callable[[], Any], runs: int = 5) -> float:
    """Return the median CPU seconds of a call."""
    taken = []
    for _ in range(runs):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def measure(folder: Path, out: Path) -> None:
    """Append a row for each kernel."""
    limits = {"L2": bandwidth(256 << 10), "L3": bandwidth(8 << 20), "memory": bandwidth(512 << 20)}
    facts = {"kernels": True, "data": folder.name, "machine": machine(), "bandwidth_gb_s": limits}
    with tempfile.TemporaryDirectory() as work:
        data_files.write_features(folder, Path(work))
        X, X_test, Y = (sp.load_npz(Path(work) / f"{name}.npz") for name in ("X_trn", "X_tst", "Y_trn"))
    model = XRLinear(n_jobs=1).fit(X, Y)
    for t, layer in enumerate(model.partitions_[0].layers):
        taken = model.fit_report_["seconds"][f"tree 1 level {t + 1}"]
        bytes_per_line = LINE // 2 if t == 0 else LINE  # the root's groups have 8 lanes
        row = {"kernel": f"solver, level {t + 1}", "seconds": taken, **layer.work}
        row["ns_per_visit"] = 1e9 * taken / layer.work["visits"]
        row["ns_per_line"] = 1e9 * taken / layer.work["lines"]
        row["roofline_l2"] = layer.work["lines"] * bytes_per_line / 1e9 / limits["L2"] / taken
        append(out, {**facts, **row})
    search, Q, ctx = model.model_.tree_search, Queries(as_features(X_test)), SearchContext(beam_size=10)
    work_done = search.work(Q, 10, ctx=ctx)
    rows = [Queries(as_features(X_test[i])) for i in range(X_test.shape[0])]
    for name, call in {
        "search, a batch": lambda: search.rank(Q, 10, ctx=ctx),
        "search, row by row": lambda: [search.rank(row, 10, ctx=ctx) for row in rows],
    }.items():
        taken = seconds(call, 3)
        # a line for the record and one for the row of each look-up, a byte for each weight
        touched = 2 * work_done["lookups"] * LINE + work_done["weights"]
        row = {"kernel": name, "seconds": taken, "documents": X_test.shape[0], **work_done}
        row["ns_per_lookup"] = 1e9 * taken / work_done["lookups"]
        row["ns_per_weight"] = 1e9 * taken / work_done["weights"]
        row["roofline_l3"] = touched / 1e9 / limits["L3"] / taken
        append(out, {**facts, **row})
    train, _ = data_files.read(folder)
    texts = [row["text"] for row in train]
    size = sum(map(len, texts))
    vectorizer = TfidfVectorizer(n_jobs=1)
    for name, call in {"TF-IDF, fit": vectorizer.fit, "TF-IDF, transform": vectorizer.transform}.items():
        taken = seconds(lambda call=call: call(texts), 3)
        row = {"kernel": name, "seconds": taken, "megabytes": size / 1e6, "ns_per_character": 1e9 * taken / size}
        row["roofline_memory"] = size / 1e9 / limits["memory"] / taken
        append(out, {**facts, **row})
