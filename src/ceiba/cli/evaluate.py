"""``ceiba evaluate``: the ranking metrics of a model on a labelled file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options


def evaluate(
    model_dir: options.ModelFolder,
    data: Annotated[
        Path, typer.Argument(metavar="TEST", parser=options.path, help="A file with labels, of any known format.")
    ],
    k: Annotated[
        list[int] | None, typer.Option("-k", min=1, help="Rank to measure at; repeatable.", show_default="1, 3, 5")
    ] = None,
    beam_size: options.BeamSize = None,
    threads: options.Threads = None,
    filter: Annotated[
        Path | None,
        typer.Option(
            parser=options.path,
            help="Pairs 'row label', both counted from 0, that are never predicted and no positives.",
        ),
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

    Figures are percentages. Propensities are those of the training set. Labels that the model does not know are
    positives that it cannot find; unknown_labels counts them. `ceiba.metrics` gives the same figures.
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
    """Return the metrics, ``n`` (rows), ``unknown_labels`` (positives the model cannot find) and ``seconds``.

    The figures are those of `ceiba.metrics.evaluate` for the same positives and rankings.
    """
    from ceiba.cli import inputs

    positives, excluded = dataset.Y, None
    if filter is not None:
        pairs, excluded = _filter(filter, dataset, model)
        positives = positives - positives.multiply(pairs)
        positives.eliminate_zeros()
    Y, classes, unknown = _with_unknown(positives, dataset.classes, model.classes_)
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
        **score(model, Y, parts, ks, propensity, classes),
        "n": dataset.n,
        "unknown_labels": unknown,
        "seconds": round(seconds, 3),
    }


def _with_unknown(Y: Any, names: Any, known: Any) -> tuple[Any, Any, int]:
    """Return positives with a column for each label of the model and, after them, each unknown one that occurs.

    Also the labels of these columns, and how many positives are of unknown labels.
    """
    import numpy as np

    from ceiba.data import encode_with

    found, n_unknown = encode_with(Y, known, names=names)
    if not n_unknown:
        return found, known, 0
    unknown = sorted(set(names[np.unique(Y.indices)].tolist()) - set(known.tolist()))
    classes = np.empty(len(known) + len(unknown), known.dtype)
    classes[: len(known)], classes[len(known) :] = known, unknown
    return encode_with(Y, classes, names=names)[0], classes, n_unknown


def score(
    model: Any, Y: Any, parts: list[Any], ks: tuple[int, ...], propensity: tuple[float, float], classes: Any = None
) -> dict[str, float]:
    """Return every metric of ranked labels, the propensities being those of the model's training set.

    Columns of Y after those of the model are labels that training never saw, with propensities of no instances.
    """
    import numpy as np

    from ceiba import metrics

    classes = model.classes_ if classes is None else classes
    trained = np.pad(model.label_counts_, (0, len(classes) - len(model.classes_)))
    A, B = propensity
    counts = metrics.LabelCounts(trained, model.n_train_)
    figures = metrics.evaluate(Y, np.concatenate(parts), ks, counts, A=A, B=B, classes=classes)
    return {name: round(value, 4) for name, value in figures.items()}


def _filter(path: Path, dataset: Any, model: Any) -> tuple[Any, Any]:
    """Return the pairs of a filter file as matrices with the columns of the data set and with those of the model."""
    from ceiba.data import encode_with, read_filter
    from ceiba.errors import InputError

    if dataset.label_names is not None:
        raise InputError(f"--filter {path} counts labels from 0, but those of {dataset.path} have names of their own.")
    pairs = read_filter(path, dataset.n)
    names = range(pairs.shape[1])
    return encode_with(pairs, dataset.classes, names=names)[0], encode_with(pairs, model.classes_, names=names)[0]
