"""Sparse matrices written as text: the XMC repository's files and SVMlight.

Three formats share the tokens ``column:value``; columns and labels count from 0 unless said otherwise:

- a data file: a first line ``N D L``, then per row the labels ``l1,l2``, a space, and the features;
- a matrix: a first line ``N D``, then per row the tokens of one matrix (X in one file, Y in another);
- SVMlight: no first line; labels and features as in a data file; ``#`` starts a comment.

Spaces may stand around the commas, and a label may be written as ``+1`` or ``1.0``.
A row without labels begins with a space, or with its first feature. A feature named twice in a row is summed.
See the README of the Extreme Classification Repository, http://manikvarma.org/downloads/XC/XMLRepository.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array, csr_array

from ceiba.data.csr import MAX_INDEX, CsrBuilder, Growable, as_indicator
from ceiba.data.files import Progress, blocks, fail, given_path
from ceiba.data.sources import open_source
from ceiba.data.tokens import Limits, parse_pairs, parse_rows, show
from ceiba.errors import InputError

# a comma between labels with spaces around it; what follows it is a label and no feature
_SPACED_COMMA = re.compile(rb" *, *(?=[-+]?\d+(?:\.0*)?(?:[ ,\n]|\Z))")


def _header(path: Path, what: str, n_numbers: int) -> list[int]:
    """Return the numbers of the first line, each checked to fit the index type."""
    first = next((block for _, block in blocks(path)), b"").split(b"\n", 1)[0].split()
    if len(first) != n_numbers or not all(re.fullmatch(rb"\d{1,18}", number) for number in first):
        fail(path, 1, f"expected {what}, found {show(b' '.join(first))}.")
    numbers = [int(number) for number in first]
    if max(numbers) > MAX_INDEX:
        fail(path, 1, f"{max(numbers)} is too large.")
    return numbers


def _row_blocks(
    path: Path, progress: Progress | None, *, headed: bool, labelled: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (number of the first line, rows) with uniform white space, without the header or comments."""
    for first, block in blocks(path, progress):
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        if b"\t" in block:
            block = block.replace(b"\t", b" ")
        if not headed and b"#" in block:
            block = re.sub(rb"#[^\n]*", b"", block)
        if labelled and (b", " in block or b" ," in block):
            block = _SPACED_COMMA.sub(b",", block)
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if headed and first == 1:
            first, lines = 2, lines[1:]
        yield first, lines


def _collect(
    path: Path, limits: Limits, *, n: int | None, labelled: bool, progress: Progress | None
) -> tuple[CsrBuilder, CsrBuilder]:
    """Read the rows below a first line that promises ``n``, or all of a file without one (n=None)."""
    features, labels = CsrBuilder(), CsrBuilder(values=False)
    for first, lines in _row_blocks(path, progress, headed=n is not None, labelled=labelled):
        if n is not None:
            left = n - features.n_rows
            extra = next((i for i, line in enumerate(lines[left:], left) if line.strip()), None)
            if extra is not None:
                fail(path, first + extra, f"the first line promises {n} rows, but there are more.")
            lines = lines[:left]
        block = parse_rows(path, first, lines, limits, labelled=labelled, skip_blank=n is None)
        features.add(block.counts, block.indices, block.values)
        labels.add(block.label_counts, block.labels)
    if n is not None and features.n_rows != n:
        fail(path, None, f"the first line promises {n} rows, but there are {features.n_rows}.")
    return features, labels


def place(path: Path, row: int, *, headed: bool) -> str:
    """Return the line of a row that counts from 0; lines below a first line of sizes are rows even where blank."""
    before = 0
    for first, lines in _row_blocks(path, None, headed=headed):
        numbers = [number for number, line in enumerate(lines, first) if headed or (line and not line.isspace())]
        if row < before + len(numbers):
            return f"line {numbers[row - before]}"
        before += len(numbers)
    return f"row {row + 1}"  # the file has changed


def _finite(path: Path, X: csr_array, *, headed: bool) -> csr_array:
    finite = np.isfinite(X.data)
    if not finite.all():
        row = int(np.searchsorted(X.indptr, np.argmin(finite), side="right")) - 1
        where = place(path, row, headed=headed)
        fail(path, where, "the sum of the values of a feature named twice in the row is infinite.")
    return X


