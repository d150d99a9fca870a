"""Labels in one to six clusters on the same features, and merged labels that must come apart again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.data import ICD, matrices
from benchmarks.estimators import make_estimator
from benchmarks.runner import append, machine

FIGURES = [f"{name}@{k}" for name in ("P", "PSP") for k in (1, 3, 5)]
ICD_SETTINGS = {"cost_positive": 4.0, "weight_threshold": 0.01}


def run(
    folder: Path, overlaps: list[int], out: Path, *, limit: int, validation: bool, seeds: int, threads: int,
    settings: dict[str, Any], features: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Train with each number of clusters and append a row for each."""
    X, X_test, Y, Y_test, of_labels = matrices(folder, limit, validation, threads, features)
    own = {**(ICD_SETTINGS if str(folder) == ICD else {}), **settings}
    for seed in range(seeds):
        rows, models = [], []
        for overlap in overlaps:
            trained = {"overlap": overlap, "random_state": seed, **own}
            measured, model = measure(trained, X, Y, X_test, Y_test, threads, of_labels)
            models.append(model)
            rows.append(
                {
                    "overlap": overlap,
                    "data": folder.name + (f", first {limit:,}" if limit else ""),
                    "part": "validation" if validation else "test",
                    "seed": seed,
                    "settings": own,
                    **({} if features is None else {"features": features}),
                    "machine": machine(),
                    "threads": threads,
                    **measured,
                }
            )
        for row, seconds in zip(rows, in_turn(models, X_test), strict=True):
            row["predict_us"] = round(1e6 * seconds / X_test.shape[0], 2)
            append(out, row, ("data", "overlap", "fit_s", "predict_us", *FIGURES))


def in_turn(models: list[Any], X: Any, rounds: int = 15) -> list[float]:
    """Return the median seconds of each model's predictions, made in turn: what disturbs the machine disturbs all."""
    times: list[list[float]] = [[] for _ in models]
    for _ in range(rounds):
        for model, own in zip(models, times, strict=True):
            started = time.perf_counter()
            model.predict_topk(X, 5)
            own.append(time.perf_counter() - started)
    return [float(np.median(own)) for own in times]


def measure(
    settings: dict[str, Any], X: Any, Y: Any, X_test: Any, Y_test: Any, threads: int, of_labels: Any = None
) -> tuple[dict[str, Any], Any]:
    """Train and measure one model; return what was measured, and the model."""
    from ceiba import XRLinear, metrics
    from ceiba.data.instances import InstanceLists
    from ceiba.features.matrix import as_features
    from ceiba.retrieval.generator import SearchContext
    from ceiba.retrieval.queries import Queries
    from ceiba.tree.levels import positives_per_level

    started = time.perf_counter()
    model = make_estimator(XRLinear, settings, n_jobs=threads)
    model.fit(X, Y, label_texts=of_labels if model.label_documents else None)
    fitted = time.perf_counter() - started
    top, _ = model.predict_topk(X_test, 5)
    figures = metrics.evaluate(Y_test, top.astype(np.int32), ks=(1, 3, 5), Y_train=Y)
    tree = model.trees_[0]
    labels = np.diff(tree.child_ptrs[-1])
    instances = np.diff(positives_per_level(tree, InstanceLists.from_columns(sp.csr_array(Y)), X.shape[0])[-2].ptr)
    ctx = SearchContext(model.beam_size, model.combine)
    work = model.model_.tree_search.work(Queries(as_features(X_test)), 5, ctx=ctx)
    seconds = model.fit_report_["seconds"]
    measured = {
        "fit_s": round(fitted, 2),
        "matcher_s": round(seconds.get("tree 1 matcher", 0.0), 2),
        "assignment_s": round(seconds.get("tree 1 assignment", 0.0), 2),
        "visits": round(work["visits"] / X_test.shape[0], 1),
        "weights_read": round(work["weights"] / X_test.shape[0]),
        "labels": tree.n_labels,
        "slots": len(tree.slot_label),
        "clusters": len(labels),
        "most_labels": int(labels.max()),
        "most_cost": int((labels * instances).max()),
        "cost": int((labels * instances).sum()),
        **{name: round(float(figures[name]), 2) for name in FIGURES},
    }
    return measured, model


# ---------------------------------------------------------------------- homonyms


