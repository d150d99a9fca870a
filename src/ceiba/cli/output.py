"""What commands print: one JSON object, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def emit_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    print(json.dumps(content, ensure_ascii=False))


def say(line: str = "") -> None:
    """Tell people something beside the answer: on standard error."""
    print(line, file=sys.stderr, flush=True)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        print(f"{name:<{width}}  {number(value)}")


def number(value: Any) -> str:
    """Write a value for people: integers with their thousands apart."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def size(n_bytes: int) -> str:
    """Write a number of bytes for people."""
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if n_bytes >= 10**power:
            return f"{n_bytes / 10**power:.1f} {unit}"
    return f"{n_bytes} B"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, text: Sequence[str] = ()) -> None:
    """Print a table; the columns in `text` are left-aligned and wrapped, the others are numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in text else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # as Text: a label such as [b] is no markup
    # Where no terminal sets a width, a table must not be squeezed into the 80 columns of one.
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


def metric_rows(figures: Mapping[str, float]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table of metrics: a metric per row, a column per k."""
    names = list(dict.fromkeys(name.split("@")[0] for name in figures))
    ks = list(dict.fromkeys(name.split("@")[1] for name in figures))
    rows = [[name, *(f"{figures[f'{name}@{k}']:.2f}" for k in ks)] for name in names]
    return ["metric (%)", *(f"@{k}" for k in ks)], rows


def printable(text: str) -> str:
    """Return a text that a terminal shows and does not obey."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
