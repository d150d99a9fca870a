"""The hybrid model and its sources on one data set: ranking, unseen labels, calibration, decisions, seconds.

    python -m benchmarks hybrid --data FOLDER [--encoder frozen:FOLDER] --json rows.jsonl
    python -m benchmarks hybrid --data FOLDER --base XRTransformer --base-settings SETTINGS --json rows.jsonl
    python -m benchmarks hybrid --data FOLDER --no-label-texts --beside accurate --no-sources --json rows.jsonl

The folder holds train.jsonl.gz and test.jsonl.gz, rows of "text" and "labels", and labels.jsonl.gz, rows of "label"
and "text"; "icd" stands for the demo's texts. Test rows without a label that the model may answer are left out.
`--beside` measures a preset of XRLinear on the same texts.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from benchmarks import data as data_files
from benchmarks.data import ICD

_DEPTH = 100  # of nDCG
_UNSEEN_DEPTH = 50


def rows_of(path: Path, most: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the first rows of a file of JSON lines; none where there is no such file."""
    if not path.exists():
        return
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from islice(map(json.loads, file), most)


class Split(NamedTuple):
    """The rows of a run, and the texts of labels that it may use."""

    train: list[dict[str, Any]]
    test: list[dict[str, Any]]
    names: dict[Any, str]

    @property
    def train_texts(self) -> list[str]:
        return [row["text"] for row in self.train]

    @property
    def train_labels(self) -> list[list[Any]]:
        return [row["labels"] for row in self.train]


def read_split(folder: Path, train: int, test: int, validation: int, *, label_texts: bool, all_labels: bool) -> Split:
    """Read a folder; with `validation` so many of the training rows are the test."""
    if str(folder) == ICD:
        train_rows, test_rows = data_files.rows_of(folder, 0, bool(validation))
    else:
        train_rows = list(rows_of(folder / "train.jsonl.gz", train or None))
        test_rows = list(rows_of(folder / "test.jsonl.gz", test or None))
    if validation and str(folder) != ICD:
        order = np.random.default_rng(5).permutation(len(train_rows))
        test_rows = [train_rows[i] for i in order[:validation]]
        train_rows = [train_rows[i] for i in order[validation:]]
    if not label_texts:
        return Split(train_rows, test_rows, {})
    names = {row["label"]: row["text"] for row in rows_of(folder / "labels.jsonl.gz") if row["text"].strip()}
    if not all_labels:
        known = {label for row in train_rows for label in row["labels"]}
        names = {label: text for label, text in names.items() if label in known}
    return Split(train_rows, test_rows, names)


def known_positives(rows: list[dict[str, Any]], classes: Any) -> tuple[list[str], sp.csr_array]:
    """Return the texts that have a label of a model, and their positives among its labels."""
    column = {label: i for i, label in enumerate(classes.tolist())}
    kept = [row for row in rows if any(label in column for label in row["labels"])]
    pairs = [(i, column[label]) for i, row in enumerate(kept) for label in set(row["labels"]) if label in column]
    row, label = np.array(pairs).T
    Y = sp.csr_array((np.ones(len(row), np.float32), (row, label)), shape=(len(kept), len(column)))
    return [row["text"] for row in kept], Y


