"""What `ceiba evaluate` says of rare and frequent labels, and of each label by itself."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceiba.errors import InputError

if TYPE_CHECKING:
    from ceiba.cli.targets import Target
    from ceiba.metrics import FrequencyGroup

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def table_target(name: str, data: Path, model: Path) -> Target:
    """Return where the table of labels goes; errors come before any work."""
    from ceiba.cli.targets import Target

    target = Target(name, [data], model=model)
    if target.names[0].suffix.lower() not in (*_DELIMITERS, ".jsonl"):
        raise InputError(f"--per-label {name}: the name must end in .csv, .tsv or .jsonl.")
    return target


def write_table(table: dict[str, Any], texts: dict[Any, str] | None, target: Target) -> None:
    """Write a row for each label that has a positive or was returned, the most frequent positives first."""
    columns = {name: values.tolist() for name, values in table.items()}
    kept = [i for i, n in enumerate(columns["positives"]) if n or columns["returned"][i]]
    kept.sort(key=lambda i: -columns["positives"][i])
    if texts is not None:
        columns = {"label": columns["label"], "text": [texts.get(each, "") for each in columns["label"]], **columns}
    rows = [[_rounded(values[i]) for values in columns.values()] for i in kept]
    suffix = target.names[0].suffix.lower()
    with target.open() as file:
        if suffix == ".jsonl":
            for row in rows:
                file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False).encode() + b"\n")
            return
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=_DELIMITERS[suffix], lineterminator="\n")
        writer.writerows([list(columns), *rows])
        file.write(text.getvalue().encode())


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def group_rows(groups: list[FrequencyGroup]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of groups by frequency."""
    names = list(groups[0].figures)
    header = ["labels", "training texts", "number", "positives", *names]
    rows = [
        [
            group.name,
            f"{group.least:,}+" if group.most is None else f"{group.least:,}-{group.most:,}",
            f"{group.n_labels:,}",
            f"{group.n_positives:,}",
            *(f"{group.figures[name]:.2f}" for name in names),
        ]
        for group in groups
    ]
    return header, rows
