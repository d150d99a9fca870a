"""``ceiba predict``: ranked labels for the rows of a file, or line by line for standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options

Answer = tuple[list[Any], list[float]]


def predict(
    model_dir: options.ModelFolder,
    data: Annotated[str, typer.Argument(metavar="INPUT", help="A file; '-' reads a text per line.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Labels per row.")] = 5,
    out: Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file, once it is complete.")] = None,
    with_text: Annotated[bool, typer.Option("--with-text", help="Repeat each text beside its labels.")] = False,
    beam_size: options.BeamSize = None,
    threads: options.Threads = None,
    text_column: options.TextColumn = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines on a terminal too.")] = False,
) -> None:
    """Rank the labels of each row of a file, or of typed texts.

    The answers are JSON lines, {"labels": [...], "scores": [...]}, one for each row in its order, best label first.
    On a terminal, and without -o, they are shown for people. Standard input is answered line by line as it comes.
    """
    import sys

    from ceiba.cli import inputs, output

    typed = data == "-" and sys.stdin.isatty()
    if typed:
        output.say("A text per line; Ctrl-D ends.")
    model = inputs.open_model(model_dir, threads)

    def answer(rows: Any) -> Iterator[Answer]:
        return inputs.ranked(model, rows, k, beam_size)

    pretty = not json and out is None and sys.stdout.isatty()
    target: Any = nullcontext(sys.stdout) if out is None else output.replacing(out)
    with target as file:
        write = _writer(file, pretty=pretty, with_text=with_text or (pretty and not typed))
        if data == "-":
            _predict_stdin(model, answer, write, file)
        else:
            given = options.read_options(text_column, None, None, format, zero_based)
            _predict_file(Path(data), model, answer, write, given, quiet=json or (out is None and pretty))


def _writer(file: Any, *, pretty: bool, with_text: bool) -> Callable[[Answer, str | None], None]:
    from json import dumps

    def write_json(answer: Answer, text: str | None) -> None:
        content: dict[str, Any] = {"labels": answer[0], "scores": answer[1]}
        if with_text and text is not None:
            content = {"text": text, **content}
        file.write(dumps(content, ensure_ascii=False) + "\n")

    def write_pretty(answer: Answer, text: str | None) -> None:
        from ceiba.cli.output import printable

        if with_text and text is not None:
            file.write(f"{printable(text)}\n")
        for label, score in zip(*answer, strict=True):
            file.write(f"  {score:8.4g}  {printable(str(label))}\n")
        if not answer[0]:
            file.write("  no label\n")

    return write_pretty if pretty else write_json


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
            for found, text in zip(answer(rows), texts, strict=True):
                write(found, text)
            done += len(texts)
            stages("predicting", done, dataset.n)


def _predict_stdin(model: Any, answer: Callable, write: Callable, file: Any) -> None:
    """Answer every line that has come, as soon as it has come."""
    import sys

    from ceiba.errors import InputError

    if not model.reads_texts:
        raise InputError("Standard input holds texts, but the model was trained on features.")
    typed = sys.stdin.isatty()
    for lines in arriving_lines(sys.stdin.buffer):
        texts = [line for line in lines if line.strip()] if typed else lines
        for found, text in zip(answer(texts), texts, strict=True):
            write(found, text)
        file.flush()


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
