"""Nearest embeddings: a comparison with all rows, and a graph of them.

    python -m benchmarks dense --rows 100000,300000,1000000 --json rows.jsonl

The rows are made: topics of unit vectors, each row near its topic, with most of what differs in 64 directions, as in
embeddings of texts. Rows without any such order have no near neighbours, and say nothing of a search for them.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIM, DIRECTIONS, ROWS_OF_TOPIC = 384, 64, 200
N_QUERIES, N_ALONE, K = 1000, 100, 10


def made_rows(n: int, n_queries: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return rows and queries of length 1 from the same topics."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((max(20, n // ROWS_OF_TOPIC), DIM), np.float32)
    directions = rng.standard_normal((DIRECTIONS, DIM), np.float32) * np.float32(1.5 / np.sqrt(DIRECTIONS))

    def rows(count: int) -> NDArray[np.float32]:
        found = topics[rng.integers(0, len(topics), count)]
        for begin in range(0, count, 50_000):  # so that no second matrix of all rows is made
            part = found[begin : begin + 50_000]
            part += rng.standard_normal((len(part), DIRECTIONS), np.float32) @ directions
            part += np.float32(0.3) * rng.standard_normal(part.shape, np.float32)
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return found

    return rows(n), rows(n_queries)


def measure(numbers: list[int], out: Path, threads: int) -> None:
    """Append a row for each number of rows: seconds, bytes of the graph, milliseconds of a query, recall."""
    import tempfile

    import scipy.sparse as sp

    from ceiba.features.matrix import EMBEDDING, as_features
    from ceiba.io.registry import FolderWriter
    from ceiba.retrieval.dense_index import DenseIndex, save_dense_index
    from ceiba.retrieval.dense_labels import DenseLabels
    from ceiba.retrieval.generator import SearchContext
    from ceiba.retrieval.queries import Queries

    ctx = SearchContext(n_threads=threads)
    for n in numbers:
        rows, asked = made_rows(n, N_QUERIES)
        Q = Queries(as_features(sp.csr_array((N_QUERIES, 1), dtype=np.float32)).with_block(EMBEDDING, asked))
        started = time.perf_counter()
        graph = DenseIndex.of(rows)
        row: dict[str, Any] = {"rows": n, "dim": DIM, "threads": threads, "build_s": time.perf_counter() - started}
        with tempfile.TemporaryDirectory() as folder:
            save_dense_index(graph, "x", FolderWriter(Path(folder)))
            row["graph_mb"] = (Path(folder) / "x.usearch").stat().st_size / 1e6
        row["rows_mb"] = rows.nbytes / 1e6
        ranked = {}
        for name, index in (("exact", None), ("graph", graph)):
            search = DenseLabels(rows, name=name, index=index)
            started = time.perf_counter()
            ranked[name] = search.candidates(Q, K, ctx=ctx)
            row[f"{name}_batch_ms"] = 1000 * (time.perf_counter() - started) / N_QUERIES
            started = time.perf_counter()
            for i in range(N_ALONE):
                search.candidates(Q.part(i, i + 1), K, ctx=ctx)
            row[f"{name}_one_ms"] = 1000 * (time.perf_counter() - started) / N_ALONE
        exact, found = (set((each.rows * n + each.ids).tolist()) for each in ranked.values())
        row["recall@10"] = len(exact & found) / len(exact)
        row = {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
