"""Texts as callers have them: what counts as texts, in bounded batches, each row checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np
import scipy.sparse as sp

from ceiba.data.frames import column_values, is_missing, is_table, lone_column, refuse_lazy
from ceiba.errors import InputError, InputTypeError

# A batch ends at whichever comes first, so neither many short texts nor a few long ones need much memory.
_BATCH_ROWS = 16_384
_BATCH_CHARACTERS = 8_000_000


def text_rows(X: Any) -> Iterable[Any] | None:
    """Return the rows of X where it is a collection of texts, None where it holds numbers.

    Rows are not checked: a collection with one text in it, or with missing values alone, is one of texts.

    Raises
    ------
    InputTypeError
        When X is a single str or bytes, or a query that has not been run.
    """
    if type(X) is list and X and type(X[0]) is str:  # a single text, most often, which should take no time
        return X
    if isinstance(X, (str, bytes)):
        raise InputTypeError(f"X is a single {type(X).__name__}; put it into a list: [X]")
    if sp.issparse(X) or (isinstance(X, np.ndarray) and X.dtype.kind in "buifc"):
        return None
    refuse_lazy(X, "X")
    values: Any = column_values(X)
    if values is not None:
        return values if _holds_texts(values) else None
    if is_table(X):
        column = lone_column(X)
        return column if column and _holds_texts(column) else None
    if hasattr(X, "__array__"):
        return None
    return X if isinstance(X, Iterable) else None


def _holds_texts(values: Any) -> bool:
    for value in values:
        if isinstance(value, (str, bytes)):
            return True
    return len(values) > 0 and is_missing(values[0]) and all(map(is_missing, values))


def check_texts(texts: Any, name: str = "X") -> list[str]:
    """Return texts as a list of str, or say which row is none.

    Parameters
    ----------
    texts : iterable of str
        A list, an array, a series, an Arrow array, a generator ...
    name : str, default="X"
        What messages call them.

    Raises
    ------
    InputTypeError
        When `texts` is no collection of rows, or a row is missing or no str.
    InputError
        When a row holds half of a surrogate pair, which is no character.
    """
    if isinstance(texts, (list, tuple)):
        return _plain(list(texts), 0, name)
    return [text for batch in text_batches(texts, name) for text in batch]


def checked(texts: Iterable[Any], name: str = "X") -> Iterable[str]:
    """Return rows in memory as a checked list, and a stream as one whose rows are checked as they come."""
    if isinstance(texts, (list, tuple)):
        return check_texts(texts, name)
    if isinstance(texts, Sized):  # such as a column of a file, which can be read more than once
        return _CheckedColumn(texts, name)
    return _checked_stream(texts, name)


def _checked_stream(texts: Iterable[Any], name: str) -> Iterator[str]:
    for batch in text_batches(texts, name):
        yield from batch


class _CheckedColumn:
    """Texts that are not held in memory: each row is checked when it is read."""

    def __init__(self, texts: Any, name: str):
        self._texts, self._name = texts, name

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        return _checked_stream(self._texts, self._name)


def are_plain(texts: Iterable[Any]) -> bool:
    """Return whether all rows are exactly str, without half surrogates; quick for a few."""
    return all(type(text) is str and (text.isascii() or _is_unicode(text)) for text in texts)


def text_batches(texts: Iterable[Any], name: str = "X") -> Iterator[list[str]]:
    """Check that every row is a text and yield the rows in lists of bounded size; see `check_texts`."""
    if isinstance(texts, (str, bytes)):
        kind = type(texts).__name__
        raise InputTypeError(f"{name} must be an iterable of texts. Got a single {kind}; wrap it in a list: [text].")
    refuse_lazy(texts, name)
    column = lone_column(texts) if is_table(texts) else None
    if column is None and is_table(texts):
        raise InputTypeError(f"{name} is a table of several columns; give the column of texts alone.")
    rows: Any = column_values(texts) if column is None else column
    if rows is None:
        rows = texts
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise InputTypeError(f"{name} must be an iterable of texts (str). Got {type(texts).__name__}.")
    batch: list[Any] = []
    characters = first = 0
    for row in rows:
        batch.append(row)
        characters += len(row) if isinstance(row, str) else 1
        if len(batch) == _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield _plain(batch, first, name)
            first += len(batch)
            batch, characters = [], 0
    if batch:
        yield _plain(batch, first, name)


def _plain(batch: list[Any], first: int, name: str) -> list[str]:
    """Return rows as str, or raise the error for the first that is none; they are numbered from `first`."""
    if set(map(type, batch)) != {str}:
        for row, text in enumerate(batch, start=first):
            if not isinstance(text, str):
                raise InputTypeError(f"{name}, row {row}: expected a str, found {_shown(text)}.")
        batch = [str(text) for text in batch]
    if not all(map(str.isascii, batch)):
        for row, text in enumerate(batch, start=first):
            if not (text.isascii() or _is_unicode(text)):
                raise InputError(
                    f"{name}, row {row}: the text holds half of a surrogate pair, which is no character; "
                    "decode it anew, or replace it: text.encode('utf-8', 'replace').decode()."
                )
    return batch


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    if is_missing(value):
        return f"a missing value ({value})"
    words = repr(value)
    return f"{type(value).__name__}: {words if len(words) <= 40 else words[:37] + '...'}"
