"""``ceiba calibrate``, ``tune-thresholds`` and ``set-filters``: changes to a model that was trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options
from ceiba.errors import CalibrationWarning

Rows = Annotated[
    Path,
    typer.Argument(metavar="ROWS", parser=options.path, help="A file with labels that the model was not trained on."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        parser=options.path,
        help="Folder to save the new model to.",
        show_default="DIR, whose model is replaced",
    ),
]


def calibrate(
    model_dir: options.ModelFolder,
    data: Rows,
    method: Annotated[str, typer.Option(help="sigmoid, or isotonic for 1,000 right labels and more.")] = "sigmoid",
    output_dir: Output = None,
    threads: options.Threads = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    json: options.Json = False,
) -> None:
    """Learn from labelled rows what scores mean: the scores of `ceiba predict` become probabilities.

    The ranking stays the same. The figures shown are of the rows given: the expected calibration error (ECE) and the
    log-loss of each row's five best labels, before and after. `ceiba evaluate` gives those of other rows.
    """
    from ceiba import metrics
    from ceiba._params import Options, check
    from ceiba.fusion.calibration import CALIBRATORS

    check("method", method, [Options(*CALIBRATORS)], "calibrate")

    def learn(model: Any, X: Any, y: list[list[Any]]) -> dict[str, Any]:
        figures: dict[str, Any] = {"method": method}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # the figures are to show what scores lack
            before = model.predict_proba(X, 5)
        model.calibrate(X, y, method)
        for name, measured in (("ECE", metrics.expected_calibration_error), ("log_loss", metrics.log_loss)):
            for when, p in (("before", before), ("after", model.predict_proba(X, 5))):
                figures[f"{name}_{when}"] = round(measured(y, p, classes=model.classes_), 6)
        return figures

    given = options.read_options(text_column, label_column, label_separator, format, zero_based)
    _learn(model_dir, data, output_dir, threads, given, json, learn)


def tune_thresholds(
    model_dir: options.ModelFolder,
    data: Rows,
    objective: Annotated[str, typer.Option(help="What is best: micro_f1 or macro_f1.")] = "micro_f1",
    min_precision: Annotated[
        float | None, typer.Option(help="The least share of predictions that must be right, as 0.8.")
    ] = None,
    per_label: Annotated[bool, typer.Option("--per-label", help="A threshold for each label.")] = False,
    output_dir: Output = None,
    threads: options.Threads = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    json: options.Json = False,
) -> None:
    """Choose from labelled rows the score from which the model's `predict` returns a label.

    The figures shown are of the rows given.
    """
    from ceiba._params import Options, check
    from ceiba.fusion.thresholds import OBJECTIVES, PRECISION

    check("objective", objective, [Options(*OBJECTIVES)], "tune-thresholds")
    check("min_precision", min_precision, PRECISION, "tune-thresholds")

    def learn(model: Any, X: Any, y: list[list[Any]]) -> dict[str, Any]:
        import numpy as np

        model.tune_thresholds(X, y, objective=objective, min_precision=min_precision, per_label=per_label)
        found = model.thresholds_
        figures: dict[str, Any] = {"threshold": found.threshold}
        if model.calibrator_ is not None:
            figures["probability"] = float(model.calibrator_.probability(np.array([found.threshold]))[0])
        figures |= {objective: found.value, "precision": found.precision, "recall": found.recall}
        figures = {name: round(value, 6) for name, value in figures.items()}
        figures["per_label"] = found.label_thresholds is not None
        return figures

    given = options.read_options(text_column, label_column, label_separator, format, zero_based)
    _learn(model_dir, data, output_dir, threads, given, json, learn)


def set_filters(
    model_dir: options.ModelFolder,
    allowed: options.Allowed = None,
    denied: options.Denied = None,
    output_dir: Output = None,
    json: options.Json = False,
) -> None:
    """Keep with a model which labels it may predict, and which it never predicts.

    Every answer of the model keeps to them, also in the service. Without --allowed and --denied the model may predict
    all its labels again.
    """
    from ceiba import load
    from ceiba.cli import folders, inputs

    target = _target(model_dir, output_dir)
    model = load(model_dir)
    folders.check_target(target, overwrite=True)
    filters = inputs.label_lists(model.classes_, allowed, denied)
    model.set_filters(**filters)
    where, error = folders.save(model, target)
    report = {"model_dir": str(where), "labels": len(model.classes_)}
    _report({**report, **{name: len(set(labels)) for name, labels in filters.items()}}, json, target, where, error)


def _learn(
    model_dir: Path,
    data: Path,
    output_dir: Path | None,
    threads: int | None,
    given: dict[str, Any],
    json: bool,
    learn: Callable[[Any, Any, list[list[Any]]], dict[str, Any]],
) -> None:
    """Load a model, let it learn from the rows of a file, save it, and print what was found."""
    from ceiba import load
    from ceiba.cli import folders, inputs
    from ceiba.cli.progress import Stages

    target = _target(model_dir, output_dir)
    with Stages(quiet=json) as stages:
        model = load(model_dir)
        folders.check_target(target, overwrite=True)
        own_threads = model.n_jobs
        model.set_params(n_jobs=threads)
        dataset = inputs.open_rows(data, model, labels=True, given=given, progress=stages)
        names = dataset.classes
        y = [
            names[dataset.Y.indices[b:e]].tolist() for b, e in zip(dataset.Y.indptr, dataset.Y.indptr[1:], strict=False)
        ]
        X = dataset.X if dataset.texts is None else list(dataset.texts)
        with inputs.naming_place(dataset):
            figures = learn(model, X, y)
        model.set_params(n_jobs=own_threads)
        stages("saving", 0, 0)
        where, error = folders.save(model, target)
    _report({"model_dir": str(where), "rows": dataset.n, **figures}, json, target, where, error)


def _target(model_dir: Path, output_dir: Path | None) -> Path:
    """Return the folder to save to; a new one must not hold anything."""
    from ceiba.cli import folders

    if output_dir is None:
        return model_dir
    folders.check_target(output_dir, overwrite=False, option="--output-dir")
    return output_dir


def _report(report: dict[str, Any], json: bool, target: Path, where: Path, error: Exception | None) -> None:
    from ceiba.cli import folders, output

    if json:
        output.emit_json(report)
    else:
        output.print_facts(report)
    if error is not None:
        folders.report_rescue(target, where, error)
        raise typer.Exit(1)
