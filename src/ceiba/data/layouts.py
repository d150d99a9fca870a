"""Which files belong together, by the names that the public data sets give them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ceiba.data.columns import pick_text, texts_of
from ceiba.data.files import fail, plain_name, text_blocks
from ceiba.data.tables import JsonLines
from ceiba.data.vocabulary import read_rows
from ceiba.errors import InputError

_COMPRESSED = ("", ".gz", ".zst")
_LONE_X = re.compile(r"(?<![a-z0-9])x(?![a-z0-9])", re.IGNORECASE)
_SPLITS = {"train": "trn|train", "test": "tst|test"}
_TABLES = "jsonl|json|ndjson|parquet|csv|tsv|tab|txt|svm|svmlight|libsvm"


def _existing(folder: Path, name: str) -> Path | None:
    return next((path for end in _COMPRESSED if (path := folder / (name + end)).is_file()), None)


def label_file(path: Path) -> Path | None:
    """Return the label matrix that belongs to a file of features or texts, or None.

    ``trn_X_Xf.txt`` has ``trn_X_Y.txt``; otherwise an X that stands alone in the name becomes a Y:
    ``X.trn.npz`` and ``X.trn.txt`` have ``Y.trn.npz``, beside it or a folder above, as in the PECOS archives.
    """
    name = plain_name(path)
    if "X_Xf" in name:
        return _existing(path.parent, name.replace("X_Xf", "X_Y"))
    lone = _LONE_X.search(name)
    if lone is None:
        return None
    y = "Y" if lone[0] == "X" else "y"
    name = Path(name[: lone.start()] + y + name[lone.end() :]).with_suffix(".npz").name
    folders = path.parent, path.resolve().parent.parent
    return next((found for folder in folders if (found := folder / name).is_file()), None)


def label_texts(path: Path) -> Callable[[], list[str]] | None:
    """Return what reads the texts of a data file's labels: ``lbl.json`` or ``output-items.txt`` near it."""
    if (found := _existing(path.parent, "lbl.json")) is not None:
        return lambda: _json_texts(found)
    for folder in (path.parent, path.resolve().parent.parent):
        if (items := folder / "output-items.txt").is_file():
            return lambda: text_lines(items)
    return None


def named_label_texts(path: Path, names: list[Any]) -> Callable[[], list[str]] | None:
    """Return what reads the texts of labels that have names, from a ``labels.jsonl`` beside the data file.

    Its rows have a ``label`` and a text; a label that has no row there has its name for a text.
    """
    found = _existing(path.parent, "labels.jsonl")
    return None if found is None or found == path else lambda: _texts_by_name(found, names)


def every_label_text(path: Path) -> dict[Any, list[str]] | None:
    """Return the texts of all labels of a ``labels.jsonl`` beside the data file; None where there is no such file.

    Labels of the vocabulary that no row of the data has are among them. Labels without a text are left out.
    """
    found = _existing(path.parent, "labels.jsonl")
    return None if found is None or found == path else read_rows(found).label_texts()


def _texts_by_name(path: Path, names: list[Any]) -> list[str]:
    texts = read_rows(path).texts
    # an empty text is one, and counts as it is
    return [next(iter(texts[name]), "") if name in texts else str(name) for name in names]


def _columns(table: JsonLines) -> list[str]:
    columns = table.columns()
    if not columns:
        fail(table.path, None, "holds no rows; a row for each label is needed.")
    return columns


def text_lines(path: Path) -> list[str]:
    """Return the lines of a text file."""
    return [line for _, lines in text_blocks(path) for line in lines]


def _json_texts(path: Path) -> list[str]:
    table = JsonLines(path)
    columns = _columns(table)
    names = ["title"] if "title" in columns else pick_text(path, columns, None)
    # some labels of the public sets have no title
    return [text for rows in table.batches(names) for text in texts_of(path, rows, names, optional=True)]


def data_file(folder: Path, split: str) -> Path:
    """Return the one file of a folder that holds the texts or features of a split, "train" or "test".

    Raises
    ------
    DataFormatError
        If there is no such file, or several; the message lists the files.
    """
    word = _SPLITS[split]
    split_names = rf"({word})_X_Xf\.txt|X[._-]({word})\.(npz|txt)|({word})[._-]X\.(npz|txt)|({word})\.({_TABLES})"
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except PermissionError:
        raise InputError(f"{folder}: no permission to read it.") from None
    for pattern in (split_names, r"X_Xf\.txt|X\.(npz|txt)"):
        found = [path for path in files if re.fullmatch(pattern, plain_name(path), re.IGNORECASE)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found)
            fail(folder, None, f"several files could be the {split} data: {names}; name one of them.")
    names = ", ".join(path.name for path in files[:20]) or "none"
    return fail(folder, None, f"no {split} data found under a known name. The files are: {names}.")
