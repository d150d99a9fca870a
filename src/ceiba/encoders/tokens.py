"""Texts to token ids, and batches of texts of similar length."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ceiba.data.offsets import ranges
from ceiba.errors import InputError

_TEXTS_AT_ONCE, _CHARACTERS_AT_ONCE = 4096, 2**23  # of a block
# of a long text, characters that are read at first: as many for each token that is kept, and so many more
_CHARACTERS_OF_A_TOKEN, _MORE_CHARACTERS = 8, 512
_GROWTH = 4  # of the characters that are read, where they were too few
_WORDS_BEYOND = 16  # words whose tokens may differ from those of the whole text, since they are near the cut


class TokenRows(NamedTuple):
    """The token ids of N texts, one text after the other. `ids` may be a mapped file."""

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

    def truncate(self, max_tokens: int) -> TokenRows:
        """Return the first `max_tokens` tokens of each text: a copy, unless no text has more."""
        if self.lengths.max(initial=0) <= max_tokens:
            return self
        return self._copy(self.ptr[:-1], np.minimum(self.lengths, max_tokens))

    def _copy(self, begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> TokenRows:
        return TokenRows(np.concatenate([[0], np.cumsum(lengths)]), np.asarray(self.ids[ranges(begins, lengths)]))

    def padded(self, rows: NDArray[np.intp], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens of some rows, padded on the right to the longest row, and the attention mask."""
        starts, lengths = self.ptr[rows], self.ptr[rows + 1] - self.ptr[rows]
        columns = np.arange(max(1, int(lengths.max(initial=0))))
        real = columns < lengths[:, None]
        ids = np.full(real.shape, pad, np.int64)
        ids[real] = self.ids[(starts[:, None] + columns)[real]]
        return ids, real.astype(np.int64)


class Chunks(NamedTuple):
    """All tokens of N texts, in chunks that an encoder can read."""

    first: TokenRows  # a row per text
    more: TokenRows  # the further chunks
    text: NDArray[np.intp]  # the text of each further chunk, ascending


def tokenize(
    texts: Sequence[str],
    tokenizer: Any,
    max_length: int,
    progress: Callable[[int], Any] | None = None,
) -> TokenRows:
    """Tokenize texts into a temporary file that is mapped, so memory does not grow with their number.

    Of a long text only the beginning is tokenized. The result is the same as for the whole text.

    Parameters
    ----------
    texts : sequence of str
    tokenizer : transformers tokenizer
    max_length : int
        Tokens kept of a text, special ones included.
    progress : callable or None, default=None
        ``progress(done)``, called now and then.
    """
    with _RowFile() as rows:
        for begin, block in _blocks(texts):
            rows.add(_first_tokens(block, tokenizer, max_length))
            if progress is not None:
                progress(begin + len(block))
        return rows.mapped()


def tokenize_chunks(
    texts: Sequence[str],
    tokenizer: Any,
    max_length: int,
    progress: Callable[[int], Any] | None = None,
) -> Chunks:
    """Tokenize whole texts in chunks of `max_length` tokens, special tokens included. Otherwise as `tokenize`.

    Raises
    ------
    InputError
        When the tokenizer is not one of the library tokenizers, which alone returns what is beyond a length.
    """
    if not tokenizer.is_fast:
        raise InputError("long_texts='chunks' needs a fast tokenizer (tokenizer.json); the encoder has a slow one.")
    with _RowFile() as first, _RowFile() as more:
        text_of = [np.empty(0, np.intp)]
        for begin, block in _blocks(texts):
            found = tokenizer(
                block,
                truncation=True,
                max_length=max_length,
                return_overflowing_tokens=True,
                return_attention_mask=False,
                verbose=False,
            )
            text = np.asarray(found["overflow_to_sample_mapping"], np.intp)
            is_first = np.diff(text, prepend=-1) > 0
            first.add([row for row, here in zip(found["input_ids"], is_first, strict=True) if here])
            more.add([row for row, here in zip(found["input_ids"], is_first, strict=True) if not here])
            text_of.append(begin + text[~is_first])
            if progress is not None:
                progress(begin + len(block))
        return Chunks(first.mapped(), more.mapped(), np.concatenate(text_of))


