"""Texts in bounded batches, each row checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ceiba.errors import InputTypeError

# A batch ends at whichever comes first, so neither many short texts nor a few long ones need much memory.
_BATCH_ROWS = 16_384
_BATCH_CHARACTERS = 8_000_000


def text_batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Check that every row is a str and yield the rows in lists of bounded size.

    Raises
    ------
    InputTypeError
        When ``texts`` is not an iterable of rows or a row is not a str; the message names the row.
    """
    if isinstance(texts, (str, bytes)):
        kind = type(texts).__name__
        raise InputTypeError(f"X must be an iterable of texts. Got a single {kind}; wrap it in a list: [text].")
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable):
        raise InputTypeError(f"X must be an iterable of texts (str). Got {type(texts).__name__}.")
    batch: list[str] = []
    characters = 0
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputTypeError(f"Row {row} of X must be a text (str). Got {_shown(text)}.")
        batch.append(text)
        characters += len(text)
        if len(batch) == _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _shown(value: object) -> str:
    words = repr(value)
    short = words if len(words) <= 40 else words[:37] + "..."
    return short if value is None else f"{type(value).__name__}: {short}"
