"""``ceiba evaluate``: the ranking metrics of a model on a labelled file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ceiba.cli import options

if TYPE_CHECKING:
    from ceiba.cli.targets import Target


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
    propensity: options.Propensity = options.PROPENSITY,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    engine: options.Engine = "local",
    workers: options.Workers = None,
    cluster: options.Cluster = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw the reliability diagram to this .svg or .png file.")
    ] = None,
    plot_frequency: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw P and R of rare and frequent labels to this .svg or .png file."),
    ] = None,
    per_label: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the figures of each label to this .csv, .tsv or .jsonl file."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure a model on a file with labels.

    Figures are percentages. Propensities are those of the training set. Labels that the model does not know are
    positives that it cannot find; unknown_labels counts them. `ceiba.metrics` gives the same figures.
    The second table pools labels by their number of training texts. P is the share of a group's answers that are right,
    R the share of its positives that are found. --per-label gives both for each label, at the largest -k. A calibrated
    model also gets the expected calibration error (ECE) and the log-loss of the labels returned.
    """
    from ceiba import metrics
    from ceiba.cli import inputs
    from ceiba.cli.engines import open_engine
    from ceiba.cli.progress import Stages

    files = _Files.open(plot, plot_frequency, per_label, data, model_dir)
    with (
        open_engine(engine, workers=workers, threads=threads, cluster=cluster) as executor,
        Stages(quiet=json) as stages,
    ):
        model = inputs.open_model(model_dir, threads)
        if files.reliability is not None:
            _check_drawable(model)
        given = options.read_options(text_column, label_column, label_separator, format, zero_based)
        dataset = inputs.open_rows(data, model, labels=True, given=given, progress=stages)
        ks = tuple(k or (1, 3, 5))
        answers = ranked_rows(
            model, dataset, max(ks), beam_size=beam_size, filter=filter, progress=stages, executor=executor,
            folder=model_dir,
        )  # fmt: skip
        report: dict[str, Any] = figures_of(model, answers, ks, propensity=propensity)
        counts = _training_counts(model, answers.classes)
        groups = metrics.by_frequency(answers.Y, answers.labels, counts, ks, classes=answers.classes)
    files.write(model, answers, groups, counts, max(ks))
    _print(report, groups, json=json)


@dataclass(frozen=True)
class _Files:
    """What an evaluation writes beside its report; None for what was not asked for."""

    reliability: Target | None
    frequency: Target | None
    per_label: Target | None

    @classmethod
    def open(
        cls, plot: str | None, plot_frequency: str | None, per_label: str | None, data: Path, model_dir: Path
    ) -> _Files:
        """Check the names of the files before any work."""
        from ceiba.cli.label_figures import table_target
        from ceiba.cli.plots import plot_target

        return cls(
            None if plot is None else plot_target(plot, data, model_dir),
            None if plot_frequency is None else plot_target(plot_frequency, data, model_dir, "--plot-frequency"),
            None if per_label is None else table_target(per_label, data, model_dir),
        )

    def write(self, model: Any, answers: RankedRows, groups: list[Any], counts: Any, k: int) -> None:
        """Write the table, then the drawings, of the first k labels."""
        from ceiba import metrics
        from ceiba.cli import inputs, label_figures
        from ceiba.cli.plots import plot_groups, plot_reliability

        if self.per_label is not None:
            figures = metrics.per_label(answers.Y, answers.labels, k, counts, classes=answers.classes)
            label_figures.write_table(figures, inputs.label_texts(model), self.per_label)
        if self.frequency is not None:
            plot_groups(groups, self.frequency, k=k)
        if self.reliability is not None:
            curve = metrics.reliability_curve(answers.Y, answers.matrix(), None)
            kind = "probabilities" if model.gives_probabilities else "scores, not calibrated"
            title = f"First {k} labels of {answers.Y.shape[0]:,} rows ({kind})"
            plot_reliability(curve, self.reliability, title=title)


def _print(report: dict[str, Any], groups: list[Any], *, json: bool) -> None:
    from ceiba.cli import label_figures, output

    if json:
        output.emit_json({**report, "by_frequency": [_rounded(group) for group in groups]})
        return
    ranking = {name: value for name, value in report.items() if "@" in name}
    output.print_table(*output.metric_rows(ranking), text=["metric (%)"])
    output.print_table(*label_figures.group_rows(groups), text=["labels"])
    output.print_facts({name: value for name, value in report.items() if "@" not in name})


@dataclass(frozen=True)
class RankedRows:
    """The labels and scores of all rows of a data set, beside their positives.

    Attributes
    ----------
    Y : csr_array of shape (N, M)
        The positives; its columns are the model's labels, then the unknown ones.
    classes : ndarray of shape (M,)
    labels, scores : ndarray of shape (N, k)
    n_unknown : int
        Positives of unknown labels.
    seconds : float
        What the search took.
    """

    Y: Any
    classes: Any
    labels: Any
    scores: Any
    n_unknown: int
    seconds: float

    def matrix(self) -> Any:
        """Return the scores as a matrix of the shape of Y."""
        import numpy as np
        from scipy.sparse import csr_array

        column = {label: j for j, label in enumerate(self.classes.tolist())}
        found = self.scores > -np.inf
        columns = np.array([column[label] for label in self.labels[found].tolist()], np.int64)
        return csr_array((self.scores[found], columns, np.append(0, np.cumsum(found.sum(1)))), shape=self.Y.shape)


