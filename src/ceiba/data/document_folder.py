"""Annif's full-text corpora: a folder with a file per document.

A document is NAME.txt beside its labels in NAME.tsv or NAME.key, or an object in NAME.json.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ceiba.data.files import Progress, fail, text_blocks
from ceiba.data.labels import describe
from ceiba.data.line_formats import BadLine, uri
from ceiba.data.tables import Rows, well_formed
from ceiba.errors import DataFormatError, DataWarning

DOCUMENT_KEYS = frozenset({"document_id", "text", "metadata", "subjects"})
_LABELS = (".tsv", ".key")
_PEEK_DOCUMENTS = 100
_DOCUMENTS_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 4 << 20
_SPLITS = {"train": ("train", "trn"), "test": ("test", "tst")}


def find_documents(folder: Path, split: str, *, asked: bool) -> Path | None:
    """Return the folder of a full-text corpus: this one, or the one of a split inside it; None where it is none.

    Parameters
    ----------
    asked : bool
        Whether ``format="annif"`` was given; then texts without labels are a corpus too.

    Raises
    ------
    DataFormatError
        If there are texts as well as JSON documents.
    """
    named = {word for words in _SPLITS.values() for word in words}
    for place in (folder, *(folder / name for name in _SPLITS[split])):
        if not place.is_dir():
            continue
        texts = [path for path in place.glob("*.txt") if path.is_file()]
        labelled = any(path.stem.lower() not in named and _label_file(path) is not None for path in texts)
        documents = [path for path in _json_files(place) if path.stem.lower() not in named]
        of_json = bool(documents) and ((asked and not texts) or _is_document(documents[0]))
        if of_json and texts and (labelled or asked):
            names = f"texts ({min(texts).name}) and JSON documents ({documents[0].name})"
            fail(place, None, f"holds {names}; put them into folders of their own.")
        if labelled or (asked and texts) or (of_json and not texts):
            return place
    return None


def _json_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.is_file())


def _is_document(path: Path) -> bool:
    """Return whether a file holds a JSON document of Annif, and nothing else."""
    try:
        value = _read_json(path)
    except DataFormatError:
        return False
    return type(value) is dict and DOCUMENT_KEYS.issuperset(value) and not value.keys().isdisjoint(("text", "metadata"))


def _read_json(path: Path) -> Any:
    text = "\n".join(line for _, lines in text_blocks(path) for line in lines)
    try:
        return json.loads(text)
    except RecursionError:
        fail(path, None, "the JSON is nested too deeply.")
    except json.JSONDecodeError as error:
        fail(path, error.lineno, f"no JSON ({error.msg} at column {error.colno}).")
    except ValueError as error:  # an integer of more digits than Python converts
        fail(path, None, f"no JSON ({error}).")


def _label_file(text: Path) -> Path | None:
    return next((path for ending in _LABELS if (path := text.with_suffix(ending)).is_file()), None)


class DocumentFolder:
    """The documents of a folder in the order of their names, as a table of texts and labels.

    A line of a label file is ``<URI>``, a tab and a name, or a name alone. The label is the URI where there is one.
    """

    def __init__(self, folder: Path):
        self.path = folder
        self._texts = sorted(path for path in folder.glob("*.txt") if path.is_file())

    def columns(self) -> list[str]:
        labelled = any(_label_file(path) is not None for path in self._texts)
        return ["text", "labels"] if labelled else ["text"]

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        texts: list[str] = []
        labels: list[list[str]] = []
        names: list[str] = []
        bare: list[str] = []
        size = 0
        for done, path in enumerate(self._texts, start=1):
            texts.append("\n".join(line for _, lines in text_blocks(path) for line in lines))
            names.append(path.name)
            size += len(texts[-1])
            if "labels" in columns:
                beside = _label_file(path)
                labels.append([] if beside is None else list(_labels(beside)))
                if beside is None:
                    bare.append(path.name)
            if len(texts) == _DOCUMENTS_AT_ONCE or size > _CHARACTERS_AT_ONCE:
                yield self._rows(columns, texts, labels, names)
                texts, labels, names, size = [], [], [], 0
            if progress is not None:
                progress("reading", done, len(self._texts))
        if texts:
            yield self._rows(columns, texts, labels, names)
        if bare:
            warnings.warn(
                f"{self.path}: {len(bare)} of {len(self._texts)} texts have no labels, since there is no file "
                f"{' or '.join(Path(bare[0]).stem + ending for ending in _LABELS)} beside them, such as {bare[0]}.",
                DataWarning,
                stacklevel=2,
            )

    @staticmethod
    def _rows(columns: Sequence[str], texts: list[str], labels: list[list[str]], names: list[str]) -> Rows:
        by_name: dict[str, list[Any]] = {"text": texts, "labels": labels}
        return Rows([by_name[name] for name in columns], names, "file")


class JsonDocuments:
    """The JSON objects of a folder, in the order of their files' names, as a table; a key that one lacks is null."""

    def __init__(self, folder: Path):
        self.path = folder
        self._files = _json_files(folder)

    def columns(self) -> list[str]:
        """Return the keys of the first 100 documents, in the order they turn up."""
        return list(dict.fromkeys(name for path in self._files[:_PEEK_DOCUMENTS] for name in _object(path)))

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        for first in range(0, len(self._files), _DOCUMENTS_AT_ONCE):
            files = self._files[first : first + _DOCUMENTS_AT_ONCE]
            records = [_object(path) for path in files]
            values = [[well_formed(record.get(name)) for record in records] for name in columns]
            yield Rows(values, [path.name for path in files], "file")
            if progress is not None:
                progress("reading", first + len(files), len(self._files))


def _object(path: Path) -> dict[str, Any]:
    value = _read_json(path)
    if type(value) is not dict:
        fail(path, None, f"expected a JSON object, found {describe(value)}.")
    return value


def _labels(path: Path) -> Iterator[str]:
    for first, lines in text_blocks(path):
        for number, line in enumerate(lines, first):
            cells = [cell for part in line.split("\t") if (cell := part.strip())]
            if not cells:
                continue
            try:
                # a name may be first, and may hold any sign
                yield next((uri(cell) for cell in cells if cell.startswith("<")), cells[0])
            except BadLine as bad:
                fail(path, number, str(bad))
