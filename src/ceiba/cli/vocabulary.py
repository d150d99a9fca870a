"""``ceiba vocabulary``: what a vocabulary holds, and its label texts as JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ceiba.cli import options


def vocabulary(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            parser=options.path,
            help="A SKOS vocabulary (.ttl, .rdf, .nt), a table (.tsv, .csv), or JSON lines; also with .gz.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the labels to this .jsonl file."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the label texts, such as en.", show_default="the only one")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="The output may be the input.")] = False,
    json: options.Json = False,
) -> None:
    """Count what a vocabulary holds, and write its labels.

    A row of the output has a label, its text, its other texts and its broader labels. It is read much faster than a
    large SKOS file. `ceiba train --label-texts` finds it as labels.jsonl beside TRAIN. SKOS needs the extra
    ceiba[skos].
    """
    from ceiba.cli import output as out
    from ceiba.cli.targets import Target
    from ceiba.data import read_vocabulary
    from ceiba.errors import InputError

    target = None
    if output is not None:
        target = Target(output, [file], overwrite=overwrite)
        if target.regular and not any(name.suffix.lower() in (".jsonl", ".ndjson", ".json") for name in target.names):
            raise InputError(f"--output {output}: the name must end in .jsonl.")
    found = read_vocabulary(file, language)
    if target is not None:
        with target.open() as stream:
            found.write(stream)
    facts = {**found.facts(), **({"output": output} if output is not None else {})}
    if json:
        out.emit_json(facts)
    else:
        out.print_facts(facts)
