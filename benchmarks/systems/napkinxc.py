"""napkinXC: a probabilistic label tree by hierarchical k-means, its default for speed and accuracy."""

import time

import numpy as np
from napkinxc.models import PLT

SETTINGS = {"tree_type": "hierarchicalKmeans"}


def versions():
    from importlib.metadata import version

    return {"napkinxc": version("napkinxc")}


def fit(X, Y, threads, settings, path, prepared):
    model = PLT(path, threads=threads, seed=0, verbose=False, tree_type=settings["tree_type"])
    start = time.perf_counter()
    model.fit(X, Y)
    return model, {"training": time.perf_counter() - start}


def save(model, path):
    pass  # fit writes the model


def load(path, threads, settings):
    model = PLT(path, threads=threads, verbose=False)
    model.load()
    return model


def predict_batch(model, X, k, threads, settings):
    return model.predict(X, top_k=k)


def ids(found, k):
    ids = np.full((len(found), k), -1, np.int64)
    for i, best in enumerate(found):
        ids[i, : len(best)] = best
    return ids


def one(X, i):
    return X[i]


def predict_one(model, x, k, settings):
    return model.predict(x, top_k=k)