def run_hybrid(
    folder: Path,
    out: Path,
    *,
    encoder: str | None,
    train: int,
    test: int,
    label_texts: bool,
    all_labels: bool,
    base: str | None,
    base_settings: dict[str, Any],
    validation: int,
    preset: str | None,
    settings: dict[str, Any],
    features: dict[str, Any],
    beside: str | None,
    sources: bool,
    threads: int,
) -> None:
    """Train a hybrid model, measure it, each of its sources and XRLinear beside it, and append a row for each."""
    import ceiba

    split = read_split(folder, train, test, validation, label_texts=label_texts, all_labels=all_labels)
    started = time.perf_counter()
    given = {"vectorizer": ceiba.TfidfVectorizer(n_jobs=threads, **features)} if features else {}
    own = {} if base is None else {"base": getattr(ceiba, base)(**base_settings)}
    make = ceiba.HybridClassifier if preset is None else partial(ceiba.HybridClassifier.from_preset, preset)
    model = make(encoder=encoder, n_jobs=threads, **given, **{**own, **settings})
    model.fit(split.train_texts, split.train_labels, label_texts=split.names or None)
    seconds = time.perf_counter() - started
    texts, Y = known_positives(split.test, model.classes_)
    about = {
        "data": folder.name,
        "train": len(split.train),
        "test": len(texts),
        "labels": len(model.classes_),
        "encoder": encoder,
        "base": None if base is None else {"model": base, **base_settings},
        "label texts": bool(split.names),
        "preset": preset,
        "settings": {name: value for name, value in settings.items() if name != "base"},
        "features": features,
        "threads": threads,
        "validation": bool(validation),
    }
    row, fused_top = fused_figures(model, texts, Y, seconds)
    write_row(out, {**about, **row})
    if beside is not None:
        linear = ceiba.XRLinear.from_preset(beside, n_jobs=threads, **given)
        row = linear_figures(linear, split, model.classes_, texts, Y, fused_top)
        write_row(out, {**about, "system": f"xr-linear {beside}", **row})
    if sources:
        for row in source_figures(model, texts, Y, fused_top):
            write_row(out, {**about, **row})


def fused_figures(model: Any, texts: list[str], Y: sp.csr_array, training: float) -> tuple[dict[str, Any], np.ndarray]:
    """Return the figures of a hybrid model that took so many seconds to train, and its best labels."""
    started = time.perf_counter()
    found = model.decision_function(texts)
    top = top_of(found)
    predicting = time.perf_counter() - started
    row = {
        "system": "hybrid",
        "sources": model.sources_,
        **ranking_figures(found, Y, model.label_counts_, model.n_train_),
        **calibration_figures(found, Y),
        "micro_f1": micro_f1(model.predict(texts), Y),
        "seconds": {"training": round(training, 1), "predicting": round(predicting, 1), **one_text(model, texts)},
    }
    return row, top


def linear_figures(
    linear: Any, split: Split, classes: Any, texts: list[str], Y: sp.csr_array, fused_top: np.ndarray
) -> dict[str, Any]:
    """Train an XRLinear on the same texts, and return its figures and how far the hybrid model is above them."""
    started = time.perf_counter()
    linear.fit(split.train_texts, split.train_labels)
    taken = {"training": round(time.perf_counter() - started, 1)}
    if linear.classes_.tolist() != classes.tolist():
        raise SystemExit("--beside needs --no-label-texts: with label texts the models know different labels")
    scores = linear.decision_function(texts, _DEPTH)
    figures = ranking_figures(scores, Y, linear.label_counts_, linear.n_train_)
    return {**figures, **paired_figures(fused_top, top_of(scores), Y), "seconds": taken}


