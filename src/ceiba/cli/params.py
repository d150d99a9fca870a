"""``ceiba params``: what can be set, and to what."""

from __future__ import annotations

from typing import Annotated

import typer

from ceiba.cli.options import Json


def params(
    model: Annotated[str, typer.Argument(help="A model's name, or ray for the cluster of --engine ray.")] = "hybrid",
    json: Json = False,
) -> None:
    """List the parameters of a model, or of a cluster.

    Each with its default and the values it may have.
    """
    from ceiba.cli.output import emit_json
    from ceiba.cli.settings import parameters

    listed = parameters(model)
    if json:
        emit_json(
            {
                parameter.name: {
                    "default": parameter.default,
                    "values": parameter.values,
                    "description": parameter.description,
                }
                for parameter in listed
            }
        )
        return
    import textwrap

    for parameter in listed:
        print(f"{parameter.name}={_written(parameter.default)}")
        for words in (parameter.description, f"Values: {parameter.values}."):
            print(textwrap.fill(words, 110, initial_indent="    ", subsequent_indent="    "))


def _written(default: object) -> str:
    """Write a default as ``--set`` would take it."""
    if isinstance(default, tuple):
        return str(list(default)).replace(" ", "")
    return str(default).lower() if default is None or isinstance(default, bool) else str(default)
