"""``ceiba train``: a file of texts or features with labels to a model folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options


def train(
    data: Annotated[
        Path,
        typer.Argument(metavar="TRAIN", parser=options.path, help="A file with labels, or the folder of a data set."),
    ],
    model_dir: Annotated[
        Path, typer.Option(parser=options.path, help="Folder to save the model to.", show_default=False)
    ],
    model: Annotated[
        str, typer.Option(help="What to train: hybrid, xr-linear, xr-transformer or x-transformer.")
    ] = "hybrid",
    encoder: Annotated[
        str | None,
        typer.Option(
            callback=options.not_empty,
            help='Encoder: a folder or a name on the hub; "frozen:" before it takes it as it is.',
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="A model among the sources of a hybrid one, such as xr-transformer, which tunes --encoder; "
            "--set base__NAME=VALUE sets its parameters."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings measured together: fast, balanced or accurate; --set counts more.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter; repeatable. `ceiba params` lists them."),
    ] = None,
    label_texts: Annotated[
        str | None,
        typer.Option(
            metavar="[FILE]",
            help="Learn from the labels' texts, and show them in answers. FILE is a SKOS vocabulary, a table or JSON "
            "lines; without it labels.jsonl or the like beside TRAIN is read.",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language of the label texts of a vocabulary, such as en.", show_default="the only one"),
    ] = None,
    include_training_texts: Annotated[
        bool,
        typer.Option(
            "--include-training-texts",
            help="Keep the training texts with a hybrid model; explanations and the page then show the nearest ones.",
        ),
    ] = False,
    allowed: options.Allowed = None,
    denied: options.Denied = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; the same one gives the same model.")] = None,
    threads: options.Threads = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    engine: options.Engine = "local",
    workers: options.Workers = None,
    cluster: options.Cluster = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(
            parser=options.path,
            help="Keep finished pieces of work in this folder; the same command goes on from them after a stop.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the pieces of work, their memory and time, and train nothing.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model in --model-dir.")] = False,
    json: options.Json = False,
) -> None:
    """Train a model on texts or features with labels.

    The file is JSONL, CSV, TSV, Parquet or one of the field's sparse formats, detected by its name and content. The
    model is saved to a folder.

    Without --model it is a hybrid model: label trees, the nearest training texts and, with --label-texts, the labels'
    words, ranked by one probability. --model xr-linear trains the trees alone, several times faster.

    Parameters are set with --set, such as --set n_candidates=100. Those of the TF-IDF have the prefix vectorizer__,
    such as --set vectorizer__word_ngrams=[1,2]. `ceiba params` lists the hybrid model's, `ceiba params xr-linear`
    those of another.

    An encoder needs the extra ceiba[transformer]: --encoder frozen:FOLDER uses it as it is, --base xr-transformer
    --encoder FOLDER fine-tunes it. --model xr-transformer trains the Transformer model alone.

    With --engine ray a cluster trains trees, shards of levels and folds; the model has the same bytes. The workers of a
    Transformer model fine-tune together.
    """
    from ceiba.cli import folders, inputs
    from ceiba.cli.engines import open_engine
    from ceiba.cli.progress import Stages
    from ceiba.cli.settings import build
    from ceiba.executors.ranks import is_first_process

    estimator = build(model, settings or [], seed=seed, threads=threads, encoder=encoder, preset=preset, base=base)
    if include_training_texts:
        keep_training_texts(estimator)
    folders.check_target(model_dir, overwrite=overwrite)
    vocabulary = given_vocabulary(label_texts, language)
    if work_dir is not None or dry_run:
        _check_in_pieces(estimator)
    given = options.read_options(text_column, label_column, label_separator, format, zero_based)
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    first = is_first_process()  # of several processes, which all have the same model
    with (
        open_engine(engine, workers=workers, threads=threads, work_dir=work_dir, cluster=cluster) as executor,
        Stages(quiet=json or not first, eager=True) as stages,
    ):
        connected = time.perf_counter()
        dataset = _read(data, given, vocabulary, stages)
        filters = _filters(estimator, dataset, allowed, denied, label_texts=label_texts is not None)
        seconds["reading"] = time.perf_counter() - connected
        if dry_run:
            with inputs.naming_place(dataset):
                _print_plan(estimator, dataset, executor, stages, json=json)
            return
        with inputs.naming_place(dataset):
            fit(estimator, dataset, stages, label_texts=label_texts is not None, executor=executor)
        seconds["training"] = time.perf_counter() - connected - seconds["reading"]
        if not first:
            return
        where, error = _save(estimator, model_dir, filters, executor, stages)
    seconds["total"] = time.perf_counter() - started

    _print_report(estimator, dataset, where, seconds, json=json)
    if error is not None:
        folders.report_rescue(model_dir, where, error)
        raise typer.Exit(1)


def _check_in_pieces(estimator: Any) -> None:
    """Raise InputError where a model is not trained in pieces of work, which could be planned or kept."""
    from ceiba.errors import InputError

    if estimator.tunes_encoder:
        raise InputError(
            "--work-dir and --dry-run are for --model hybrid and xr-linear; --set checkpoint_dir=FOLDER keeps what a "
            "Transformer model has learned."
        )


def _read(data: Path, given: dict[str, Any], vocabulary: Any, stages: Any) -> Any:
    """Read the training file, with the label texts of a vocabulary where there is one."""
    from ceiba.data import read

    dataset = read(data, labels=True, progress=stages, **given)
    if vocabulary is not None:
        dataset.use_vocabulary(vocabulary)
    return dataset


def _filters(
    estimator: Any, dataset: Any, allowed: Path | None, denied: Path | None, *, label_texts: bool
) -> dict[str, list[Any]]:
    """Read --allowed and --denied; InputError where a label is unknown, or none would be left."""
    from ceiba.cli import inputs

    known = _labels(estimator, dataset, label_texts)
    filters = inputs.label_lists(known, allowed, denied)
    inputs.check_some_label_left(known, **filters)
    return filters


def _print_plan(estimator: Any, dataset: Any, executor: Any, stages: Any, *, json: bool) -> None:
    """Print the pieces of work of --dry-run."""
    from ceiba.cli import output
    from ceiba.cli.plan import plan_of

    stages("trying a sample", 0, 0)
    plan = plan_of(estimator, dataset, executor)
    if json:
        output.emit_json(plan)
    else:
        output.print_facts(plan)


def _save(
    estimator: Any, model_dir: Path, filters: dict[str, list[Any]], executor: Any, stages: Any
) -> tuple[Path, Exception | None]:
    """Save a model with its filters, and drop the pieces of work it was made of; return where, and what went wrong."""
    from ceiba.cli import folders

    if filters:
        estimator.set_filters(**filters)
    stages("saving", 0, 0)
    where, error = folders.save(estimator, model_dir)
    if executor is not None and executor.work_folder is not None:
        executor.work_folder.clear()
    return where, error


def _print_report(estimator: Any, dataset: Any, where: Path, seconds: dict[str, float], *, json: bool) -> None:
    from ceiba.cli import folders, output

    report: dict[str, Any] = {
        "model": type(estimator).__name__,
        "model_dir": str(where),
        "rows": dataset.n,
        "features": estimator.n_features_in_,
        "labels": len(estimator.classes_),
        "positives": int(dataset.Y.nnz),
        "trees": len(estimator.trees_),
        **estimator.fitted_facts(),
        "bytes": folders.folder_size(where),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
    if json:
        output.emit_json(report)
    else:
        report["size"] = output.size(report.pop("bytes"))
        report["seconds"] = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
        output.print_facts(report)


def given_vocabulary(label_texts: str | None, language: str | None) -> Any:
    """Return the vocabulary of --label-texts FILE; None where no file is named."""
    from ceiba.cli.optional_value import NO_VALUE
    from ceiba.data import read_vocabulary
    from ceiba.errors import InputError

    if label_texts is None or label_texts == NO_VALUE:
        if language is not None:
            raise InputError("--language is for the vocabulary of --label-texts FILE.")
        return None
    return read_vocabulary(options.path(label_texts), language)


def keep_training_texts(estimator: Any) -> None:
    """Let a model keep its training texts; InputError where its class cannot."""
    from ceiba.errors import InputError

    if "include_training_texts" not in estimator.get_params(deep=False):
        raise InputError(f"--include-training-texts: {type(estimator).__name__} keeps no texts. Use --model hybrid.")
    estimator.set_params(include_training_texts=True)


def _labels(estimator: Any, dataset: Any, label_texts: bool) -> Any:
    """Return the labels that the model will have."""
    import numpy as np

    classes = dataset.classes
    if not (label_texts and estimator.takes_every_label_text):
        return classes
    kind = int if classes.dtype.kind == "i" else str  # others are an error of `fit`
    more = [label for label in dataset.every_label_text() or () if isinstance(label, kind)]
    return np.unique(np.concatenate([classes, np.array(more, classes.dtype)]))


def fit(estimator: Any, dataset: Any, progress: Any, *, label_texts: bool = False, executor: Any = None) -> None:
    """Fit an estimator to a data set: its texts where it has any, else its features."""
    from ceiba.cli.progress import Counted
    from ceiba.errors import InputError

    extra: dict[str, Any] = {}
    if executor is not None:
        extra["executor"] = executor
    if estimator.takes_every_label_text:
        _fit_with_every_label_text(estimator, dataset, progress, label_texts=label_texts, **extra)
        return
    reads = _has_encoder(estimator)
    if label_texts and not reads:
        estimator.set_params(label_documents=True)
    asked = _needs_label_texts(estimator, label_texts)
    if asked is not None:
        if dataset.label_texts is None:
            raise InputError(
                f"{dataset.path}: {asked} needs a text for each label, from labels.jsonl, lbl.json.gz or "
                "output-items.txt beside the file."
            )
        extra["label_texts"] = dataset.label_texts
    if reads:
        if dataset.texts is None:
            raise InputError(f"{dataset.path} holds no texts, which {type(estimator).__name__} reads.")
        estimator.fit(list(dataset.texts), dataset.Y, classes=dataset.classes, progress=progress, **extra)
        return
    X = dataset.X if dataset.texts is None else Counted(dataset.texts, progress)
    estimator.fit(X, dataset.Y, classes=dataset.classes, progress=progress, **extra)


def _fit_with_every_label_text(estimator: Any, dataset: Any, progress: Any, *, label_texts: bool, **extra: Any) -> None:
    from ceiba.errors import InputError

    texts = dataset.every_label_text() if label_texts else None
    if label_texts and texts is None:
        raise InputError(
            f"{dataset.path}: --label-texts needs labels.jsonl, lbl.json.gz or output-items.txt beside it."
        )
    X = dataset.X if dataset.texts is None else list(dataset.texts)
    estimator.fit(X, dataset.Y, classes=dataset.classes, label_texts=texts, progress=progress, **extra)


def _has_encoder(estimator: Any) -> bool:
    return "encoder" in estimator.get_params(deep=False)


def _needs_label_texts(estimator: Any, asked: bool) -> str | None:
    """Return what needs the texts of labels, in the words that it was asked in; None where nothing does."""
    if not _has_encoder(estimator):
        if "text" in str(estimator.label_embedding):
            return f"label_embedding={estimator.label_embedding!r}"
        if estimator.label_documents and not asked:
            return "label_documents=True"
    return "--label-texts" if asked else None
