"""Texts to token numbers, once, and batches of like length cut from them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ceiba.layers.instances import ranges

_TEXTS_AT_ONCE = 4096


class TokenRows(NamedTuple):
    """The tokens of N texts, one after the other; `ids` may be a mapped file."""

    ptr: NDArray[np.int64]
    ids: NDArray[np.int32]

    @property
    def n_rows(self) -> int:
        """N, the number of texts."""
        return len(self.ptr) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.ptr)

    def take(self, rows: NDArray[np.intp]) -> TokenRows:
        """Return the tokens of some rows, as a copy."""
        return self._copy(self.ptr[rows], self.lengths[rows])

    def cut(self, most: int) -> TokenRows:
        """Return the first `most` tokens of each text; a copy, unless no text has more."""
        if self.lengths.max(initial=0) <= most:
            return self
        return self._copy(self.ptr[:-1], np.minimum(self.lengths, most))

    def _copy(self, begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> TokenRows:
        return TokenRows(np.concatenate([[0], np.cumsum(lengths)]), np.asarray(self.ids[ranges(begins, lengths)]))

    def padded(self, rows: NDArray[np.intp], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens of some rows, filled up on the right to the longest of them, and which of them are real."""
        starts, lengths = self.ptr[rows], self.ptr[rows + 1] - self.ptr[rows]
        columns = np.arange(max(1, int(lengths.max(initial=0))))
        real = columns < lengths[:, None]
        ids = np.full(real.shape, pad, np.int64)
        ids[real] = self.ids[(starts[:, None] + columns)[real]]
        return ids, real.astype(np.int64)


def tokenize(
    texts: Sequence[str],
    tokenizer: Any,
    max_length: int,
    progress: Callable[[int], Any] | None = None,
) -> TokenRows:
    """Tokenize texts into a temporary file that is mapped, so that memory does not grow with their number.

    Parameters
    ----------
    texts : sequence of str
    tokenizer : transformers tokenizer
    max_length : int
        Tokens kept of a text, special ones included.
    progress : callable or None, default=None
        ``progress(done)``, called now and then.
    """
    lengths = np.zeros(len(texts), np.int64)
    with tempfile.TemporaryFile() as file:
        for begin in range(0, len(texts), _TEXTS_AT_ONCE):
            block = list(texts[begin : begin + _TEXTS_AT_ONCE])
            found = tokenizer(
                block, truncation=True, max_length=max_length, return_attention_mask=False, verbose=False
            )["input_ids"]
            lengths[begin : begin + len(block)] = [len(row) for row in found]
            file.write(np.concatenate([np.asarray(row, np.int32) for row in found]).tobytes())
            if progress is not None:
                progress(begin + len(block))
        file.flush()
        total = int(lengths.sum())
        # the mapping keeps the file's content for as long as it is used; the file has no name to clean up
        ids = np.memmap(file, np.int32, mode="r", shape=(total,)) if total else np.empty(0, np.int32)
    return TokenRows(np.concatenate([[0], np.cumsum(lengths)]), ids)


def training_batches(
    lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator, *, window: int = 32
) -> list[NDArray[np.intp]]:
    """Divide all texts into batches of like length, in random order: one epoch.

    Texts are shuffled, sorted by length within windows of `window` batches, and the batches shuffled: padding is small
    and a batch is still nearly a random draw.
    """
    order = rng.permutation(len(lengths))
    batches = []
    for begin in range(0, len(order), batch_size * window):
        part = order[begin : begin + batch_size * window]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches.extend(np.split(part, range(batch_size, len(part), batch_size)))
    return [batches[i] for i in rng.permutation(len(batches))]


def encoding_batches(lengths: NDArray[np.int64], tokens_at_once: int) -> Iterator[NDArray[np.intp]]:
    """Divide all texts into batches of at most `tokens_at_once` padded tokens, longest texts first."""
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        rows = max(1, tokens_at_once // max(1, int(lengths[order[begin]])))
        yield order[begin : begin + rows]
        begin += rows


def length_groups(lengths: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Divide texts of any lengths into groups in which little is padding: none is shorter than 3/4 of the longest."""
    order = np.argsort(-lengths, kind="stable")
    groups, begin = [], 0
    while begin < len(order):
        end = begin + int((lengths[order[begin:]] >= 0.75 * lengths[order[begin]]).sum())
        groups.append(order[begin:end])
        begin = end
    return groups