class _RowFile:
    """Rows of tokens on their way to a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._lengths = [np.zeros(1, np.int64)]

    def __enter__(self) -> _RowFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def add(self, rows: Sequence[Sequence[int]]) -> None:
        self._lengths.append(np.array([len(row) for row in rows], np.int64))
        for row in rows:
            self._file.write(np.asarray(row, np.int32).tobytes())

    def mapped(self) -> TokenRows:
        """Return all rows. The mapping keeps the file's content for as long as it is used; it has no name to remove."""
        self._file.flush()
        ptr = np.cumsum(np.concatenate(self._lengths))
        total = int(ptr[-1])
        ids = np.memmap(self._file, np.int32, mode="r", shape=(total,)) if total else np.empty(0, np.int32)
        return TokenRows(ptr, ids)


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Divide texts into blocks of bounded size; yield the place of each block's first text, and its texts."""
    begin, size, block = 0, 0, []
    for place, text in enumerate(texts):
        block.append(text)
        size += len(text)
        if len(block) == _TEXTS_AT_ONCE or size >= _CHARACTERS_AT_ONCE:
            yield begin, block
            begin, size, block = place + 1, 0, []
    if block:
        yield begin, block


def _first_tokens(texts: list[str], tokenizer: Any, max_length: int) -> list[list[int]]:
    """Return the tokens of texts that are kept, each as if the whole text had been read.

    A tokenizer divides a text into words and each word by itself into tokens. The beginning of a text is enough when
    the tokens beyond those kept end several words further on: only words near the cut can differ. Longer beginnings
    are tried until that is so. Where a tokenizer takes a text as one word, all of it is read.
    """
    by_words = (
        tokenizer.is_fast
        and tokenizer.truncation_side == "right"
        and tokenizer.backend_tokenizer.pre_tokenizer is not None
    )
    n_characters = _CHARACTERS_OF_A_TOKEN * max_length + _MORE_CHARACTERS
    kept: list[list[int]] = [[] for _ in texts]
    waiting = list(range(len(texts)))
    while waiting:
        # without white space at the end, of which a special token further on may take all that stands before it
        begins = [
            texts[place][:n_characters].rstrip() if by_words and len(texts[place]) > 2 * n_characters else texts[place]
            for place in waiting
        ]
        found = tokenizer(begins, truncation=True, max_length=max_length, return_attention_mask=False, verbose=False)
        again = []
        for number, place in enumerate(waiting):
            if len(begins[number]) == len(texts[place]) or _words_follow(found.encodings[number]):
                kept[place] = found["input_ids"][number]
            else:
                again.append(place)
        waiting, n_characters = again, _GROWTH * n_characters
    return kept


def _words_follow(encoding: Any) -> bool:
    """Return whether several words stand between the tokens that are kept and the end."""
    if not encoding.overflowing:
        return False
    last, end = (
        max((word for word in part.word_ids if word is not None), default=None)
        for part in (encoding, encoding.overflowing[-1])
    )
    return last is not None and end is not None and end - last >= _WORDS_BEYOND


def training_batches(
    lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator, *, window: int = 32
) -> list[NDArray[np.intp]]:
    """Divide all texts into batches of similar length, in random order: one epoch.

    Texts are shuffled, sorted by length within windows of `window` batches, and the batches are shuffled. Padding is
    small, and a batch is still nearly a random sample.
    """
    order = rng.permutation(len(lengths))
    batches = []
    for begin in range(0, len(order), batch_size * window):
        part = order[begin : begin + batch_size * window]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches.extend(np.split(part, range(batch_size, len(part), batch_size)))
    return [batches[i] for i in rng.permutation(len(batches))]


def encoding_batches(lengths: NDArray[np.int64], max_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Divide all texts into batches of at most `max_tokens` padded tokens, longest texts first."""
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        rows = max(1, max_tokens // max(1, int(lengths[order[begin]])))
        yield order[begin : begin + rows]
        begin += rows


def length_groups(lengths: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Divide texts into groups with little padding: no text is shorter than 3/4 of the longest in its group."""
    order = np.argsort(-lengths, kind="stable")
    groups, begin = [], 0
    while begin < len(order):
        end = begin + int((lengths[order[begin:]] >= 0.75 * lengths[order[begin]]).sum())
        groups.append(order[begin:end])
        begin = end
    return groups
