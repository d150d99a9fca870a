"""One system in one process; runs under the system's own interpreter, without Ceiba unless that is the system.

usage: worker.py train|predict SYSTEM FEATURES MODEL THREADS SETTINGS_JSON OUT

Writes a JSON row to OUT, and from predict the ids of the best labels to OUT.npy.
"""

import importlib
import json
import os
import sys
import time

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
K = 10
SINGLE = 2000
SINGLE_SECONDS = 60.0


def peak_mb():
    """Peak resident memory of this process; ru_maxrss would count that of the process that started it."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def folder_mb(path):
    if os.path.isfile(path):
        return os.path.getsize(path) / 2**20
    return sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(path) for f in files) / 2**20


def matrix(folder, name):
    loaded = sp.load_npz(os.path.join(folder, name + ".npz")).astype(np.float32).tocsr()
    loaded.sort_indices()
    return loaded


def timed(call, *arguments):
    wall, cpu = time.perf_counter(), time.process_time()
    result = call(*arguments)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def train(system, features, model_path, threads, settings):
    X, Y = matrix(features, "X_trn"), matrix(features, "Y_trn")
    work = None
    if hasattr(system, "prepare"):
        work = system.prepare(X, Y, os.path.dirname(model_path))
    elif settings.get("label_documents"):
        work = matrix(features, "X_lbl")
    forget_peak()
    before = resident_mb()
    (model, stages), wall, cpu = timed(system.fit, X, Y, threads, settings, model_path, work)
    row = {"train_total_s": wall, "train_cpu_s": cpu, "train_over_input_mb": peak_mb() - before}
    row.update({stage + "_s": seconds for stage, seconds in stages.items()})
    _, row["save_s"], _ = timed(system.save, model, model_path)
    row["train_peak_mb"] = peak_mb()
    row["model_mb"] = folder_mb(model_path)
    return row


def predict(system, features, model_path, threads, settings, ids_path):
    X = matrix(features, "X_tst")
    system.warm_up() if hasattr(system, "warm_up") else None
    before = resident_mb()
    model, load_wall, _ = timed(system.load, model_path, threads, settings)
    found, wall, cpu = timed(system.predict_batch, model, X, K, threads, settings)
    row = {"load_s": load_wall, "batch_s": wall, "batch_cpu_s": cpu, "batch_us": 1e6 * wall / X.shape[0]}
    row["loaded_mb"] = resident_mb() - before
    np.save(ids_path, system.ids(found, K) if hasattr(system, "ids") else found)
    if hasattr(system, "predict_one"):
        rows = [system.one(X, i) for i in range(min(SINGLE, X.shape[0]))]
        seconds, started = [], time.perf_counter()
        for x in rows:
            start = time.perf_counter()
            system.predict_one(model, x, K, settings)
            seconds.append(time.perf_counter() - start)
            if time.perf_counter() - started > SINGLE_SECONDS:
                break
        row.update(one_p50_us=1e6 * float(np.median(seconds)), one_p99_us=1e6 * float(np.percentile(seconds, 99)))
    row["predict_peak_mb"] = peak_mb()
    return row


def main(stage, name, features, model_path, threads, settings, out):
    system = importlib.import_module("systems." + name)
    settings = {**system.SETTINGS, **json.loads(settings)}
    arguments = [system, features, model_path, int(threads), settings]
    row = train(*arguments) if stage == "train" else predict(*arguments, out + ".npy")
    row.update(
        settings=settings, versions={**system.versions(), "numpy": np.__version__, "python": sys.version.split()[0]}
    )
    with open(out, "w") as file:
        json.dump(row, file)


if __name__ == "__main__":
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    main(*sys.argv[1:])
