"""What calibration and tuned thresholds gain: trained on the first rows, learned on the rest, measured on test rows.

python -m benchmarks.calibration DATA_FOLDER --limit 10000 --json benchmarks/results/calibration.jsonl
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.data import read
from benchmarks.runner import append, machine

SHOWN = ("data", "combine", "scores", "ECE", "log_loss", "brier")
SHOWN_F1 = ("data", "combine", "thresholds", "micro_f1", "macro_f1", "precision", "best_micro_f1")


def run(
    data: Annotated[Path, typer.Argument(help="folder with train.jsonl.gz and test.jsonl.gz")],
    out: Annotated[Path, typer.Option("--json", help="append rows to this file")],
    limit: Annotated[int, typer.Option(help="the first rows of the training file; 0 for all")] = 0,
    validation: Annotated[float, typer.Option(help="the share of them, from the end, to learn from")] = 0.2,
    combine: Annotated[str, typer.Option(help="the combine function of XRLinear")] = "l3-hinge",
    n_trees: Annotated[int, typer.Option(help="trees")] = 1,
    threads: Annotated[int, typer.Option(help="threads")] = 2,
) -> None:
    """Train XRLinear, calibrate it and tune its thresholds; append a row for each to the file."""
    from ceiba import XRLinear

    rows, test = read(data, limit, test_limit=10**9)
    n_train = round(len(rows) * (1 - validation))
    train, held_out = rows[:n_train], rows[n_train:]
    model = XRLinear(combine=combine, n_trees=n_trees, n_jobs=threads).fit(*_columns(train))
    head = {
        "data": data.name,
        "rows": len(train),
        "validation": len(held_out),
        "test": len(test),
        "combine": combine,
        "n_trees": n_trees,
        "machine": machine(),
    }
    X, y = _columns(test)
    for name, method in (("raw", None), ("sigmoid", "sigmoid"), ("isotonic", "isotonic")):
        if method is not None:
            model.calibrate(*_columns(held_out), method)
        append(out, {**head, "scores": name, **_calibration(model, X, y)}, SHOWN)
    for name, options in THRESHOLDS.items():
        if options is not None:
            model.tune_thresholds(*_columns(held_out), **options)
        model.set_params(prediction_threshold="tuned")
        append(out, {**head, "thresholds": name, **_decisions(model, X, y)}, SHOWN_F1)


THRESHOLDS: dict[str, dict[str, Any] | None] = {
    "probability 0.5": None,
    "micro_f1": {"objective": "micro_f1"},
    "micro_f1, precision 0.8": {"objective": "micro_f1", "min_precision": 0.8},
    "micro_f1, per label": {"objective": "micro_f1", "per_label": True},
    "macro_f1": {"objective": "macro_f1"},
    "macro_f1, per label": {"objective": "macro_f1", "per_label": True},
}


def _columns(rows: list[dict]) -> tuple[list[str], list[list[str]]]:
    return [row["text"] for row in rows], [row["labels"] for row in rows]


def _calibration(model: Any, X: list[str], y: list[list[str]]) -> dict[str, float]:
    """Return the calibration error of each row's five best labels, and two losses of its 200 best."""
    from ceiba import metrics

    classes = model.classes_
    p = model.predict_proba(X, 200)
    return {
        "ECE": round(metrics.expected_calibration_error(y, p, 5, classes=classes), 4),
        "ECE_quantile": round(metrics.expected_calibration_error(y, p, 5, strategy="quantile", classes=classes), 4),
        "log_loss": round(metrics.log_loss(y, p, classes=classes), 5),
        "log_loss_5": round(metrics.log_loss(y, p, 5, classes=classes), 5),
        "brier": round(metrics.brier_score(y, p, classes=classes), 5),
    }


def _decisions(model: Any, X: list[str], y: list[list[str]]) -> dict[str, float]:
    """Return the figures of what is predicted, and the micro-F1 of the best common threshold on the test rows."""
    import numpy as np

    from ceiba.data import encode_with
    from ceiba.fusion.thresholds import tune_thresholds

    Y, unknown = encode_with(y, model.classes_)
    predicted = model.predict(X)
    hits = np.asarray(predicted.multiply(Y > 0).sum(axis=0), float).ravel()
    of_label = np.asarray(predicted.sum(axis=0), float).ravel()
    right = np.asarray((Y > 0).sum(axis=0), float).ravel()
    best = tune_thresholds(model.decision_function(X, 200), Y, n_unknown=unknown)
    f1 = np.divide(2 * hits, of_label + right, out=np.zeros(len(hits)), where=of_label + right > 0)
    return {
        "micro_f1": round(2 * hits.sum() / (of_label.sum() + right.sum() + unknown), 4),
        "macro_f1": round(float(f1.mean()), 4),
        "precision": round(hits.sum() / max(1, of_label.sum()), 4),
        "best_micro_f1": round(best.value, 4),
    }


if __name__ == "__main__":
    typer.run(run)
