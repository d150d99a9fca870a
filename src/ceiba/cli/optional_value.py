"""A command with an option whose value may be left out, which typer cannot declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

NO_VALUE = "\0"  # no file is called so


class OptionalValueCommand(TyperCommand):
    """A command whose options in `optional_values` get `NO_VALUE` where no value follows them.

    The next word is the value, unless the command then lacks an argument.
    """

    optional_values: Sequence[str] = ("--label-texts",)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the next word as the value; where an argument is missing then, without."""
        end = args.index("--") if "--" in args else len(args)
        at = next((i for i in range(end) if args[i] in self.optional_values), None)
        if at is None:
            return super().parse_args(ctx, args)
        bare = [*args[:at], f"{args[at]}={NO_VALUE}", *args[at + 1 :]]
        follows = at + 1 < len(args) and (not args[at + 1].startswith("-") or args[at + 1] == "-")
        if not follows or not self._has_all(ctx, args, at):
            args = bare
        return super().parse_args(ctx, args)

    def _has_all(self, ctx: Any, args: list[str], at: int) -> bool:
        """Return whether every argument is there when the word after the option at a place is its value."""
        rest = [*args[:at], *args[at + 2 :]]
        values, _, _ = self.make_parser(ctx).parse_args(args=list(rest))
        needed = [param.name for param in self.params if param.param_type_name == "argument" and param.required]
        return all(values.get(name) is not None for name in needed)
