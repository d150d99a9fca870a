"""``ceiba evaluate``: the ranking metrics of a model on a labelled file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options


def evaluate(
    model_dir: options.ModelFolder,
    data: Annotated[Path, typer.Argument(metavar="TEST", help="A file with labels, of any known format.")],
    k: Annotated[
        list[int] | None, typer.Option("-k", min=1, help="Rank to measure at; repeatable.", show_default="1, 3, 5")
    ] = None,
    beam_size: options.BeamSize = None,
    threads: options.Threads = None,
    filter: Annotated[
        Path | None,
        typer.Option(help="Pairs 'row label', both counted from 0, that are never predicted and no positives."),
    ] = None,
    propensity: Annotated[tuple[float, float], typer.Option(metavar="A B", help="A and B of the propensities.")] = (
        0.55,
        1.5,
    ),
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    json: options.Json = False,
) -> None:
    """Measure a model on a file with labels.

    Figures are percentages. Propensities are those of the training set. Labels that the model does not know cannot be
    predicted and are left out of the positives; unknown_labels counts them.
    """
    from ceiba.cli import inputs, output
    from ceiba.cli.progress import Stages

    with Stages(quiet=json) as stages:
        model = inputs.open_model(model_dir, threads)
        given = options.read_options(text_column, label_column, label_separator, format, zero_based)
        dataset = inputs.open_rows(data, model, labels=True, given=given, progress=stages)
        report = measure(
            model,
            dataset,
            tuple(k or (1, 3, 5)),
            beam_size=beam_size,
            filter=filter,
            propensity=propensity,
            progress=stages,
        )
    if json:
        output.emit_json(report)
        return
    figures = {name: value for name, value in report.items() if "@" in name}
    output.print_table(*output.metric_rows(figures), text=["metric (%)"])
    output.print_facts({name: value for name, value in report.items() if "@" not in name})


def measure(
    model: Any,
    dataset: Any,
    ks: tuple[int, ...],
    *,
    beam_size: int | None = None,
    filter: Path | None = None,
    propensity: tuple[float, float] = (0.55, 1.5),
    progress: Any,
) -> dict[str, float]:
    """Return the metrics, ``n`` (rows), ``unknown_labels`` (positives left out) and ``seconds`` (to predict)."""
    from ceiba.cli import inputs
    from ceiba.data import encode_with

    Y, unknown = encode_with(dataset.Y, model.classes_, names=dataset.classes)
    excluded = None if filter is None else _filter(filter, dataset, model)
    if excluded is not None:
        Y = Y - Y.multiply(excluded)
        Y.eliminate_zeros()
    longest, done, parts = min(max(ks), len(model.classes_)), 0, []
    started = time.perf_counter()
    for rows in inputs.batches(dataset):
        n = len(rows) if isinstance(rows, list) else rows.shape[0]
        part = None if excluded is None else excluded[done : done + n]
        parts.append(model.predict_topk(rows, longest, beam_size=beam_size, filter=part)[0])
        done += n
        progress("predicting", done, dataset.n)
    seconds = time.perf_counter() - started
    return {
        **score(model, Y, parts, ks, propensity),
        "n": dataset.n,
        "unknown_labels": unknown,
        "seconds": round(seconds, 3),
    }


def score(
    model: Any, Y: Any, parts: list[Any], ks: tuple[int, ...], propensity: tuple[float, float]
) -> dict[str, float]:
    """Return every metric of ranked labels, the propensities being those of the model's training set."""
    import numpy as np

    from ceiba import metrics

    counts = metrics.LabelCounts(model.label_counts_, model.n_train_)
    A, B = propensity
    figures = metrics.evaluate(Y, np.concatenate(parts), ks, counts, A=A, B=B, classes=model.classes_)
    return {name: round(value, 4) for name, value in figures.items()}


def _filter(path: Path, dataset: Any, model: Any) -> Any:
    """Return the pairs of a filter file as a matrix with the columns of the model."""
    from ceiba.data import encode_with, read_filter
    from ceiba.errors import InputError

    if dataset.label_names is not None:
        raise InputError(f"--filter {path} counts labels from 0, but those of {dataset.path} have names of their own.")
    pairs = read_filter(path, dataset.n)
    return encode_with(pairs, model.classes_, names=range(pairs.shape[1]))[0]
