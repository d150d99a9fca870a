"""Corpora of other programs with one text per line: Annif, fastText, PECOS text2text, LibMultiLabel.

None of them names its columns. `LabelledLines` gives them the columns of a table: "text", "labels", and "relevance"
where a format has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ceiba.data.files import Progress, blocks, decode_lines, fail, suffix, text_blocks
from ceiba.data.labels import describe
from ceiba.data.tables import Rows
from ceiba.errors import DataFormatError

FASTTEXT_PREFIX = "__label__"
_PEEK_LINES = 100
_URIS = re.compile(r"\s*<[^<>\s]+>(\s+<[^<>\s]+>)*\s*")
_NUMBERS = re.compile(r"\d+(::?[-+.\deE]+)?(,\d+(::?[-+.\deE]+)?)*")
_MAX_DIGITS = 10

# text, labels, and the relevance of each label or None
Row = tuple[str, list[Any], list[float] | None]


class BadLine(Exception):
    """What is wrong with a line; the table that reads it adds file and line."""


def parse_annif(line: str) -> Row:
    """Read ``text<TAB><uri> <uri>``; the URIs lose their angle brackets."""
    text, tab, uris = line.partition("\t")
    if not tab:
        raise BadLine(f"expected a text, a tab and <URI>s; there is no tab in {describe(line)}.")
    labels = [uri(word) for word in uris.split()]
    return text, labels, None


def bare_uri(word: str) -> str | None:
    """Return a URI without the angle brackets that it may have; None where it is empty or has others."""
    inner = word[1:-1] if word.startswith("<") and word.endswith(">") else word
    return None if not inner or "<" in inner or ">" in inner else inner


def uri(word: str) -> str:
    """Return a URI without its angle brackets."""
    inner = bare_uri(word)
    if inner is None or inner == word:
        raise BadLine(f"expected a URI in angle brackets, such as <http://example.org/1>. Got {describe(word)}.")
    return inner


def parse_fasttext(line: str) -> Row:
    """Read words; those that begin with ``__label__`` are labels, wherever they stand, as fastText does."""
    if FASTTEXT_PREFIX not in line:
        return line, [], None
    labels, words = [], []
    for word in line.split():
        if not word.startswith(FASTTEXT_PREFIX):
            words.append(word)
            continue
        label = word.removeprefix(FASTTEXT_PREFIX)
        if not label:
            raise BadLine(f"a label has no name: {FASTTEXT_PREFIX!r} stands alone.")
        labels.append(label)
    return " ".join(words), labels, None


def parse_pecos(line: str) -> Row:
    """Read ``id,id<TAB>text``; an id may have a relevance, ``id::0.5``."""
    ids, tab, text = line.partition("\t")
    if not tab:
        raise BadLine(f"expected numbers of labels, a tab and a text; there is no tab in {describe(line)}.")
    labels, relevance, weighted = [], [], False
    for part in filter(None, (part.strip() for part in ids.split(","))):
        number, sign, value = part.partition(":")
        if not (number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS):
            raise BadLine(f"expected numbers of labels with commas between them, counted from 0. Got {describe(part)}.")
        labels.append(int(number))
        try:
            relevance.append(float(value.removeprefix(":")) if sign else 1.0)
        except ValueError:
            raise BadLine(f"the relevance of a label is no number: {describe(part)}.") from None
        weighted = weighted or bool(sign)
    return text, labels, relevance if weighted else None


def _parse_columns(n_columns: int) -> Callable[[str], Row]:
    """Return what reads ``labels<TAB>text`` or ``index<TAB>labels<TAB>text`` of LibMultiLabel."""
    expected = "index, labels and text" if n_columns == 3 else "labels and text"

    def parse(line: str) -> Row:
        columns = line.split("\t")
        if len(columns) != n_columns:
            raise BadLine(
                f"expected {n_columns} columns with tabs between them ({expected}), as in the first line. "
                f"Got {len(columns)}."
            )
        return columns[-1], columns[-2].split(), None

    return parse


_PARSERS: dict[str, Callable[[str], Row]] = {
    "annif": parse_annif,
    "fasttext": parse_fasttext,
    "pecos-text": parse_pecos,
}
LINE_FORMATS = (*_PARSERS, "libmultilabel")


class LabelledLines:
    """A text with labels per line, in the format of another program; blank lines are skipped."""

    def __init__(self, path: Path, format: str):
        self.path = path
        self._parse = _PARSERS[format] if format in _PARSERS else self._libmultilabel()

    def columns(self) -> list[str]:
        return ["text", "labels"]

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        for first, lines in text_blocks(self.path, progress):
            parsed: list[Row] = []
            numbers: list[int] = []
            for number, line in enumerate(lines, first):
                if not line or line.isspace():
                    continue
                try:
                    parsed.append(self._parse(line))
                except BadLine as bad:
                    fail(self.path, number, str(bad))
                numbers.append(number)
            by_name: dict[str, list[Any]] = {
                name: [row[i] for row in parsed] for i, name in enumerate(("text", "labels", "relevance"))
            }
            yield Rows([by_name[name] for name in columns], numbers, "line")

    def _libmultilabel(self) -> Callable[[str], Row]:
        first = next(((number, line) for number, line in _first_lines(self.path)), None)
        if first is None:
            fail(self.path, None, "holds no rows.")
        number, line = first
        n_columns = line.count("\t") + 1
        if n_columns not in (2, 3):
            fail(
                self.path,
                number,
                "expected 'labels<TAB>text' or 'index<TAB>labels<TAB>text'. "
                f"Got {n_columns} columns: {describe(line)}.",
            )
        return _parse_columns(n_columns)


def _first_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the first lines that are not blank, with their numbers."""
    for first, block in blocks(path):
        end = 0
        for _ in range(_PEEK_LINES):  # a block has megabytes, of which few lines are decoded
            found = block.find(b"\n", end)
            if found < 0:
                end = len(block)
                break
            end = found + 1
        for number, line in enumerate(decode_lines(path, first, block[:end]), first):
            if line and not line.isspace():
                yield number, line
        return


def detect_lines(path: Path, name: Path, *, numbered: bool) -> str | None:
    """Return the line format of a file where its first lines leave no doubt, else None.

    Parameters
    ----------
    path : Path
        The file.
    name : Path
        What it is called; LibMultiLabel's columns are detected in a .tsv only, since any text may hold tabs.
    numbered : bool
        Whether texts of numbered labels (``output-items.txt``) are beside it.
    """
    try:
        lines = [line for _, line in _first_lines(path)]
    except DataFormatError:  # the reader of its format says what is wrong
        return None
    if not lines:
        return None
    if lines[0].lstrip().startswith(FASTTEXT_PREFIX):
        return "fasttext"
    rest = [line.partition("\t") for line in lines]
    if any(uris for _, _, uris in rest) and all(tab and (not uris or _URIS.fullmatch(uris)) for _, tab, uris in rest):
        return "annif"
    ids = [before.strip() for before, tab, _ in rest if tab]
    if numbered and any(ids) and len(ids) == len(rest) and all(not each or _NUMBERS.fullmatch(each) for each in ids):
        return "pecos-text"
    if suffix(name) in (".tsv", ".tab"):
        columns = [line.split("\t") for line in lines]
        if all(len(parts) == 3 and parts[0].isascii() and parts[0].isdigit() for parts in columns):
            return "libmultilabel"
    return None
