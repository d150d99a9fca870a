"""PECOS XR-Linear: PIFA, hierarchical k-means with 16 splits and leaves of 100, as its README and tutorials have it."""

import time

import numpy as np
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel

SETTINGS = {
    "splits": 16,
    "leaf": 100,
    "negatives": "tfn",
    "threshold": 0.1,
    "Cp": 1.0,
    "Cn": 1.0,
    "beam": 10,
    "n_trees": 1,
    "seed": 0,
}


def versions():
    from importlib.metadata import version

    return {"pecos": version("libpecos")}


def fit(X, Y, threads, settings, path, prepared):
    models, seconds = [], {"tree": 0.0, "training": 0.0}
    for t in range(settings["n_trees"]):
        start = time.perf_counter()
        Z = LabelEmbeddingFactory.create(Y, X, method="pifa")
        tree = Indexer.gen(
            Z, indexer_type="hierarchicalkmeans", nr_splits=settings["splits"], max_leaf_size=settings["leaf"],
            threads=threads, seed=settings["seed"] + t,
        )  # fmt: skip
        made = time.perf_counter()
        options = {name: settings[name] for name in ("threshold", "Cp", "Cn")}
        options.update(negative_sampling_scheme=settings["negatives"], threads=threads)
        models.append(XLinearModel.train(X, Y, tree, **options))
        seconds["tree"] += made - start
        seconds["training"] += time.perf_counter() - made
    return models, seconds


def save(models, path):
    for t, model in enumerate(models):
        model.save(f"{path}/{t}")


def load(path, threads, settings):
    return [XLinearModel.load(f"{path}/{t}", is_predict_only=True) for t in range(settings["n_trees"])]


def scores(models, X, k, beam, threads):
    total = models[0].predict(X, beam_size=beam, only_topk=k, threads=threads)
    for model in models[1:]:
        total = total + model.predict(X, beam_size=beam, only_topk=k, threads=threads)
    return total


def predict_batch(models, X, k, threads, settings):
    return scores(models, X, k, settings["beam"], threads)


def ids(found, k):
    found = found.tocsr()
    ids = np.full((found.shape[0], k), -1, np.int64)
    for i in range(found.shape[0]):
        row = slice(found.indptr[i], found.indptr[i + 1])
        best = found.indices[row][np.argsort(-found.data[row], kind="stable")][:k]
        ids[i, : len(best)] = best
    return ids


def one(X, i):
    return X[i]


def predict_one(models, x, k, settings):
    return scores(models, x, k, settings["beam"], 1)
