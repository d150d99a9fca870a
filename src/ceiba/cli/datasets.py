"""``ceiba datasets``: list the public benchmark sets, fetch one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ceiba.cli import options

app = typer.Typer(rich_markup_mode=None)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List the benchmark sets that can be fetched."""
    from dataclasses import asdict

    from ceiba.cli import output
    from ceiba.data import list_datasets

    sets = list_datasets()
    if json:
        output.emit_json({info.name: asdict(info) for info in sets})
        return
    columns = ["name", "train", "test", "features", "labels"]
    rows = [
        [info.name, *(f"{size:,}" for size in (info.n_train, info.n_test, info.n_features, info.n_labels))]
        for info in sets
    ]
    output.print_table(columns, rows, text=["name"])


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="A name of `ceiba datasets list`.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            parser=options.path,
            help="Where the sets go, each in a folder of its own.",
            show_default="the cache folder of the user",
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of a mirror.", show_default="the Internet Archive")] = None,
    json: options.Json = False,
) -> None:
    """Fetch a benchmark set.

    Goes on with an interrupted download. Prints the folder of the set, which `ceiba train` reads.
    """
    from ceiba.cli import output
    from ceiba.cli.progress import Stages
    from ceiba.data import get_dataset

    with Stages(quiet=json) as stages:
        path = get_dataset(name, folder, url, progress=stages)
    if json:
        output.emit_json({"folder": str(path)})
    else:
        print(path)
