"""Annif's corpora: JSON documents with subjects, CSV with subject URIs, or lines of a text and URIs."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ceiba.data.document_folder import DOCUMENT_KEYS, DocumentFolder, JsonDocuments
from ceiba.data.files import Progress, fail, first_line
from ceiba.data.labels import describe
from ceiba.data.line_formats import LabelledLines, bare_uri
from ceiba.data.tables import Csv, JsonLines, Rows, Table
from ceiba.errors import DataWarning

_SUBJECTS, _METADATA, _URIS = "subjects", "metadata", "subject_uris"
_PEEK_ROWS = 1000


def is_annif(table: Table, format: str, columns: Sequence[str]) -> bool:
    """Return whether a table is a corpus of Annif, which is JSON lines or CSV."""
    if format == "csv":
        return "text" in columns and _URIS in columns
    if format != "jsonl":
        return False
    if _SUBJECTS in columns:
        return any(isinstance(each, dict) for cell in _first(table, _SUBJECTS) if type(cell) is list for each in cell)
    return _METADATA in columns and DOCUMENT_KEYS.issuperset(columns) and any(map(_is_object, _first(table, _METADATA)))


def open_documents(folder: Path) -> tuple[Table, str]:
    """Return the table of a folder of texts or of JSON documents, and the name of its label column."""
    if any(folder.glob("*.txt")):
        return DocumentFolder(folder), "labels"
    return AnnifJson(JsonDocuments(folder)), _SUBJECTS


def open_annif(path: Path) -> tuple[Table, str]:
    """Return the table of a file that Annif reads, and the name of its label column."""
    start = first_line(path)
    if start.lstrip().startswith("{") and _is_object(_decoded(start)):
        return AnnifJson(JsonLines(path)), _SUBJECTS
    if _URIS in _cells(start):
        return AnnifCsv(Csv(path, ",")), _URIS
    return LabelledLines(path, "annif"), "labels"


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _decoded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_object(value: Any) -> bool:
    return type(value) is dict


def _first(table: Table, column: str) -> list[Any]:
    return next((rows.values[0][:_PEEK_ROWS] for rows in table.batches([column])), [])


class AnnifJson:
    """Documents with "text", "metadata" and "subjects"; the keys of the metadata are columns, too.

    A subject is an object with a "uri", a "label" or both. The label is the URI where there is one.
    """

    def __init__(self, documents: Table):
        self.path, self._documents = documents.path, documents

    def columns(self) -> list[str]:
        own = self._documents.columns()
        found = [name for name in own if name not in (_METADATA, _SUBJECTS)]
        if _METADATA in own:
            found += [name for cell in _first(self._documents, _METADATA) if _is_object(cell) for name in cell]
        return list(dict.fromkeys([*found, *([_SUBJECTS] if _SUBJECTS in own else [])]))

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        own = set(self._documents.columns()) - {_METADATA}
        texts = [name for name in columns if name != _SUBJECTS]
        wanted = [name for name in columns if name in own]
        if len(wanted) < len(columns):
            wanted.append(_METADATA)
        names = _SubjectNames()
        for rows in self._documents.batches(wanted, progress):
            values = dict(zip(wanted, rows.values, strict=True))
            self._add_metadata(rows, values, [name for name in texts if name not in own])
            self._fill(values, texts)
            if _SUBJECTS in columns:
                values[_SUBJECTS] = [self._labels(rows, i, cell, names) for i, cell in enumerate(values[_SUBJECTS])]
            yield Rows([values[name] for name in columns], rows.numbers, rows.unit)
        names.warn(self.path)

    def _add_metadata(self, rows: Rows, values: dict[str, list[Any]], names: Sequence[str]) -> None:
        objects = values.get(_METADATA, [])  # a key of the metadata may be called "metadata" too
        for i, cell in enumerate(objects):
            if cell is not None and not _is_object(cell):
                fail(self.path, rows.where(i), f"{_METADATA!r} must be an object, not {describe(cell)}.")
        for name in names:
            values[name] = [(cell or {}).get(name) for cell in objects]

    @staticmethod
    def _fill(values: dict[str, list[Any]], texts: Sequence[str]) -> None:
        """Fill the text columns that a document lacks with empty texts, where it has another of them."""
        if len(texts) < 2:
            return
        some = [
            any(cell is not None for cell in cells) for cells in zip(*(values[name] for name in texts), strict=True)
        ]
        for name in texts:
            values[name] = ["" if cell is None and has else cell for cell, has in zip(values[name], some, strict=True)]

    def _labels(self, rows: Rows, i: int, cell: Any, names: _SubjectNames) -> list[str]:
        if cell is None:
            return []
        if type(cell) is not list:
            fail(self.path, rows.where(i), f"{_SUBJECTS!r} must be a list of objects, not {describe(cell)}.")
        labels = []
        for subject in cell:
            uri = subject.get("uri") if _is_object(subject) else None
            label = subject.get("label") if _is_object(subject) else None
            found = label if uri is None else uri
            if not isinstance(found, str) or not found.strip():
                fail(
                    self.path,
                    rows.where(i),
                    f"a subject must be an object with a text for 'uri' or 'label', not {describe(subject)}.",
                )
            names.add(found.strip(), is_uri=uri is not None)
            labels.append(found.strip())
        return labels


class _SubjectNames:
    """Counts the subjects that have a URI, and collects those that have a name only."""

    def __init__(self) -> None:
        self._n_uris = 0
        self._bare: dict[str, None] = {}

    def add(self, label: str, *, is_uri: bool) -> None:
        if is_uri:
            self._n_uris += 1
        else:
            self._bare[label] = None

    def warn(self, path: Path) -> None:
        """Warn where a subject may be two labels: its URI, and its name."""
        if self._n_uris and self._bare:
            first = next(iter(self._bare))
            warnings.warn(
                f"{path}: {len(self._bare)} subjects have a name but no URI, such as {first!r}; others have a URI. "
                "Such a name is a label of its own.",
                DataWarning,
                stacklevel=2,
            )


class AnnifCsv:
    """CSV with the columns "text" and "subject_uris", URIs with spaces between them; other columns are texts, too."""

    def __init__(self, table: Csv):
        self.path, self._table = table.path, table

    def columns(self) -> list[str]:
        return self._table.columns()

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        for rows in self._table.batches(columns, progress):
            values = [
                [[self._uri(rows, i, word) for word in cell.split()] for i, cell in enumerate(cells)]
                if name == _URIS
                else cells
                for name, cells in zip(columns, rows.values, strict=True)
            ]
            yield Rows(values, rows.numbers, rows.unit)

    def _uri(self, rows: Rows, i: int, word: str) -> str:
        uri = bare_uri(word)
        if uri is None:
            reason = (
                f"{_URIS!r} must hold URIs with spaces between them, with or without < and >. Got {describe(word)}."
            )
            fail(self.path, rows.where(i), reason)
        return uri
