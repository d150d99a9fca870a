"""Rows of ``label,label column:value column:value`` as numbers: fast when right, exact when wrong.

A block of lines is cut into tokens by replacing separators and handed to pyarrow's CSV parser, which reads
numbers at hundreds of MB/s. Only when something in a block is wrong is it read again, slowly, token by token,
to name the line.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ceiba._shorten import shorten
from ceiba.data.csr import MAX_INDEX
from ceiba.data.files import fail

_NUMBER_BYTES = b"0123456789+-.eE"
_FLOAT32_MAX = float(np.finfo(np.float32).max)
# what may be written around the digits of a label without changing it, as in +1 and 1.0
_PLUS, _ZEROS = re.compile(rb"(?<![^,\n])\+(?=\d)"), re.compile(rb"(?<=\d)\.0*(?![^,\n])")
_INT = re.compile(rb"-?\d{1,18}")
_FLOAT = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class _Suspect(Exception):
    """Something in a block is wrong; the slow reader says what and where."""


def show(token: bytes) -> str:
    """Return bytes of a file as they can stand in a message."""
    text = token.decode("utf-8", "replace")
    return repr(shorten(text, 40))


@dataclass
class Block:
    """The labels and features of a block of rows one after another, and how many each row has."""

    label_counts: NDArray
    labels: NDArray
    counts: NDArray
    indices: NDArray
    values: NDArray


@dataclass(frozen=True)
class Limits:
    """Lowest column and label allowed, and one more than the highest."""

    low: int = 0
    n_columns: int = MAX_INDEX
    low_label: int = 0
    n_labels: int = MAX_INDEX

    def hold(self, block: Block) -> bool:
        return _within(block.indices, self.low, self.n_columns) and _within(block.labels, self.low_label, self.n_labels)


def _within(numbers: NDArray, low: int, end: int) -> bool:
    return not len(numbers) or (int(numbers.min()) >= low and int(numbers.max()) < end)


def parse_rows(
    path: Path, first: int, lines: list[bytes], limits: Limits, *, labelled: bool, skip_blank: bool = False
) -> Block:
    """Parse rows that have no line ends and no white space but spaces; ``first`` numbers the first line.

    Raises
    ------
    DataFormatError
        Naming the line, if a token is malformed, a value is not finite, or an index is outside the limits.
    """
    try:
        rows = [line for line in lines if line and not line.isspace()] if skip_blank else lines
        block = _parse(rows, labelled)
        if limits.hold(block):
            return block
    except _Suspect:
        pass
    return _explain(path, first, lines, labelled, limits)


def _numbers(tokens: bytes, types: dict[str, type], delimiter: str) -> list[NDArray]:
    """Parse lines of numbers with pyarrow, one array per column; blank lines are skipped."""
    if not tokens.strip(b"\n"):
        return [np.empty(0, kind) for kind in types.values()]
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(tokens),
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=list(types)),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, quote_char=False, escape_char=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.from_numpy_dtype(kind) for name, kind in types.items()}, null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        raise _Suspect from None
    return [table.column(name).to_numpy() for name in types]


def _parse(lines: list[bytes], labelled: bool) -> Block:
    """Parse rows; raise _Suspect unless every token is well formed (ranges are for the caller)."""
    heads, tails = [b""] * len(lines), lines
    if labelled:
        heads, tails = [], []
        for line in lines:
            first, _, rest = line.partition(b" ")
            if b":" in first:
                first, rest = b"", line
            heads.append(first)
            tails.append(rest)
    label_counts = np.fromiter((first.count(b",") + 1 if first else 0 for first in heads), np.int64, len(lines))
    counts = np.fromiter((rest.count(b":") for rest in tails), np.int64, len(lines))
    label_tokens = _plain_labels(b"\n".join(heads))
    tokens = b"\n".join(tails)
    if label_tokens.translate(None, b"0123456789-,\n") or tokens.translate(None, _NUMBER_BYTES + b": \n"):
        raise _Suspect
    (labels,) = _numbers(label_tokens.replace(b",", b"\n"), {"label": np.int64}, ",")
    indices, values = _numbers(tokens.replace(b" ", b"\n"), {"index": np.int64, "value": np.float32}, ":")
    if len(labels) != label_counts.sum() or len(indices) != counts.sum() or not np.isfinite(values).all():
        raise _Suspect
    return Block(label_counts, labels, counts, indices, values)


def _plain_labels(tokens: bytes) -> bytes:
    """Write labels without a plus sign and a fraction of zeros."""
    if b"+" in tokens:
        tokens = _PLUS.sub(b"", tokens)
    return _ZEROS.sub(b"", tokens) if b"." in tokens else tokens


def _explain(path: Path, first: int, lines: list[bytes], labelled: bool, limits: Limits) -> NoReturn:
    """Read a suspect block token by token and raise for the first thing that is wrong."""
    for number, line in enumerate(lines, first):
        head, _, rest = line.partition(b" ")
        if not labelled or b":" in head:
            head, rest = b"", line
        for label in head.split(b",") if head else []:
            _explain_index(path, number, "label", _plain_labels(label), limits.low_label, limits.n_labels)
        for token in filter(None, rest.split(b" ")):
            index, colon, value = token.partition(b":")
            if not colon:
                fail(path, number, f"expected column:value, found {show(token)}.")
            _explain_index(path, number, "column", index, limits.low, limits.n_columns)
            if not _FLOAT.fullmatch(value) or not math.isfinite(float(value)) or abs(float(value)) > _FLOAT32_MAX:
                fail(path, number, f"the value of {show(token)} is not a finite number.")
    fail(path, f"lines {first} to {first + len(lines) - 1}", "cannot be read as sparse rows.")


def _explain_index(path: Path, number: int, what: str, token: bytes, low: int, end: int) -> None:
    if not _INT.fullmatch(token):
        fail(path, number, f"the {what} {show(token)} is not a whole number.")
    if not low <= int(token) < end:
        fail(path, number, f"the {what} {int(token)} is out of range, which is {low} to {end - 1}.")


def parse_pairs(path: Path, first: int, lines: list[bytes], ends: tuple[int, int]) -> list[NDArray]:
    """Parse lines of two whole numbers, from 0 to below ``ends``; blank lines are skipped."""
    tokens = b"\n".join(lines)
    try:
        if tokens.translate(None, b"0123456789 \n"):
            raise _Suspect
        rows = [b" ".join(line.split()) for line in lines]
        pairs = _numbers(b"\n".join(rows), {"row": np.int64, "label": np.int64}, " ")
        if len(pairs[0]) == sum(map(bool, rows)) and all(map(_within, pairs, (0, 0), ends)):
            return pairs
    except _Suspect:
        pass
    for number, line in enumerate(lines, first):
        words = line.split()
        if words and len(words) != 2:
            fail(path, number, f"expected 'row label', found {show(line)}.")
        for what, word, end in zip(("row", "label"), words, ends, strict=False):
            _explain_index(path, number, what, word, 0, end)
    return fail(path, f"lines {first} to {first + len(lines) - 1}", "cannot be read as pairs.")