def source_figures(model: Any, texts: list[str], Y: sp.csr_array, fused_top: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield the figures of each source of a hybrid model, and how far the fused ranking is above them."""
    Q, context = model.model_.queries.queries(texts), model.model_.context
    for source in model.model_.generators[:-1]:
        ranked = source.candidates(Q, 60, ctx=context)
        scores = sp.csr_array((ranked.scores, ranked.ids, ranked.ptr), shape=Y.shape)
        figures = ranking_figures(scores, Y, model.label_counts_, model.n_train_)
        yield {"system": source.name, **figures, **paired_figures(fused_top, top_of(scores), Y)}


def write_row(out: Path, row: dict[str, Any]) -> None:
    """Append a row, and print its figures."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    shown = {name: value for name, value in row.items() if isinstance(value, float) or name == "seconds"}
    print(f"{row['system']:20s}", shown, flush=True)


def ranking_figures(scores: sp.csr_array, Y: sp.csr_array, counts: np.ndarray, n_train: int) -> dict[str, float]:
    """Return P and PSP at 1, 3, 5, F1@5 as the mean over rows, nDCG at 100, and recall of labels without training."""
    from ceiba import metrics

    ranked = top_of(scores, _DEPTH)
    top = ranked[:, :5]
    f1, gain, unseen = [], [], []
    ideal = np.cumsum(1 / np.log2(np.arange(2, 2 + int(np.diff(Y.indptr).max(initial=1)))))
    for i, row in enumerate(ranked.tolist()):
        best = [label for label in row if label >= 0]
        true = set(Y.indices[Y.indptr[i] : Y.indptr[i + 1]].tolist())
        f1.append(2 * len(true & set(best[:5])) / (5 + len(true)))
        gain.append(sum(1 / np.log2(place + 2) for place, j in enumerate(best) if j in true) / ideal[len(true) - 1])
        new = {j for j in true if counts[j] == 0}
        if new:
            unseen.append(len(new & set(best[:_UNSEEN_DEPTH])) / len(new))
    known = metrics.LabelCounts(counts, n_train)
    figures = {f"P@{k}": metrics.precision_at_k(Y, top, k) for k in (1, 3, 5)}
    figures |= {f"PSP@{k}": metrics.psp_at_k(Y, top, k, Y_train=known) for k in (1, 3, 5)}
    figures |= {"F1@5": float(np.mean(f1)), "nDCG@100": float(np.mean(gain))}
    if unseen:
        figures["unseen R@50"] = float(np.mean(unseen))
    return {name: round(float(value), 4) for name, value in figures.items()}


def top_of(scores: sp.csr_array, k: int = 5) -> np.ndarray:
    """Return the k best columns of each row, -1 where there are fewer."""
    top = np.full((scores.shape[0], k), -1)
    for i in range(scores.shape[0]):
        begin, end = scores.indptr[i], scores.indptr[i + 1]
        best = scores.indices[begin:end][np.argsort(-scores.data[begin:end], kind="stable")[:k]]
        top[i, : len(best)] = best
    return top


def paired_figures(fused: np.ndarray, other: np.ndarray, Y: sp.csr_array) -> dict[str, list[float]]:
    """Return how far P@1 and P@5 of the fused ranking are above another's: the mean over rows, and its error."""
    true = [set(Y.indices[Y.indptr[i] : Y.indptr[i + 1]].tolist()) for i in range(Y.shape[0])]
    figures = {}
    for k in (1, 5):
        hits = [
            [sum(label in own for label in row[:k]) for row, own in zip(top.tolist(), true, strict=True)]
            for top in (fused, other)
        ]
        ahead = 100 * (np.array(hits[0]) - hits[1]) / k
        figures[f"hybrid above it, P@{k}"] = [
            round(float(ahead.mean()), 2),
            round(float(ahead.std() / np.sqrt(len(ahead))), 2),
        ]
    return figures


def calibration_figures(scores: sp.csr_array, Y: sp.csr_array, k: int = 5) -> dict[str, float]:
    """Return the expected calibration error of the k best pairs of each row, and the log-loss of all pairs found."""
    from ceiba import metrics

    return {
        f"ECE@{k}": round(float(metrics.expected_calibration_error(Y, scores, k)), 4),
        "log-loss": round(float(metrics.log_loss(Y, scores)), 5),
    }


def micro_f1(decided: sp.csr_array, Y: sp.csr_array) -> float:
    """Return the F1 of all pairs together."""
    hits = decided.multiply(Y).nnz
    return round(2 * hits / (decided.nnz + Y.nnz), 4)


def one_text(model: Any, texts: list[str], n: int = 300) -> dict[str, float]:
    """Return the median and the 99th percentile of milliseconds for a single text, and of the processor's alone."""
    taken, busy = [], []
    for text in texts[:n]:
        started, cpu = time.perf_counter(), time.thread_time()
        model.predict_topk([text], k=5)
        busy.append(1000 * (time.thread_time() - cpu))
        taken.append(1000 * (time.perf_counter() - started))
    found = {}
    for name, values in (("one text, p50 ms", taken), ("one text, p50 CPU ms", busy)):
        found |= {name: float(np.median(values)), name.replace("p50", "p99"): float(np.percentile(values, 99))}
    return {name: round(value, 2) for name, value in found.items()}
