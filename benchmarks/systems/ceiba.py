"""Ceiba's XRLinear at its defaults."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ceiba import XRLinear, __version__
from ceiba import load as load_model
from ceiba._native import isa

SETTINGS: dict = {}


def versions():
    return {"ceiba": __version__, "isa": isa}


def fit(X, Y, threads, settings, path, prepared):
    start = time.perf_counter()
    model = _estimator(n_jobs=threads, **settings).fit(X, Y, label_texts=prepared)
    total = time.perf_counter() - start
    tree = sum(s for name, s in model.fit_report_["seconds"].items() if name.endswith("clustering"))
    return model, {"tree": tree, "training": total - tree}


def _estimator(preset=None, **params):
    return XRLinear(**params) if preset is None else XRLinear.from_preset(preset, **params)


def save(model, path):
    model.save(Path(path))


def load(path, threads, settings):
    return load_model(path).set_params(n_jobs=threads)


def predict_batch(model, X, k, threads, settings):
    return model.predict_topk(X, k)[0]


def ids(labels, k):
    return np.where(labels == None, -1, labels).astype(np.int64)  # noqa: E711


def one(X, i):
    return X[i]


def predict_one(model, x, k, settings):
    if model.n_jobs != 1:
        model.set_params(n_jobs=1)
    return model.predict_topk(x, k)
