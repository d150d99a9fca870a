"""Train and measure XR-Linear on a folder of feature matrices; prints one JSON row, in the form of a peer's.

usage: python benchmarks/linear.py FEATURES [name=value ...]

FEATURES holds X_trn, X_tst, Y_trn and Y_tst as .npz, as ``../shared/tools/featurize.py`` writes them. ``threads``,
``k`` and ``beam`` are the peers' options; every other name is a parameter of XRLinear.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from ceiba import XRLinear, load
from ceiba._native import isa
from ceiba._params import parse
from ceiba.metrics import evaluate

MEBIBYTE = 2**20
SINGLE_DOCUMENTS = 2000


def peak_rss() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def folder_size(folder: Path) -> float:
    """Size of a folder's files in MiB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEBIBYTE


def single_latencies(model: XRLinear, X: sp.csr_matrix, k: int) -> np.ndarray:
    """Microseconds of predict_topk on one row at a time."""
    model.set_params(n_jobs=1)
    seconds = []
    for i in range(SINGLE_DOCUMENTS):
        row = X[i % X.shape[0]]
        start = time.perf_counter()
        model.predict_topk(row, k)
        seconds.append(time.perf_counter() - start)
    return 1e6 * np.array(seconds)


def main(features: Path, options: dict[str, str]) -> dict:
    """Run the measurement and return the row."""
    X, X_test, Y, Y_test = (
        sp.load_npz(features / f"{name}.npz").astype(np.float32).tocsr()
        for name in ("X_trn", "X_tst", "Y_trn", "Y_tst")
    )
    for matrix in (X, X_test, Y, Y_test):
        matrix.sort_indices()
    k = int(options.pop("k", 10))
    n_threads = int(options.pop("threads", 2))
    if "beam" in options:
        options["beam_size"] = options.pop("beam")
    params = {name: parse(name, text, XRLinear._constraints, "XRLinear") for name, text in options.items()}
    row = {"peer": "ceiba", "data": features.name, "isa": isa, **options}

    before = peak_rss()
    start, cpu = time.perf_counter(), time.process_time()
    model = XRLinear(n_jobs=n_threads, **params).fit(X, Y)
    fitted, cpu = time.perf_counter() - start, time.process_time() - cpu
    rss = peak_rss() - before
    seconds = model.fit_report_["seconds"]
    clustering = sum(value for name, value in seconds.items() if name.endswith("clustering"))

    folder = Path(tempfile.mkdtemp())
    try:
        model.save(folder / "model")
        size = folder_size(folder / "model")
        start = time.perf_counter()
        model = load(folder / "model").set_params(n_jobs=n_threads)
        loaded = time.perf_counter() - start
        start = time.perf_counter()
        labels, _ = model.predict_topk(X_test, k)
        predicted = time.perf_counter() - start
        latency = single_latencies(model, X_test, k)
    finally:
        shutil.rmtree(folder)
    figures = evaluate(Y_test, np.where(labels == None, -1, labels).astype(int), Y_train=Y)  # noqa: E711
    kept = [f"{name}@{at}" for name in ("P", "PSP", "R", "nDCG") for at in (1, 3, 5)]
    row.update({name: round(figures[name], 2) for name in kept})
    row.update(
        fit_s=round(fitted, 2),
        fit_cpu_s=round(cpu, 2),
        tree_s=round(clustering, 2),
        train_s=round(fitted - clustering, 2),
        load_s=round(loaded, 3),
        predict_s=round(predicted, 3),
        us_doc=round(1e6 * predicted / X_test.shape[0], 1),
        p50_us=round(float(np.median(latency)), 1),
        p99_us=round(float(np.percentile(latency, 99)), 1),
        model_mb=round(size, 1),
        fit_rss_mb=round(rss),
        cores=os.cpu_count(),
    )
    return row


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(json.dumps(main(Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:]))), flush=True)