def ranked_rows(
    model: Any,
    dataset: Any,
    k: int,
    *,
    beam_size: int | None = None,
    filter: Path | None = None,
    progress: Any,
    executor: Any = None,
    folder: Path | None = None,
) -> RankedRows:
    """Rank the k best labels of every row; by an executor, whose workers load the model from its folder."""
    import numpy as np

    from ceiba.cli.inputs import naming_place

    positives, excluded = dataset.Y, None
    if filter is not None:
        pairs, excluded = _filter(filter, dataset, model)
        positives = positives - positives.multiply(pairs)
        positives.eliminate_zeros()
    Y, classes, unknown = _with_unknown(positives, dataset.classes, model.classes_)
    longest, done, parts = min(k, len(model.classes_)), 0, []
    started = time.perf_counter()
    if executor is None or folder is None:
        ranked = _ranked_here(model, dataset, longest, beam_size, excluded)
    else:
        ranked = _ranked_by(executor, folder, model, dataset, longest, beam_size, excluded)
    with naming_place(dataset):
        for part in ranked:
            parts.append(part)
            done += len(part[0])
            progress("predicting", done, dataset.n)
    seconds = time.perf_counter() - started
    labels, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    return RankedRows(Y, classes, labels, scores, unknown, seconds)


def _ranked_here(model: Any, dataset: Any, k: int, beam_size: int | None, excluded: Any) -> Iterator[tuple[Any, Any]]:
    from ceiba.cli import inputs

    done = 0
    for rows in inputs.batches(dataset):
        n = inputs.n_rows(rows)
        part = None if excluded is None else excluded[done : done + n]
        with inputs.finding_row(
            dataset.path, rows, done, lambda some: model.predict_topk(some, k, beam_size=beam_size)
        ):
            found = model.predict_topk(rows, k, beam_size=beam_size, denied=part)
        yield found
        done += n


def _ranked_by(
    executor: Any, folder: Path, model: Any, dataset: Any, k: int, beam_size: int | None, excluded: Any
) -> Iterator[tuple[Any, Any]]:
    from ceiba.cli import blocks, inputs

    pieces = blocks.pieces_of(inputs.batches(dataset), dataset.path, excluded)
    shared = {"model": blocks.ModelPlace.of(folder), "source": str(dataset.path), "k": k, "beam_size": beam_size}
    gpu = bool(model.encoder_devices)
    for found in executor.map(blocks.rank_block, pieces, shared=shared, stage="predicting", gpu=gpu):
        yield found["labels"], found["scores"]


def figures_of(
    model: Any, answers: RankedRows, ks: tuple[int, ...], *, propensity: tuple[float, float]
) -> dict[str, float]:
    """Return the metrics, ``n`` (rows), ``unknown_labels`` (positives the model cannot find) and ``seconds``.

    The metrics are those of `ceiba.metrics.evaluate` for the same positives and rankings.
    """
    from ceiba import metrics

    figures: dict[str, Any] = {
        **score(model, answers.Y, [answers.labels], ks, propensity, answers.classes),
        "n": answers.Y.shape[0],
        "unknown_labels": answers.n_unknown,
    }
    if model.gives_probabilities:
        probabilities = answers.matrix()
        figures["ECE"] = round(metrics.expected_calibration_error(answers.Y, probabilities, None), 6)
        figures["log_loss"] = round(metrics.log_loss(answers.Y, probabilities), 6)
    return {**figures, "seconds": round(answers.seconds, 3)}


def _check_drawable(model: Any) -> None:
    """Raise an error where scores are neither probabilities nor in [0, 1]."""
    from ceiba.errors import InputError

    if model.combine.startswith("log-") and not model.gives_probabilities:
        raise InputError(f"--plot: scores are logarithms with combine={model.combine!r}; calibrate the model first.")


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
    A, B = propensity
    counts = _training_counts(model, classes)
    figures = metrics.evaluate(Y, np.concatenate(parts), ks, counts, A=A, B=B, classes=classes)
    return {name: round(value, 4) for name, value in figures.items()}


def _training_counts(model: Any, classes: Any) -> Any:
    """Return the training instances of labels; those after the model's own have none."""
    import numpy as np

    from ceiba import metrics

    trained = np.pad(model.label_counts_, (0, len(classes) - len(model.classes_)))
    return metrics.LabelCounts(trained, model.n_train_)


def _rounded(group: Any) -> dict[str, Any]:
    """Return a group of labels for a JSON report."""
    return {**group._asdict(), "figures": {name: round(value, 4) for name, value in group.figures.items()}}


def _filter(path: Path, dataset: Any, model: Any) -> tuple[Any, Any]:
    """Return the pairs of a filter file as matrices with the columns of the data set and with those of the model."""
    from ceiba.data import encode_with, read_filter
    from ceiba.errors import InputError

    if dataset.label_names is not None:
        raise InputError(f"--filter {path} counts labels from 0, but those of {dataset.path} have names of their own.")
    pairs = read_filter(path, dataset.n)
    names = range(pairs.shape[1])
    return encode_with(pairs, dataset.classes, names=names)[0], encode_with(pairs, model.classes_, names=names)[0]
