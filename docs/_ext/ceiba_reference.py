"""Sphinx extension: commands and parameters as Ceiba declares them, and formulas that need no script.

``{ceiba-commands}`` documents every command of the typer application. ``{ceiba-parameters} MODEL`` lists the parameters
of a model, as ``ceiba params MODEL`` does. The ``mathml`` renderer writes formulas as MathML with docutils. Links to
files of the repository become downloads.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

INTERNAL = {
    "get_metadata_routing",
    "fitted_facts",
    "fitted_state",
    "restore",
    "takes_every_label_text",
    "tunes_encoder",
}


class Commands(SphinxDirective):
    """Every command, its arguments and options, under a heading of its own."""

    def run(self) -> list[nodes.Node]:
        import typer

        from ceiba.cli.app import app

        group = typer.main.get_command(app)
        with typer.Context(group, info_name="ceiba") as context:
            return self.parse_text_to_nodes("\n".join(_commands(group, context)), allow_section_headings=True)


class Parameters(SphinxDirective):
    """A table of a model's parameters, from their declarations."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from ceiba.cli.settings import parameters

        lines = []
        for parameter in parameters(self.arguments[0]):
            description = _without_markup(parameter.description)
            lines += [f"`{parameter.name}={parameter.default!r}`", f": {description}", ""]
            lines += [f"  Values: {_without_markup(parameter.values)}.", ""]
        return self.parse_text_to_nodes("\n".join(lines))


def _commands(group: Any, context: Any) -> list[str]:
    lines = []
    for name, command in sorted(group.commands.items()):
        path = f"{context.command_path} {name}"
        if hasattr(command, "commands"):
            with type(context)(command, info_name=name, parent=context) as inner:
                lines += _commands(command, inner)
            continue
        with type(context)(command, info_name=name, parent=context) as inner:
            usage = command.get_usage(inner).removeprefix("Usage: ")
            lines += [f"## {path}", "", _without_markup(command.help or ""), "", "```text", usage, "```", ""]
            for parameter in command.get_params(inner):
                record = parameter.get_help_record(inner)
                if record is not None and not getattr(parameter, "hidden", False):
                    lines += [f"`{record[0]}`", f": {_without_markup(record[1]) or '(no description)'}", ""]
    return lines


def _without_markup(text: str) -> str:
    """Join the lines of a text, and keep Markdown from reading its signs; code stays code."""
    parts = re.split(r"(``.+?``|`.+?`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]{}$#|])", r"\\\1", part) for part in parts)


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def _mark_files(app: Sphinx, name: str, source: list[str]) -> None:
    """Make a link to a file of the repository that is no page a download."""
    source[0] = re.sub(r"\]\((\.\./\.\./(?!docs/)[^)#]+)\)", r"](path:\1)", source[0])


def _skip_inherited(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out scikit-learn's metadata routing, and what only saving, loading and the command line call."""
    return True if name.endswith("_request") or name in INTERNAL else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and the renderer."""
    app.add_directive("ceiba-commands", Commands)
    app.add_directive("ceiba-parameters", Parameters)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("source-read", _mark_files)
    app.connect("autodoc-skip-member", _skip_inherited)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
