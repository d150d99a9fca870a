"""Which columns of a table hold the text and the labels, and what their cells mean."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ceiba.data.files import fail
from ceiba.data.labels import describe
from ceiba.data.tables import Rows, Table
from ceiba.errors import DataWarning

TEXT_NAMES = (
    *("title", "content", "document", "doc", "body", "abstract", "description", "sentence"),
    *("comment", "review", "question", "query"),
)
LABEL_NAMES = (
    *("label", "tags", "tag", "categories", "category", "topics", "topic", "classes", "class"),
    *("targets", "target", "subjects", "subject", "keywords", "codes"),
)
DEFAULT_SEPARATOR = ";"
_OTHER_SEPARATORS = ("|", ",", "\t")
# looked for within labels, a sign that also stands within single labels after those that rarely do
_LIKELY_SEPARATORS = (";", "|", "\t", ",", "/", " ")


def _option(sign: str) -> str:
    """Return what tells the command line of a separator, as a shell takes it."""
    return "--label-separator " + (f"${sign!r}" if sign == "\t" else repr(sign))


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in columns) or "none"


def _on_the_command_line(option: str) -> str:
    return f" On the command line: --{option.replace('_', '-')}."


def _one_of(path: Path, columns: list[str], best: str, others: Sequence[str], option: str) -> str | None:
    """Return the column called ``best``, else the only one called as in ``others``, else None."""
    named = {name for name in columns if name.lower() == best}
    if best in named:
        return best
    named = named or {name for name in columns if name.lower() in others}
    if len(named) > 1:
        fail(
            path,
            None,
            f"several columns could be meant: {_listed(sorted(named))}; choose with {option}. "
            f"The columns are: {_listed(columns)}.{_on_the_command_line(option)}",
        )
    return next(iter(named), None)


def pick_text(path: Path, columns: list[str], wanted: str | Sequence[str] | None) -> list[str]:
    """Return the names of the text columns (several are joined); DataFormatError lists what there is."""
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            _must_have(path, columns, name, "text_column")
        return names
    found = _one_of(path, columns, "text", TEXT_NAMES, "text_column")
    if found is None:
        fail(
            path,
            None,
            f"no text column found; choose with text_column. The columns are: {_listed(columns)}."
            f"{_on_the_command_line('text_column')}",
        )
    return [found]


def pick_labels(path: Path, columns: list[str], text: list[str], wanted: str | None, *, required: bool) -> str | None:
    """Return the name of the label column; None where there is none and none is required."""
    if wanted is not None:
        _must_have(path, columns, wanted, "label_column")
        return wanted
    others = [name for name in columns if name not in text]
    name = _one_of(path, others, "labels", LABEL_NAMES, "label_column")
    if name is None and required:
        fail(
            path,
            None,
            f"no label column found; choose with label_column. The columns are: {_listed(columns)}."
            f"{_on_the_command_line('label_column')}",
        )
    return name


def _must_have(path: Path, columns: list[str], name: str, option: str) -> None:
    if name not in columns:
        fail(path, None, f"{option} {name!r} is not among the columns: {_listed(columns)}.")


def texts_of(path: Path, rows: Rows, names: Sequence[str], *, optional: bool = False) -> list[str]:
    """Return the texts of a block of rows; several columns are joined by a space, empty ones left out.

    A null, or anything but a string, is an error unless ``optional``, which reads a null as an empty text.
    """
    columns = rows.values[: len(names)]
    for j, (name, values) in enumerate(zip(names, columns, strict=True)):
        if set(map(type, values)) <= {str}:
            continue
        for i, value in enumerate(values):
            if value is None and not optional:
                fail(path, rows.where(i), f"the text column {name!r} is null or missing.")
            if value is not None and not isinstance(value, str):
                fail(path, rows.where(i), f"the text column {name!r} holds {describe(value)}, not a text.")
        columns[j] = [value or "" for value in values]
    if len(columns) == 1:
        return columns[0]
    return [" ".join(filter(None, parts)) for parts in zip(*columns, strict=True)]


class TableTexts:
    """The source of a `TextColumn`: some columns of a table."""

    def __init__(self, table: Table, names: Sequence[str], *, optional: bool = False):
        self.path, self._table, self._names, self._optional = table.path, table, names, optional

    def batches(self) -> Iterator[list[str]]:
        for rows in self._table.batches(self._names):
            yield texts_of(self.path, rows, self._names, optional=self._optional)

    def where(self, row: int) -> str:
        before = 0
        for rows in self._table.batches(self._names):
            if row < before + len(rows.numbers):
                return rows.where(row - before)
            before += len(rows.numbers)
        return f"row {row + 1}"  # the file has changed


class LabelCells:
    """Reads the cells of a label column: a list, a single label, or a string that holds several.

    A string is a JSON list where it begins with "[", otherwise labels between separators, without the spaces
    around them. Null is no label.
    """

    def __init__(self, path: Path, name: str, separator: str | None):
        self._path, self._name, self._given = path, name, separator
        self._separator = DEFAULT_SEPARATOR if separator is None else separator
        self._strings = self._lists = 0
        self._seen: Counter[str] = Counter()

    def rows(self, rows: Rows, cells: list[Any]) -> list[Any]:
        """Return one list of labels per cell."""
        if set(map(type, cells)) <= {list}:
            self._lists += len(cells)
            return cells
        self._lists += sum(type(cell) is list for cell in cells)
        return [cell if type(cell) is list else self._cell(cell, rows, i) for i, cell in enumerate(cells)]

    def _cell(self, cell: Any, rows: Rows, i: int) -> list[Any]:
        if cell is None:
            return []
        if isinstance(cell, int) and not isinstance(cell, bool):
            return [cell]
        if not isinstance(cell, str):
            fail(self._path, rows.where(i), f"the label column {self._name!r} holds {describe(cell)}.")
        cell = cell.strip()
        if self._given is None and cell.startswith("["):
            try:
                labels = json.loads(cell)
            except (ValueError, RecursionError):
                reason = (
                    "begins with '[' but is no JSON list; give label_separator (--label-separator) if it is meant so"
                )
                fail(self._path, rows.where(i), f"the label column {self._name!r} {reason}: {describe(cell)}.")
            return labels if isinstance(labels, list) else [labels]
        if cell:
            self._strings += 1
            self._seen.update(sign for sign in (self._separator, *_OTHER_SEPARATORS) if sign in cell)
        return [label for part in cell.split(self._separator) if (label := part.strip())]

    def finish(self, classes: Sequence[Any], counts: Sequence[int]) -> None:
        """Raise DataFormatError, or warn, where labels were probably not taken apart.

        An error where the default separator never occurs, but another one in most cells. A warning where most labels
        occur once and hold what could separate labels. Such a file would otherwise train without a word on labels
        like "sport,news".

        Parameters
        ----------
        classes, counts : sequences of L
            The distinct labels and how often each occurs.
        """
        if self._given is None and not self._seen[DEFAULT_SEPARATOR]:
            for sign in _OTHER_SEPARATORS:
                if self._seen[sign] > self._strings / 2:
                    fail(
                        self._path,
                        None,
                        f"the label column {self._name!r} has no {DEFAULT_SEPARATOR!r} in any cell, but {sign!r} "
                        f"in most of them; say how to split them with label_separator={sign!r} "
                        f"({_option(sign)}), or {DEFAULT_SEPARATOR!r} to keep them whole.",
                    )
        self._warn_of_joined(classes, counts)

    def _warn_of_joined(self, classes: Sequence[Any], counts: Sequence[int]) -> None:
        if self._given == DEFAULT_SEPARATOR or self._seen[self._separator] > self._strings / 2 or len(classes) < 2:
            return
        if self._strings <= self._lists:
            return
        once = [name for name, count in zip(classes, counts, strict=True) if count == 1]
        if len(once) <= len(classes) / 2:
            return
        for sign in _LIKELY_SEPARATORS:
            if sign != self._separator and sum(sign in name for name in once) > len(classes) / 2:
                warnings.warn(
                    f"{self._path}: most of the {len(classes):,} labels in the column {self._name!r} occur once and "
                    f"hold {sign!r}, such as {once[0][:80]!r}. If that separates labels, give label_separator={sign!r} "
                    f"({_option(sign)}); {DEFAULT_SEPARATOR!r} says that they are whole.",
                    DataWarning,
                    stacklevel=2,
                )
                return
