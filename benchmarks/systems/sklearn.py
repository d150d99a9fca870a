"""scikit-learn: one LinearSVC per label; without a tree it ends in time on small sets only."""

import pickle
import time

import numpy as np
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

SETTINGS = {"C": 1.0}


def versions():
    from importlib.metadata import version

    return {"scikit-learn": version("scikit-learn")}


def fit(X, Y, threads, settings, path, prepared):
    start = time.perf_counter()
    model = OneVsRestClassifier(LinearSVC(C=settings["C"]), n_jobs=threads).fit(X, Y)
    return model, {"training": time.perf_counter() - start}


def save(model, path):
    with open(path, "wb") as file:
        pickle.dump(model, file)


def load(path, threads, settings):
    with open(path, "rb") as file:
        return pickle.load(file)


def predict_batch(model, X, k, threads, settings):
    ids = np.empty((X.shape[0], k), np.int64)
    for start in range(0, X.shape[0], 1000):
        ids[start : start + 1000] = np.argsort(-model.decision_function(X[start : start + 1000]), axis=1)[:, :k]
    return ids


def one(X, i):
    return X[i]


def predict_one(model, x, k, settings):
    return np.argsort(-model.decision_function(x)[0])[:k]
