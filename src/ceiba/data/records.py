"""Datasets from tables: texts stay in the file, labels are encoded while the rows stream by, once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ceiba.data import layouts
from ceiba.data.columns import LabelCells, TableTexts, pick_labels, pick_text, texts_of
from ceiba.data.csr import MAX_INDEX, CsrBuilder
from ceiba.data.dataset import Dataset, TextColumn
from ceiba.data.files import Progress, fail
from ceiba.data.labels import BadLabelRow, LabelCollector, describe
from ceiba.data.tables import Rows, Table

_XMC_TEXT = ("title", "content")
_XMC_LABELS, _XMC_RELEVANCE = "target_ind", "target_rel"


def is_xmc(columns: Sequence[str]) -> bool:
    """Tell whether these are the columns of the XMC repository's raw text files."""
    return _XMC_LABELS in columns and any(name in columns for name in _XMC_TEXT)


def read_table(
    table: Table,
    format: str,
    columns: list[str],
    *,
    labels: bool | None,
    text_column: str | Sequence[str] | None,
    label_column: str | None,
    label_separator: str | None,
    progress: Progress | None,
) -> Dataset:
    """Read a table with named columns; ``labels`` is as in `ceiba.data.read`."""
    path = table.path
    if not columns:
        fail(path, None, "holds no rows.")
    text = pick_text(path, columns, text_column)
    label = None
    if labels is not False:
        label = pick_labels(path, columns, text, label_column, required=labels is True)
    cells = LabelCells(path, label or "", label_separator)
    collector = LabelCollector()
    n = 0
    for rows in table.batches([*text, *([label] if label else [])], progress):
        if label is not None:
            try:
                collector.add(cells.rows(rows, rows.values[-1]))
            except BadLabelRow as bad:
                fail(path, rows.where(bad.row - n), f"in the label column {label!r}, {bad.reason}")
        n += len(texts_of(path, rows, text))
    if not n:
        fail(path, None, "holds no rows.")
    texts = TextColumn(TableTexts(table, text), n)
    if label is None:
        return Dataset(path, format, n, texts=texts)
    Y, classes = collector.finish()
    names = classes.tolist()
    cells.finish(names, np.bincount(Y.indices, minlength=len(names)).tolist())
    label_texts = layouts.named_label_texts(path, names)
    return Dataset(path, format, n, texts=texts, Y=Y, label_names=names, label_texts=label_texts)


def read_xmc_table(
    table: Table,
    format: str,
    columns: list[str],
    *,
    labels: bool | None,
    n_labels: int | None,
    progress: Progress | None,
) -> Dataset:
    """Read the XMC repository's raw text: title and content are the text, target_ind numbers the labels."""
    text = [name for name in _XMC_TEXT if name in columns]
    numbers = [_XMC_LABELS, *([_XMC_RELEVANCE] if _XMC_RELEVANCE in columns else [])]
    return read_numbered_table(table, format, text, numbers, labels=labels, n_labels=n_labels, progress=progress)


def read_numbered_table(
    table: Table,
    format: str,
    text: list[str],
    numbers: list[str],
    *,
    labels: bool | None,
    n_labels: int | None,
    progress: Progress | None,
) -> Dataset:
    """Read a table whose labels are numbers, with their texts in a file beside it.

    Parameters
    ----------
    text : list of str
        Columns of the text.
    numbers : list of str
        The column of the labels' numbers and, if there is one, that of their relevance.
    n_labels : int or None
        L where there are no label texts beside the table; None: one more than the highest label.
    """
    path = table.path
    wanted = [*text, *numbers]
    label_texts = layouts.label_texts(path)
    if labels is False:
        wanted, label_texts = text, None
    elif label_texts is not None:
        found = label_texts()
        label_texts = lambda: found  # noqa: E731
        if n_labels is not None and n_labels != len(found):
            fail(path, None, f"n_labels is {n_labels}, but {len(found)} label texts are beside it.")
        n_labels = len(found)
    ids = CsrBuilder(values=False)
    n = 0
    for rows in table.batches(wanted, progress):
        if labels is not False:
            _add_ids(table, rows, len(text), numbers, ids, MAX_INDEX if n_labels is None else n_labels)
        n += len(texts_of(path, rows, text, optional=True))
    if not n:
        fail(path, None, "holds no rows.")
    texts = TextColumn(TableTexts(table, text, optional=True), n)
    Y: csr_array | None = None
    if labels is not False:
        Y = ids.finish(ids.max_index + 1 if n_labels is None else n_labels)
    return Dataset(path, format, n, texts=texts, Y=Y, label_texts=label_texts)


def _add_ids(table: Table, rows: Rows, at: int, numbers: list[str], ids: CsrBuilder, n_labels: int) -> None:
    cells, label = rows.values[at], numbers[0]
    relevance = rows.values[at + 1] if len(rows.values) > at + 1 else [None] * len(cells)
    for i, (cell, values) in enumerate(zip(cells, relevance, strict=True)):
        if type(cell) is not list or not set(map(type, cell)) <= {int}:
            reason = f"{label!r} must be a list of label numbers, not {describe(cell)}."
            fail(table.path, rows.where(i), reason)
        if cell and (min(cell) < 0 or max(cell) >= n_labels):
            reason = f"{label!r} has a label outside 0 to {n_labels - 1}: {describe(cell)}."
            fail(table.path, rows.where(i), reason)
        if values is not None and not _are_numbers(values, len(cell)):
            reason = f"{numbers[1]!r} must be a list of {len(cell)} finite numbers, not {describe(values)}."
            fail(table.path, rows.where(i), reason)
    counts = np.fromiter(map(len, cells), np.int64, len(cells))
    flat = np.fromiter(chain.from_iterable(cells), np.int32, int(counts.sum()))
    if any(values is not None for values in relevance):
        # a relevance of 0 is no positive, as a stored zero in a matrix is none
        given = [[1] * len(cell) if v is None else v for cell, v in zip(cells, relevance, strict=True)]
        kept = np.fromiter((value != 0 for value in chain.from_iterable(given)), bool, len(flat))
        row_of = np.repeat(np.arange(len(cells)), counts)
        counts, flat = np.bincount(row_of[kept], minlength=len(cells)), flat[kept]
    ids.add(counts, flat)


def _are_numbers(values: Any, n: int) -> bool:
    if type(values) is not list or len(values) != n or not set(map(type, values)) <= {int, float}:
        return False
    return all(-inf < value < inf for value in values)
