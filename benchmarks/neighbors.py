"""What a search for the nearest training texts costs: memory, time of an index, one text at a time, a batch.

``python -m benchmarks.neighbors FOLDER [--rows N ...] [--texts M]`` prints a JSON line for each number of rows and of
neighbors. Features are the vectorizer's defaults. Rows above those of the folder are its own once more, each without
one of its words. Times are of the processor, of one thread. Texts of up to 20 words are searched one by one, all texts
as a batch. Votes are those of the neighbors for their labels.

With ``--seismic`` (package pyseismic-lsr, approximate) the same queries go to its index, and its recall is given.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks import data as data_files
from benchmarks.runner import machine
from ceiba import TfidfVectorizer
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.sparse_index import SparseIndex

NEIGHBORS = (30, 100, 300)
SHORT = 20  # words of a short text at most


def grown(X: sp.csr_matrix, n_rows: int) -> sp.csr_matrix:
    """Return so many rows: the first of X, or X and then its rows again without one word each."""
    if n_rows <= X.shape[0]:
        return X[:n_rows]
    rng = np.random.default_rng(0)
    more = X[rng.integers(0, X.shape[0], n_rows - X.shape[0])]
    filled = np.flatnonzero(np.diff(more.indptr) > 1)
    more.data[more.indptr[filled] + rng.integers(0, np.diff(more.indptr)[filled])] = 0
    more.eliminate_zeros()
    norms = np.sqrt(np.asarray(more.multiply(more).sum(axis=1)).ravel())
    more.data /= np.repeat(norms, np.diff(more.indptr)).astype(np.float32)
    return sp.csr_matrix(sp.vstack([X, more], format="csr"))


def seconds(call: Callable[..., Any], *arguments: Any) -> float:
    """Return the processor's seconds of a call."""
    begin = time.process_time()
    call(*arguments)
    return time.process_time() - begin


def one_by_one(call: Callable[[Any], Any], rows: list[Any]) -> dict[str, float]:
    """Return percentiles of milliseconds of calls."""
    taken = []
    for row in rows:
        begin = time.thread_time()
        call(row)
        taken.append(1e3 * (time.thread_time() - begin))
    return {f"p{p}_ms": round(float(np.percentile(taken, p)), 3) for p in (50, 99)}


def measure(X: sp.csr_matrix, Y: sp.csr_matrix, rows: list[Any], batch: sp.csr_matrix) -> list[dict[str, Any]]:
    """Return the figures of each number of neighbors."""
    begin = time.process_time()
    index = SparseIndex(X)
    facts = {
        "rows": X.shape[0],
        "features": X.shape[1],
        "values": X.nnz,
        "build_s": round(time.process_time() - begin, 2),
        "megabytes": round(index.nbytes / 1e6, 1),
    }
    votes = NeighborVotes(Y)
    figures = []
    for n in NEIGHBORS:
        found = index.search(batch, n)
        figures.append(
            facts
            | {"n": n}
            | one_by_one(lambda row, n=n: index.search(row, n), rows)
            | {"batch_ms": round(1e3 * seconds(index.search, batch, n) / batch.shape[0], 3)}
            | {"votes_ms": round(1e3 * seconds(votes.rank, found) / batch.shape[0], 4)}
        )
    return figures


def measure_seismic(X: sp.csr_matrix, rows: list[Any], work: Path) -> dict[str, Any]:
    """Return the figures of pyseismic-lsr's index with its defaults, for 100 neighbors."""
    import seismic

    n, token = 100, seismic.get_seismic_string()
    tokens = np.array([str(j) for j in range(X.shape[1])], dtype=token)
    dataset = seismic.SeismicDatasetLV()
    for i in range(X.shape[0]):
        own = slice(X.indptr[i], X.indptr[i + 1])
        dataset.add_document(str(i), tokens[X.indices[own]], X.data[own])
    begin = time.process_time()
    index = seismic.SeismicIndexLV.build_from_dataset(dataset)
    built = time.process_time() - begin
    queries = [(tokens[row.indices], row.data) for row in rows]

    def search(query: Any) -> Any:
        return index.search(
            query_id="0", query_components=query[0], query_values=query[1], k=n, query_cut=20, heap_factor=0.9
        )

    figures = {"system": "seismic", "rows": X.shape[0], "n": n, "build_s": round(built, 1)} | one_by_one(
        search, queries
    )
    exact, shares = SparseIndex(X), []
    for row, query in zip(rows, queries, strict=True):
        true = exact.search(row, n)
        near = {int(found[2]) for found in search(query)}
        shares.append(len(near.intersection(true.ids.tolist())) / max(1, len(true.ids)))
    return figures | {"recall": round(float(np.mean(shares)), 4)}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 0])
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seismic", action="store_true")
    given = parser.parse_args()
    train, test = data_files.read(given.folder)
    vectorizer = TfidfVectorizer(n_jobs=1)
    X = vectorizer.fit_transform([row["text"] for row in train])
    batch = vectorizer.transform([row["text"] for row in test[: given.texts]])
    names = sorted({label for row in train for label in row["labels"]})
    Y = data_files.indicator(train, {name: i for i, name in enumerate(names)})
    rows = [batch[[i]] for i in range(batch.shape[0])]
    short = [row for row in rows if 0 < row.nnz <= SHORT]
    facts = {
        "machine": machine(),
        "data": given.folder.name,
        "texts": len(short),
        "share_short": len(short) / len(rows),
    }
    for n_rows in given.rows:
        of_rows = grown(X, n_rows or X.shape[0])
        labels = Y[np.arange(of_rows.shape[0]) % Y.shape[0]]
        for figures in measure(of_rows, labels, short, batch):
            print(json.dumps(facts | figures), flush=True)
        if given.seismic:
            print(json.dumps(facts | measure_seismic(of_rows, short, given.folder)), flush=True)


if __name__ == "__main__":
    main()
