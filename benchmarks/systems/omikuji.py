"""Omikuji: Parabel with three trees at its defaults, or with variant=bonsai as its README gives it."""

import os

import numpy as np
import omikuji

SETTINGS = {"variant": "parabel", "n_trees": 3, "beam": 10}


def versions():
    from importlib.metadata import version

    return {"omikuji": version("omikuji")}


def prepare(X, Y, folder):
    path = os.path.join(folder, "train.txt")
    with open(path, "w") as file:
        file.write(f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}\n")
        for i in range(X.shape[0]):
            labels = ",".join(map(str, Y.indices[Y.indptr[i] : Y.indptr[i + 1]]))
            row = slice(X.indptr[i], X.indptr[i + 1])
            words = " ".join(f"{j}:{v:.6g}" for j, v in zip(X.indices[row], X.data[row]))  # noqa: B905
            file.write(f"{labels} {words or '0:0.0'}\n")
    return path


def fit(X, Y, threads, settings, path, prepared):
    import time

    parameters = omikuji.Model.default_hyper_param()
    if settings["variant"] == "bonsai":
        parameters.cluster_balanced, parameters.cluster_k, parameters.max_depth = False, 100, 3
    parameters.n_trees = settings["n_trees"]
    start = time.perf_counter()
    model = omikuji.Model.train_on_data(prepared, parameters, threads)
    return model, {"training": time.perf_counter() - start}


def save(model, path):
    model.save(path)


def load(path, threads, settings):
    return omikuji.Model.load(path)


def predict_batch(model, X, k, threads, settings):
    rows = range(X.shape[0])  # its Python interface takes one row at a time
    return [model.predict(one(X, i), beam_size=settings["beam"], top_k=k) for i in rows]


def ids(found, k):
    ids = np.full((len(found), k), -1, np.int64)
    for i, best in enumerate(found):
        ids[i, : len(best)] = [label for label, _ in best]
    return ids


def one(X, i):
    row = slice(X.indptr[i], X.indptr[i + 1])
    return list(zip(X.indices[row].tolist(), X.data[row].tolist()))  # noqa: B905


def predict_one(model, x, k, settings):
    return model.predict(x, beam_size=settings["beam"], top_k=k)
