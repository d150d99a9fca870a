"""What all sets have in common: which texts are for the test, the files, and their digests."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ceiba.data import read

Rows = list[tuple[str, list[str]]]
PARTS = ("train", "test", "labels")


@dataclass(frozen=True)
class SetInfo:
    """A data set and how it is built.

    Attributes
    ----------
    name, source, licence : str
    files : str
        Which files of the source the builder is given, in words; empty where it needs none.
    digests : dict of str to str
        SHA-256 of the lines of train, test and labels, sorted; those of the set in the tables.
    build : callable
        ``build(files, folder)`` writes the set and returns its digests.
    """

    name: str
    source: str
    licence: str
    files: str
    digests: Mapping[str, str]
    build: Callable[[Sequence[Path], Path], dict[str, str]]


def place(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone, so that a text stays in its part."""
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) / 2**32


def order(text: str) -> bytes:
    """Return what texts are sorted by, so that the first of a file are a random sample."""
    return hashlib.md5(text.encode()).digest()


def one_line(text: str) -> str:
    """Return a text with single spaces in place of all white space."""
    return " ".join(text.split())


def rows_of(path: Path, format: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield text and labels of each row of a file, as Ceiba reads it."""
    data = read(path, format=format, labels=True)
    names, Y = data.classes.tolist(), data.Y
    for i, text in enumerate(data.texts):
        yield text, [names[j] for j in Y.indices[Y.indptr[i] : Y.indptr[i + 1]]]


def split_and_count(
    documents: Mapping[str, Iterable[str]], test_share: float, least: int
) -> tuple[Rows, Rows, set[str]]:
    """Return training and test rows and the labels that at least so many training texts have; others are dropped."""
    parts: tuple[Rows, Rows] = ([], [])
    for text in sorted(documents, key=order):
        parts[place(text) < test_share].append((text, sorted(documents[text])))
    counts = Counter(label for _, labels in parts[0] for label in labels)
    known = {label for label, n in counts.items() if n >= least}
    kept = [[(text, own) for text, labels in part if (own := [x for x in labels if x in known])] for part in parts]
    return kept[0], kept[1], known


def write(folder: Path, train: Rows, test: Rows, labels: Mapping[str, str]) -> dict[str, str]:
    """Write the three files and return their digests."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "train": [{"text": text, "labels": own} for text, own in train],
        "test": [{"text": text, "labels": own} for text, own in test],
        "labels": [{"label": label, "text": text} for label, text in sorted(labels.items())],
    }
    digests = {}
    for part, rows in content.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        with gzip.GzipFile(folder / f"{part}.jsonl.gz", "wb", 9, mtime=0) as file:
            file.writelines(line.encode() for line in lines)
        digests[part] = digest(lines)
    return digests


def digest(lines: Iterable[str]) -> str:
    """Return the SHA-256 of lines in sorted order."""
    found = hashlib.sha256()
    for line in sorted(lines):
        found.update(line.encode())
    return found.hexdigest()