def read_data(path: Path, progress: Progress | None = None) -> tuple[csr_array, csr_array]:
    """Return X (N, D) and Y (N, L) of a data file with the first line ``N D L``."""
    n, n_features, n_labels = _header(path, "'N D L' (rows, features, labels)", 3)
    limits = Limits(n_columns=n_features, n_labels=n_labels)
    features, labels = _collect(path, limits, n=n, labelled=True, progress=progress)
    return _finite(path, features.finish(n_features), headed=True), labels.finish(n_labels)


def read_matrix(path: Path, progress: Progress | None = None) -> csr_array:
    """Return the (N, D) matrix of a file with the first line ``N D``."""
    n, n_columns = _header(path, "'N D' (rows, columns)", 2)
    features, _ = _collect(path, Limits(n_columns=n_columns), n=n, labelled=False, progress=progress)
    return _finite(path, features.finish(n_columns), headed=True)


def read_label_matrix(path: Path) -> csr_array:
    """Return the (N, L) indicator of a file with the first line ``N L``; a value of 0 is not a positive."""
    try:
        return as_indicator(read_matrix(path))
    except InputError as error:
        fail(path, None, str(error))


def read_svmlight(
    path: Path, n_features: int | None, zero_based: bool | None, progress: Progress | None = None
) -> tuple[csr_array, csr_array, list[int]]:
    """Return X (N, D), Y (N, L) and the numbers that are the labels, sorted."""
    # where it is not said, the lowest column in the file decides; until then both ends are open by one
    low = 1 if zero_based is False else 0
    end = MAX_INDEX if n_features is None else n_features + (0 if zero_based else 1)
    features, labels = _collect(path, Limits(low, end, -MAX_INDEX), n=None, labelled=True, progress=progress)
    if not features.n_rows:
        fail(path, None, "holds no rows.")
    if zero_based is None:
        low = 0 if features.min_index == 0 else 1
    width = max(0, features.max_index + 1 - low)
    if n_features is not None and width > n_features:
        fail(path, None, f"has a column 0 and a column {features.max_index}, but n_features is {n_features}.")
    Y, names = labels.finish_named()
    X = features.finish(width if n_features is None else n_features, first=low)
    return _finite(path, X, headed=False), Y, names.tolist()


def read_filter(path: str | Path, n_rows: int, n_labels: int | None = None) -> csr_array:
    """Read the pairs (row, label) that must not be predicted, as the public LF- sets have them.

    In those sets labels are items of the same kind as the rows, and an item must not be recommended for
    itself: ``filter_labels_test.txt`` names the pairs to leave out of the predictions, one "row label" per
    line.

    Parameters
    ----------
    path : str or Path
        The file, compressed with gzip or zstd or not; an empty one is legal.
    n_rows : int
        Rows of the data the filter is for, N.
    n_labels : int, default None
        Labels, L. By default one more than the highest in the file.

    Returns
    -------
    csr_array of shape (N, L), float32
        1 for each pair. Pairs named twice are one.

    Raises
    ------
    DataFormatError
        Naming the line, if it is not two whole numbers or one of them is out of range.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "filter_labels_test.txt")
    >>> _ = path.write_text("0 2\\n2 0\\n")
    >>> read_filter(path, n_rows=3, n_labels=4).toarray().tolist()
    [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """
    for name, value in (("n_rows", n_rows), ("n_labels", n_labels)):
        if value is not None and not 0 <= value <= MAX_INDEX:
            raise InputError(f"{name} must be an int in [0, {MAX_INDEX}]. Got {value!r} instead.")
    source = open_source(given_path(path, "path"), may_be_empty=True)
    pairs = Growable(np.int32), Growable(np.int32)
    limits = n_rows, MAX_INDEX if n_labels is None else n_labels
    with source.naming():
        for first, lines in _row_blocks(source.path, None, headed=False):
            for column, numbers in zip(pairs, parse_pairs(source.path, first, lines, limits), strict=True):
                column.extend(numbers)
    rows, labels = (column.finish() for column in pairs)
    width = n_labels if n_labels is not None else int(labels.max()) + 1 if len(labels) else 0
    matrix = coo_array((np.ones(len(rows), np.float32), (rows, labels)), shape=(n_rows, width))
    return as_indicator(matrix.tocsr())
