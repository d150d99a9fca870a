"""LibMultiLabel's linear tree model at its defaults: label tree by k-means, LIBLINEAR at every node."""

import pickle
import time

import libmultilabel.linear as linear
import numpy as np

SETTINGS = {"K": 100, "dmax": 10, "beam": 10, "options": "-s 1 -e 0.0001 -c 1"}


def versions():
    from importlib.metadata import version

    return {"libmultilabel": version("libmultilabel")}


def fit(X, Y, threads, settings, path, prepared):
    start = time.perf_counter()
    model = linear.train_tree(
        Y, X.astype(np.float64), options=f"{settings['options']} -m {threads}", K=settings["K"], dmax=settings["dmax"],
        verbose=False,
    )  # fmt: skip
    return model, {"training": time.perf_counter() - start}


def save(model, path):
    with open(path, "wb") as file:  # the way its own tools keep a linear model
        pickle.dump(model, file)


def load(path, threads, settings):
    with open(path, "rb") as file:
        return pickle.load(file)


def predict_batch(model, X, k, threads, settings):
    ids = np.empty((X.shape[0], k), np.int64)
    for start in range(0, X.shape[0], 1000):
        values = np.asarray(
            model.predict_values(X[start : start + 1000].astype(np.float64), beam_width=settings["beam"])
        )
        best = np.argpartition(-values, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(values, best, axis=1), axis=1)
        ids[start : start + 1000] = np.take_along_axis(best, order, axis=1)
    return ids


def one(X, i):
    return X[i].astype(np.float64)


def predict_one(model, x, k, settings):
    return np.argsort(-np.asarray(model.predict_values(x, beam_width=settings["beam"]))[0])[:k]
