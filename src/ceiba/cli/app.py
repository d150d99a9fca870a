"""The typer application: one function per command, each in a file of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from ceiba.cli import datasets
from ceiba.cli.compare import compare
from ceiba.cli.decide import calibrate, set_filters, tune_thresholds
from ceiba.cli.demo import demo
from ceiba.cli.evaluate import evaluate
from ceiba.cli.inspect import inspect
from ceiba.cli.optional_value import OptionalValueCommand
from ceiba.cli.params import params
from ceiba.cli.predict import predict
from ceiba.cli.push import push
from ceiba.cli.serve import serve
from ceiba.cli.train import train
from ceiba.cli.vocabulary import vocabulary

app = typer.Typer(
    name="ceiba",
    help="Extreme multi-label classification: text in, the few right labels out of millions, ranked.",
    epilog="Start with: ceiba demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback(invoke_without_command=True)
def ceiba(  # noqa: D103 - its docstring would be printed as help
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from ceiba import __version__

        print(f"ceiba {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit()


app.command(cls=OptionalValueCommand)(train)
for command in (predict, evaluate, calibrate, tune_thresholds, set_filters, inspect, params, serve, demo):
    app.command()(command)
app.command()(compare)
app.command()(push)
app.command()(vocabulary)
app.add_typer(datasets.app, name="datasets", help="The public benchmark sets: list them, fetch one.")
