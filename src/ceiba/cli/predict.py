"""``ceiba predict``: ranked labels for the rows of a file, or line by line for standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ceiba.cli import options

if TYPE_CHECKING:
    from ceiba.cli.answers import Writer
    from ceiba.cli.targets import Target

Answer = tuple[list[Any], list[float]]
_ROWS_PER_FILE = 16_384


def predict(
    model_dir: options.ModelFolder,
    data: Annotated[
        str, typer.Argument(metavar="INPUT", callback=options.not_empty, help="A file; '-' reads a text per line.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Labels per row.")] = 5,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            callback=options.not_empty,
            help="Write to this .jsonl, .csv, .tsv or .parquet file, once it is complete; with --engine ray to this "
            "folder of Parquet files.",
        ),
    ] = None,
    with_text: Annotated[bool, typer.Option("--with-text", help="Repeat each text beside its labels.")] = False,
    allowed: options.Allowed = None,
    denied: options.Denied = None,
    beam_size: options.BeamSize = None,
    threads: options.Threads = None,
    text_column: options.TextColumn = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    engine: options.Engine = "local",
    workers: options.Workers = None,
    cluster: options.Cluster = None,
    rows_per_file: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of a Parquet file, with --engine ray.", show_default=str(_ROWS_PER_FILE)),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the folder of a prediction that was stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let the output take the place of the input, or of older answers.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines on a terminal too.")] = False,
) -> None:
    """Rank the labels of each row of a file, or of typed texts.

    The answers are JSON lines, {"labels": [...], "scores": [...]}, one for each row in its order, best label first;
    a model that knows its labels' texts (`ceiba train --label-texts`) has them in "texts", between these two.
    On a terminal, and without -o, they are shown for people. Standard input is answered line by line as it comes.
    With -o the suffix tells the format (.gz or .zst may follow it); a cell of a CSV or TSV file holds a JSON list.
    Devices, pipes and sockets are written into; '-o -' is standard output.
    With --engine ray a cluster answers blocks of rows, and -o is a folder of Parquet files, in the order of the rows.
    """
    given = options.read_options(text_column, None, None, format, zero_based)
    if engine != "local":
        from ceiba.cli.predict_blocks import predict_to_folder

        predict_to_folder(
            model_dir, data, out, k=k, beam_size=beam_size, with_text=with_text, allowed=allowed, denied=denied,
            given=given, engine=engine, workers=workers, cluster=cluster, threads=threads,
            rows_per_file=rows_per_file or _ROWS_PER_FILE, resume=resume, overwrite=overwrite, json=json,
        )  # fmt: skip
        return
    _check_local(
        {
            "--workers": workers,
            "--cluster": cluster or None,
            "--resume": resume or None,
            "--rows-per-file": rows_per_file,
        }
    )
    if out == "-":
        out, json = None, True
    _predict_here(
        model_dir, data, out, k=k, beam_size=beam_size, with_text=with_text, allowed=allowed, denied=denied,
        given=given, threads=threads, overwrite=overwrite, json=json,
    )  # fmt: skip


def _predict_here(
    model_dir: Path,
    data: str,
    out: str | None,
    *,
    k: int,
    beam_size: int | None,
    with_text: bool,
    allowed: Path | None,
    denied: Path | None,
    given: dict[str, Any],
    threads: int | None,
    overwrite: bool,
    json: bool,
) -> None:
    """Answer in this process: into a file, or on standard output."""
    import sys

    from ceiba.cli import inputs, output

    target = None if out is None else _target(out, data, model_dir, overwrite)
    if target is None:
        _check_standard_output(data)
    typed = data == "-" and sys.stdin.isatty()
    if typed:
        output.say("A text per line; Ctrl-D ends.")
    model = inputs.open_model(model_dir, threads)
    filters = inputs.label_lists(model.classes_, allowed, denied)

    def answer(rows: Any) -> Iterator[Answer]:
        return inputs.ranked(model, rows, k, beam_size, **filters)

    pretty = not json and out is None and sys.stdout.isatty()
    with_text = with_text or (pretty and not typed)
    with _writer(target, model, pretty=pretty, with_text=with_text and model.reads_texts) as writer:
        write = row_writer(writer, inputs.label_texts(model), with_text=with_text)
        if data == "-" and given.get("format", "text") == "text" and "text_column" not in given:
            _predict_stdin(model, answer, write, writer.flush)
        else:
            _predict_file(Path(data), model, answer, write, given, quiet=json or (out is None and pretty))


def _check_local(given: dict[str, Any]) -> None:
    """Raise InputError where an option of --engine ray is given without it."""
    from ceiba.errors import InputError

    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} is for --engine ray.")


def _target(out: str, data: str, model_dir: Path, overwrite: bool) -> Target:
    from ceiba.cli.answers import choose_format
    from ceiba.cli.targets import Target

    target = Target(out, [Path(data)], model=model_dir, overwrite=overwrite)
    choose_format(target.names)
    return target


def _check_standard_output(data: str) -> None:
    """Raise an error where the answers would go into the input, as by ``>> input``."""
    from ceiba.cli.targets import Target

    Target("/dev/stdout", [Path(data)])


@contextmanager
def _writer(target: Target | None, model: Any, *, pretty: bool, with_text: bool) -> Iterator[Writer]:
    import sys

    from ceiba.cli.answers import JsonLines, open_writer

    if target is None:
        yield _Pretty(sys.stdout) if pretty else JsonLines(sys.stdout.write, sys.stdout.flush)
        return
    columns = answer_columns(model, with_text=with_text)
    with (
        target.open() as file,
        open_writer(file, target.names, columns, type(model.classes_[:1].tolist()[0])) as writer,
    ):
        yield writer


def answer_columns(model: Any, *, with_text: bool) -> list[str]:
    """Return the columns of a model's answers."""
    texts = [] if model.label_texts_ is None else ["texts"]
    return [*(["text"] if with_text else []), "labels", *texts, "scores"]