def merge_labels(
    Y: sp.csr_array, similarity: Any, pairs: int, least: int, seed: int
) -> tuple[sp.csr_array, np.ndarray]:
    """Merge pairs of labels under the number of the first.

    Parameters
    ----------
    Y : csr_array of shape (N, L)
    similarity : callable
        ``similarity(a, b)`` of two arrays of labels; pairs of more than 0.05 are not taken.
    pairs, least, seed : int
        How many pairs, the fewest positives of a label to be merged, and the seed.

    Returns
    -------
    merged : csr_array of shape (N, L - pairs)
    senses : ndarray of shape (pairs, 3), int64
        The merged label's number in `merged`, and the two labels' numbers in Y.
    """
    Y = sp.csr_array(Y)
    counts = np.bincount(Y.indices, minlength=Y.shape[1])
    frequent = np.random.default_rng(seed).permutation(np.flatnonzero(counts >= least))
    half = len(frequent) // 2
    a, b = frequent[:half], frequent[half : 2 * half]
    both = np.asarray((sp.csc_array(Y)[:, a].multiply(sp.csc_array(Y)[:, b])).sum(axis=0)).ravel()
    alike = (counts[a] < 3 * counts[b]) & (counts[b] < 3 * counts[a])
    taken = np.flatnonzero((similarity(a, b) < 0.05) & (both == 0) & alike)[:pairs]
    a, b = a[taken], b[taken]
    to = np.arange(Y.shape[1])
    to[b] = a
    kept = np.delete(np.arange(Y.shape[1]), b)
    number = np.zeros(Y.shape[1], np.int64)
    number[kept] = np.arange(len(kept))
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    shape = (Y.shape[0], len(kept))
    merged = sp.csr_array((np.ones(Y.nnz, np.float32), (rows, number[to[Y.indices]])), shape=shape)
    return merged, np.column_stack([number[a], a, b])


def recovery(model: Any, X: Any, Y: sp.csr_array, senses: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Measure whether the clusters of merged labels are their senses.

    A positive of a merged label belongs to the cluster, of the label's own, that the matcher finds first for it. A
    label is recovered when it has two clusters at least, each sense is the majority of one, and nine in ten of its
    positives are in a cluster whose majority is theirs. Beside it: the same with positives dealt out at random.

    Returns
    -------
    dict
        Shares: ``two_clusters``, ``recovered``, ``majorities_differ`` (the same without the nine in ten), ``purity``,
        and the last three with ``_random``.
    """
    tree = model.trees_[0]
    found, _ = model.match(X, k=model.beam_size)
    Y = sp.csc_array(Y)
    rng = np.random.default_rng(seed)
    several, outcomes, chance = [], [], []
    for label, a, b in senses.tolist():
        own = tree.slot_cluster[tree.slots(label)]
        several.append(len(own) > 1)
        rows = np.concatenate([Y.indices[Y.indptr[s] : Y.indptr[s + 1]] for s in (a, b)])
        sense = np.repeat([0, 1], [Y.indptr[s + 1] - Y.indptr[s] for s in (a, b)])
        mine = np.isin(found[rows], own)
        led = np.where(mine.any(axis=1), found[rows, mine.argmax(axis=1)], own[0])
        place = np.searchsorted(own, led)
        outcomes.append(_apart(place, sense, len(own)))
        chance.append(_apart(rng.integers(0, len(own), len(rows)), sense, len(own)))
    shares = np.array([outcomes, chance], float).mean(axis=1)
    return {
        "two_clusters": float(np.mean(several)),
        **{name: float(share) for name, share in zip(_OUTCOMES, shares[0], strict=True)},
        **{f"{name}_random": float(share) for name, share in zip(_OUTCOMES, shares[1], strict=True)},
    }


_OUTCOMES = ("recovered", "majorities_differ", "purity")


def _apart(place: np.ndarray, sense: np.ndarray, n: int) -> tuple[bool, bool, float]:
    """Return whether the places are the senses, whether their majorities are, and the share in one of its own."""
    table = np.zeros((n, 2))
    np.add.at(table, (place, sense), 1)
    purity = table.max(axis=1).sum() / table.sum()
    used = table[table.sum(axis=1) > 0]
    both = len(np.unique(used.argmax(axis=1))) == 2
    return bool(both and purity >= 0.9), bool(both), float(purity)


def run_homonyms(
    folder: Path, out: Path, *, limit: int, pairs: int, least: int, overlaps: list[int], threads: int,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    """Merge labels of a real set, train, and append a row per number of clusters."""
    from ceiba import XRLinear
    from ceiba.data.instances import InstanceLists
    from ceiba.features.matrix import as_features
    from ceiba.tree.embeddings import pifa

    X, _, Y, *_ = matrices(folder, limit, False, threads)
    Z = pifa(as_features(X), InstanceLists.from_columns(sp.csr_array(Y)), n_threads=threads).to_scipy()
    merged, senses = merge_labels(Y, lambda a, b: np.asarray(Z[a].multiply(Z[b]).sum(axis=1)).ravel(), pairs, least, 0)
    for overlap in overlaps:
        model = make_estimator(XRLinear, settings, overlap=overlap, n_jobs=threads).fit(X, merged)
        row = {
            "homonyms": len(senses),
            "data": folder.name + (f", first {limit:,}" if limit else ""),
            "least_positives": least,
            "overlap": overlap,
            "settings": settings,
            **{name: round(100 * share, 1) for name, share in recovery(model, X, Y, senses).items()},
        }
        append(out, row, row)
