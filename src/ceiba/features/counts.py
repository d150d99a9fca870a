"""Texts to counts: one pass over the texts, in bounded batches, counts every kind of n-gram side by side."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count

import numpy as np
import scipy.sparse as sp

from ceiba.errors import InputTypeError
from ceiba.features.ngrams import NgramRange, char_ngrams, word_ngrams

# A batch ends at whichever comes first, so neither many short texts nor a few long ones need much memory.
_BATCH_ROWS = 8192
_BATCH_CHARACTERS = 1_000_000

# Words whose character n-grams are kept at hand: nearly all that a language uses, in some 30 MB.
_CACHED_WORDS = 100_000


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


class NgramCounter:
    """Counts the n-grams of texts against one vocabulary per kind of n-gram.

    The ids of all kinds share one space, so one sparse matrix holds the counts of every kind.

    Parameters
    ----------
    preprocess : callable
        What each text goes through first.
    sizes : dict of str to (int, int)
        The n-gram sizes of each kind, "word" or "char".
    vocabularies : dict of str to dict, optional
        N-gram to id, for each kind; n-grams outside are not counted. Without it the counter learns: every
        n-gram gets the next free id where it is first seen.
    """

    def __init__(
        self,
        preprocess: Callable[[str], str],
        sizes: Mapping[str, NgramRange],
        vocabularies: Mapping[str, dict[str, int]] | None = None,
    ):
        self._preprocess = preprocess
        self._sizes = sizes
        self._char_ids: dict[str, array] = {}
        self._learns = vocabularies is None
        if vocabularies is None:
            next_id = count().__next__
            vocabularies = {kind: defaultdict(next_id) for kind in sizes}
        self.vocabularies = vocabularies

    @property
    def n_ids(self) -> int:
        """One more than the largest id."""
        return sum(len(vocabulary) for vocabulary in self.vocabularies.values())

    def count(self, texts: list[str]) -> sp.csr_matrix:
        """Return the counts, CSR float32 of shape (n texts, n ids), ids sorted within a row."""
        ids = array("i")
        row_ends = [0]
        for text in texts:
            text = self._preprocess(text)
            if "word" in self._sizes:
                ids.extend(self._ids("word", word_ngrams(text, self._sizes["word"])))
            if "char" in self._sizes:
                for word in text.split():
                    ids.extend(self._ids_of_chars(word))
            row_ends.append(len(ids))
        counts = sp.csr_matrix(
            (np.ones(len(ids), np.float32), np.array(ids, np.int32), np.array(row_ends)),
            shape=(len(texts), self.n_ids),
        )
        counts.sum_duplicates()
        return counts

    def _ids(self, kind: str, ngrams: Iterable[str]) -> Iterable[int]:
        vocabulary = self.vocabularies[kind]
        if self._learns:
            return map(vocabulary.__getitem__, ngrams)
        return [number for number in map(vocabulary.get, ngrams) if number is not None]

    def _ids_of_chars(self, word: str) -> array:
        # Words repeat far more often than texts do: looking up a word once instead of its some twenty n-grams
        # each time makes character n-grams nearly as cheap as words.
        ids = self._char_ids.get(word)
        if ids is None:
            if len(self._char_ids) >= _CACHED_WORDS:
                self._char_ids.clear()
            ids = array("i", self._ids("char", char_ngrams(word, self._sizes["char"])))
            self._char_ids[word] = ids
        return ids
