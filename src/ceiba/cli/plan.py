"""What a training would do: its pieces of work, the memory they need, and a rough time from a sample."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ceiba.errors import CeibaError, InputError, RowError

_MOST_ROWS = 2000  # of the sample


def plan_of(estimator: Any, dataset: Any, executor: Any) -> dict[str, Any]:
    """Estimate what a training takes, from a sample that is trained in one thread.

    Times are proportional to the rows: a rough guess, which says minutes or hours. Memory is that of X and Y, which
    each node holds once beside the pieces.

    Parameters
    ----------
    estimator : XRLinear or HybridClassifier
    dataset : Dataset
        All rows; at most 2,000 of them are the sample.
    executor : Executor or None
        Where the training would be done.

    Returns
    -------
    dict of str to object
        "model", "rows", "labels", "positives", "pieces", "workers", "threads_per_worker"; "node_mb", the memory of X
        and Y on each node; "driver_mb", that of the process that reads them; "seconds_one_thread", "seconds_estimated".
    """
    from sklearn.base import clone

    from ceiba._params import available_threads
    from ceiba.models.linear_recipe import whole_trees

    n = dataset.n
    rows = np.unique(np.linspace(0, n - 1, min(n, _MOST_ROWS)).astype(int))
    Y = dataset.Y[rows]
    columns = np.unique(Y.indices)
    X = _sampled(dataset, set(rows.tolist())) if dataset.X is None else dataset.X[rows]
    trial: Any = clone(estimator).set_params(n_jobs=1)
    started = time.perf_counter()
    try:
        trial.fit(X, Y[:, columns], classes=dataset.classes[columns])
    except RowError as error:
        if error.argument != "X":
            raise
        row = int(rows[error.row])  # of the data set, not of the sample
        raise RowError(str(error), argument="X", row=row, reason=error.reason) from error
    except CeibaError as error:
        raise InputError(f"A sample of {len(rows)} rows cannot be trained: {error}") from error
    seconds = (time.perf_counter() - started) * n / len(rows)
    features: Any = X if trial.vectorizer_ is None else trial.vectorizer_.transform(X)
    stored = features.nnz / len(rows) * n
    size = int(8 * (stored + n) + 12 * dataset.Y.nnz)
    workers, threads = (1, None) if executor is None else (executor.n_workers, executor.threads)
    n_trees = getattr(estimator, "n_trees", None)
    plan: dict[str, Any] = {"model": type(estimator).__name__, "rows": n, "labels": dataset.Y.shape[1]}
    plan["positives"] = int(dataset.Y.nnz)
    if n_trees is not None:
        whole = whole_trees(n_trees, workers)
        plan["pieces"] = f"{whole} whole trees, {n_trees - whole} trees in up to 32 shards a level"
    else:
        plan["pieces"] = "the folds of the fusion, then the trees of each source"
    plan["workers"] = workers
    plan["threads_per_worker"] = threads or available_threads(estimator.n_jobs)
    plan["node_mb"] = round(size / 1e6, 1)
    plan["driver_mb"] = round(2 * size / 1e6, 1)
    plan["seconds_one_thread"] = _rough(seconds)
    plan["seconds_estimated"] = _rough(seconds / (workers * (threads or available_threads(estimator.n_jobs))))
    return plan


def _rough(value: float) -> float:
    return float(f"{value:.2g}")


def _sampled(dataset: Any, rows: set[int]) -> list[str]:
    return [text for row, text in enumerate(dataset.texts) if row in rows]
