"""``ceiba compare``: two models on the same labelled file, with a paired bootstrap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options

Model = Annotated[Path, typer.Argument(parser=options.path, help="A folder that `ceiba train` wrote.")]


def compare(
    model_a: Model,
    model_b: Model,
    data: Annotated[
        Path, typer.Argument(metavar="TEST", parser=options.path, help="A file with labels, of any known format.")
    ],
    k: Annotated[
        list[int] | None, typer.Option("-k", min=1, help="Rank to measure at; repeatable.", show_default="1, 3, 5")
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=1, help="Draws of rows.")] = 1000,
    confidence: Annotated[float, typer.Option(help="Share of the differences that an interval holds.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws; the same one gives the same figures.")] = 0,
    threads: options.Threads = None,
    propensity: options.Propensity = options.PROPENSITY,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    json: options.Json = False,
) -> None:
    """Tell whether MODEL_B is better than MODEL_A.

    Both models rank the labels of the same rows. Rows are drawn with replacement, many times, and both are measured on
    each draw. A difference is B minus A, with a two-sided p-value and an interval that holds --confidence of its
    values. Figures are percentages. Propensities are those of the training set of MODEL_A. Labels that a model does not
    know are positives that it cannot find.
    """
    from ceiba import metrics
    from ceiba.cli import inputs, output
    from ceiba.cli.evaluate import ranked_rows
    from ceiba.cli.progress import Stages
    from ceiba.errors import InputError

    if not 0 < confidence < 1:
        raise InputError(f"--confidence must be between 0 and 1. Got {confidence}.")
    ks = tuple(k or (1, 3, 5))
    given = options.read_options(text_column, label_column, label_separator, format, zero_based)
    rankings: list[Any] = []
    with Stages(quiet=json) as stages:
        models = [inputs.open_model(folder, threads) for folder in (model_a, model_b)]
        dataset: Any = None
        for model in models:
            dataset = inputs.open_rows(data, model, labels=True, given=given, progress=stages)
            rankings.append(ranked_rows(model, dataset, max(ks), progress=stages).labels)
        classes, counts = _common_labels(models, dataset)
        A, B = propensity
        found = metrics.compare(
            _positives(dataset, classes),
            rankings[0],
            rankings[1],
            ks,
            metrics.LabelCounts(counts, models[0].n_train_),
            A=A,
            B=B,
            classes=classes,
            n_bootstraps=bootstraps,
            confidence=confidence,
            random_state=seed,
        )
    facts = {"n": dataset.n, "bootstraps": bootstraps, "confidence": confidence, "seed": seed}
    if json:
        figures = {
            name: {key: round(value, 6) for key, value in each._asdict().items()} for name, each in found.items()
        }
        output.emit_json({**figures, **facts})
        return
    columns = ["metric (%)", "A", "B", "B - A", f"{100 * confidence:g}% interval", "p"]
    rows = [
        [name, f"{d.a:.2f}", f"{d.b:.2f}", f"{d.difference:+.2f}", f"{d.low:+.2f} to {d.high:+.2f}", f"{d.p_value:.4f}"]
        for name, d in found.items()
    ]
    output.print_table(columns, rows, text=["metric (%)"])
    output.print_facts(facts)


def _common_labels(models: list[Any], dataset: Any) -> tuple[Any, Any]:
    """Return every label that a model or the data has, and its training instances in the first model."""
    import numpy as np

    from ceiba.errors import InputError

    known = [model.classes_ for model in models]
    kinds = {"numbers" if each.dtype.kind == "i" else "strings" for each in (*known, dataset.classes) if len(each)}
    if len(kinds) > 1:
        raise InputError("the labels of the models and of the data must be all numbers, or all strings.")
    labels = np.unique(np.concatenate([*known, dataset.classes]))
    counts = np.zeros(len(labels), np.int64)
    counts[np.searchsorted(labels, known[0])] = models[0].label_counts_
    return labels, counts


def _positives(dataset: Any, classes: Any) -> Any:
    from ceiba.data import encode_with

    return encode_with(dataset.Y, classes, names=dataset.classes)[0]
