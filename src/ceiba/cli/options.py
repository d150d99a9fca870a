"""Options that several commands have, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def path(text: str) -> Path:
    """Return a path from the command line; an empty one would be the current folder."""
    return Path(not_empty(text))


def not_empty(text: str | None) -> Any:
    """Return a text from the command line; BadParameter where it is empty, as a variable that is not set is."""
    if text == "":
        raise typer.BadParameter("it is empty. Is a variable not set?")
    return text


ModelFolder = Annotated[Path, typer.Argument(metavar="DIR", parser=path, help="A folder that `ceiba train` wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads to use.", show_default="all cores")]
PROPENSITY = (0.55, 1.5)  # A and B, as in `ceiba.metrics`
Propensity = Annotated[tuple[float, float], typer.Option(metavar="A B", help="A and B of the propensities.")]
Engine = Annotated[
    str,
    typer.Option(
        help="Where the work is done: local, or ray for a Ray cluster; ray:auto is the one this machine belongs to, "
        "ray:HOST:PORT another. Needs ceiba[ray]."
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Pieces of work at once, with --engine ray.", show_default="all nodes")
]
Cluster = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Set a parameter of --engine ray; repeatable. `ceiba params ray` lists them."
    ),
]
BeamSize = Annotated[
    int | None, typer.Option(min=1, help="Nodes kept per level of a tree.", show_default="the model's")
]
Allowed = Annotated[
    Path | None,
    typer.Option(metavar="FILE", parser=path, help="The only labels that may be predicted, one a line."),
]
Denied = Annotated[
    Path | None, typer.Option(metavar="FILE", parser=path, help="Labels that are never predicted, one a line.")
]
TextColumn = Annotated[
    list[str] | None,
    typer.Option(help="Column of the texts; repeat it to join several.", show_default="by its name"),
]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the labels.", show_default="by its name")]
LabelSeparator = Annotated[str | None, typer.Option(help="What stands between the labels of a cell.", show_default=";")]
Format = Annotated[
    str | None,
    typer.Option(
        help="Format of the file: jsonl, csv, tsv, parquet, xmc, xmc-matrix, svmlight, npz, text, annif, fasttext, "
        "pecos-text or libmultilabel.",
        show_default="by its name and content",
    ),
]
ZeroBased = Annotated[
    bool | None,
    typer.Option(help="Whether the features of an SVMlight file count from 0.", show_default="by the file"),
]


def read_options(
    text_column: list[str] | None,
    label_column: str | None,
    label_separator: str | None,
    format: str | None,
    zero_based: bool | None,
) -> dict[str, Any]:
    """Return the options of `ceiba.data.read` that were given."""
    given = {
        "text_column": text_column[0] if text_column and len(text_column) == 1 else text_column or None,
        "label_column": label_column,
        "label_separator": label_separator,
        "format": format,
        "zero_based": zero_based,
    }
    return {name: value for name, value in given.items() if value is not None}
