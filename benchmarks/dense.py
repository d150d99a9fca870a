"""Nearest embeddings: a comparison with all rows, a graph of them, and faiss's graph where it is installed.

    python -m benchmarks dense --rows 100000,300000,1000000 --json rows.jsonl
    python -m benchmarks dense --rows 100000 --data FOLDER --encoder frozen:FOLDER --json rows.jsonl

Rows are embeddings of a folder's training texts, and queries those of its test texts. Without a folder they are made:
topics of unit vectors, each row near its topic, with most of what differs in 64 directions, as in embeddings of texts.
Rows without any such order have no near neighbours, and say nothing of a search for them.

Both graphs have 16-bit numbers, the same number of neighbors and the same widths of search, and are built by one
thread. Rows that a graph proposes are ranked by their exact cosines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIM, DIRECTIONS, ROWS_OF_TOPIC = 384, 64, 200
N_QUERIES, N_ALONE, K = 1000, 100, 10
MAX_LENGTH = 32  # tokens of a text
FAISS = "faiss"

Rows = NDArray[np.float32]


def made_rows(n: int, n_queries: int, seed: int = 0) -> tuple[Rows, Rows]:
    """Return rows and queries of length 1 from the same topics."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((max(20, n // ROWS_OF_TOPIC), DIM), np.float32)
    directions = rng.standard_normal((DIRECTIONS, DIM), np.float32) * np.float32(1.5 / np.sqrt(DIRECTIONS))

    def rows(count: int) -> Rows:
        found = topics[rng.integers(0, len(topics), count)]
        for begin in range(0, count, 50_000):  # so that no second matrix of all rows is made
            part = found[begin : begin + 50_000]
            part += rng.standard_normal((len(part), DIRECTIONS), np.float32) @ directions
            part += np.float32(0.3) * rng.standard_normal(part.shape, np.float32)
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return found

    return rows(n), rows(n_queries)


def text_rows(folder: Path, encoder: str, n: int, n_queries: int, threads: int) -> tuple[Rows, Rows]:
    """Return embeddings of the first training texts and of the first test texts, of length 1."""
    from benchmarks.hybrid import rows_of
    from ceiba.encoders.load import load_encoder

    network = load_encoder(encoder.removeprefix("frozen:"), max_length=MAX_LENGTH)

    def embedded(file: str, most: int) -> Rows:
        texts = [row["text"] for row in rows_of(folder / file, most)]
        found = network.embed(network.tokenize(texts), n_threads=threads)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)

    return embedded("train.jsonl.gz", n), embedded("test.jsonl.gz", n_queries)


def measure(numbers: list[int], out: Path, threads: int, folder: Path | None, encoder: str | None) -> None:
    """Append a row for each number of rows: seconds, bytes of each graph, milliseconds of a query, recall."""
    if (folder is None) != (encoder is None):
        raise SystemExit("embeddings of texts need both --data and --encoder")
    for n in numbers:
        if folder is None or encoder is None:
            rows, asked = made_rows(n, N_QUERIES)
        else:
            rows, asked = text_rows(folder, encoder, n, N_QUERIES, threads)
        row = {
            "rows": len(rows),
            "of": "made" if folder is None else folder.name,
            "dim": rows.shape[1],
            "threads": threads,
            "rows_mb": rows.nbytes / 1e6,
            **_measured(rows, asked, threads),
        }
        row = {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def _measured(rows: Rows, asked: Rows, threads: int) -> dict[str, Any]:
    import tempfile

    import scipy.sparse as sp

    from ceiba.features.matrix import EMBEDDING, as_features
    from ceiba.io.registry import FolderWriter
    from ceiba.retrieval.dense_index import DenseIndex, save_dense_index
    from ceiba.retrieval.dense_labels import DenseLabels
    from ceiba.retrieval.generator import SearchContext
    from ceiba.retrieval.queries import Queries

    row: dict[str, Any] = {}
    ctx = SearchContext(n_threads=threads)
    Q = Queries(as_features(sp.csr_array((len(asked), 1), dtype=np.float32)).with_block(EMBEDDING, asked))
    graph, row["build_s"], row["build_cpu_s"] = _timed(lambda: DenseIndex.of(rows))
    with tempfile.TemporaryDirectory() as name:
        save_dense_index(graph, "x", FolderWriter(Path(name)))
        row["graph_mb"] = (Path(name) / "x.usearch").stat().st_size / 1e6
    searches: dict[str, Callable[[int, int], Any]] = {}
    for name, index in (("exact", None), ("graph", graph)):
        search = DenseLabels(rows, name=name, index=index)
        searches[name] = lambda begin, end, search=search: search.candidates(Q.part(begin, end), K, ctx=ctx).ids
    if find_spec(FAISS) is not None:
        peer, row["faiss_build_s"], row["faiss_build_cpu_s"] = _timed(lambda: _faiss_graph(rows))
        row["faiss_mb"] = _faiss_bytes(peer) / 1e6
        searches[FAISS] = lambda begin, end: _faiss_search(peer, rows, asked[begin:end], threads)
    found = {}
    for name, search in searches.items():
        found[name], seconds, _ = _timed(lambda search=search: search(0, len(asked)))
        row[f"{name}_batch_ms"] = 1000 * seconds / len(asked)
        alone = [_timed(lambda search=search, i=i: search(i, i + 1))[1] for i in range(N_ALONE)]
        row[f"{name}_one_ms"] = 1000 * float(np.median(alone))
    exact = found["exact"].reshape(-1, K)
    for name in list(found)[1:]:
        near = found[name].reshape(-1, K)
        shared = [len(np.intersect1d(own, other)) for own, other in zip(exact, near, strict=True)]
        row["recall@10" if name == "graph" else f"{name}_recall@10"] = float(np.mean(shared)) / K
    return row


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a result, the seconds, and those of all processors."""
    started, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - started, time.process_time() - busy


def _faiss_graph(rows: Rows) -> Any:
    import faiss

    from ceiba.retrieval.dense_index import BEAM, BUILD_BEAM, NEIGHBORS

    faiss.omp_set_num_threads(1)
    kind, product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    graph = faiss.IndexHNSWSQ(rows.shape[1], kind, NEIGHBORS, product)
    graph.hnsw.efConstruction = BUILD_BEAM
    graph.hnsw.efSearch = BEAM
    graph.train(rows[:1000])
    graph.add(rows)
    return graph


def _faiss_bytes(graph: Any) -> int:
    import faiss

    return len(faiss.serialize_index(graph))


def _faiss_search(graph: Any, rows: Rows, asked: Rows, threads: int) -> NDArray[np.int64]:
    import faiss

    faiss.omp_set_num_threads(threads)
    _, ids = graph.search(asked, K)
    cosines = np.einsum("qkd,qd->qk", rows[ids], asked)
    return np.take_along_axis(ids, np.argsort(-cosines, axis=1, kind="stable"), axis=1)