def row_writer(
    writer: Writer, texts: dict[Any, str] | None, *, with_text: bool
) -> Callable[[Answer, str | None], None]:
    """Return what writes an answer and its text as a row; `texts` are those of the labels, where there are any."""

    def write(answer: Answer, text: str | None) -> None:
        row: dict[str, Any] = {"text": text} if with_text and text is not None else {}
        row["labels"] = answer[0]
        if texts is not None:
            row["texts"] = [texts[label] for label in answer[0]]
        writer.write({**row, "scores": answer[1]})

    return write


class _Pretty:
    """Writes answers for people."""

    def __init__(self, file: Any):
        self._file, self.flush = file, file.flush

    def write(self, row: dict[str, Any]) -> None:
        from ceiba.cli.output import printable

        if "text" in row:
            self._file.write(f"{printable(row['text'])}\n")
        texts = row.get("texts") or [""] * len(row["labels"])
        for label, text, score in zip(row["labels"], texts, row["scores"], strict=True):
            self._file.write(f"  {score:8.4g}  {printable(f'{label}  {text}'.rstrip())}\n")
        if not row["labels"]:
            self._file.write("  no label\n")


def _predict_file(
    path: Path, model: Any, answer: Callable, write: Callable, given: dict[str, Any], *, quiet: bool
) -> None:
    from ceiba.cli import inputs
    from ceiba.cli.progress import Stages

    with Stages(quiet=quiet) as stages:
        dataset = inputs.open_rows(path, model, labels=False, given=given, progress=stages)
        done = 0
        for rows in inputs.batches(dataset):
            texts = rows if isinstance(rows, list) else [None] * rows.shape[0]
            for found, text in zip(_answers(dataset, rows, done, answer), texts, strict=True):
                write(found, text)
            done += len(texts)
            stages("predicting", done, dataset.n)


def _answers(dataset: Any, rows: Any, first: int, answer: Callable) -> list[Answer]:
    """Return the answers for a block of a file; an error names the place of its row."""
    from ceiba.cli import inputs

    with inputs.naming_place(dataset), inputs.finding_row(dataset.path, rows, first, lambda some: list(answer(some))):
        return list(answer(rows))


def _predict_stdin(model: Any, answer: Callable, write: Callable, flush: Callable) -> None:
    """Answer every line that has come, as soon as it has come."""
    import sys

    from ceiba.cli.inputs import finding_row
    from ceiba.errors import InputError, RowError

    if not model.reads_texts:
        raise InputError("Standard input holds texts, but the model was trained on features.")
    typed = sys.stdin.isatty()
    done = 0
    for lines in arriving_lines(sys.stdin.buffer):
        texts = [line for line in lines if line.strip()] if typed else lines
        try:
            with finding_row("standard input", texts, done, lambda some: list(answer(some))):
                answers = list(answer(texts))
        except RowError as error:
            raise InputError(f"standard input, line {error.row + 1}: {error.reason}") from error
        for found, text in zip(answers, texts, strict=True):
            write(found, text)
        flush()
        done += len(texts)


def arriving_lines(stream: Any) -> Iterator[list[str]]:
    """Yield the lines of a stream of bytes without waiting for more than it has: one, or many at a time."""
    from ceiba.data.files import decode_lines

    line, rest = 1, b""
    started = False
    while True:
        chunk = stream.read1(1 << 18)
        if not started:
            chunk, started = chunk.removeprefix(b"\xef\xbb\xbf"), True
        cut = chunk.rfind(b"\n") + 1
        block = rest + chunk[:cut] if cut or not chunk else b""
        rest = chunk[cut:] if cut else rest + chunk
        if block:
            yield decode_lines(Path("standard input"), line, block)
            line += block.count(b"\n")
        if not chunk:
            return
