"""Texts to counts of n-grams in Python; a twin of the core's tokenizer and counter.

Character n-grams are those of scikit-learn's ``analyzer="char_wb"``. A word is a run of word characters, single
characters included, with or without the combining marks after them.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Literal

import numpy as np
import scipy.sparse as sp

NgramRange = tuple[int, int]

_ZWNJ, _ZWJ, _MONGOLIAN_VOWEL_SEPARATOR = "\u200c", "\u200d", "\u180e"


def normalized_text(text: str, normalization: Literal["NFC", "NFKC"] | None, lowercase: bool) -> str:
    """Return a text in a Unicode normal form and in lower case.

    Examples
    --------
    >>> normalized_text("CAFE\u0301", "NFC", lowercase=True) == "caf\u00e9"
    True
    """
    if normalization is not None:
        text = unicodedata.normalize(normalization, text)
    if lowercase:
        text = text.lower()
        if normalization is not None:
            text = unicodedata.normalize(normalization, text)
    return text


def unicode_words(text: str) -> list[str]:
    """Return the words of a text with their combining marks and the joiners inside them.

    A mark after anything but a word is no part of a word. A zero-width joiner belongs to a word where the word goes
    on after it; a ZWJ also does after a mark, where it stands for a half form.

    Examples
    --------
    >>> unicode_words("x\u0304, \u0301 y") == ["x\u0304", "y"]
    True
    """
    words: list[str] = []
    word = joiners = ""  # the word so far, and the joiners after it
    for c in text + "\n":
        starts, extends = c.isalnum() or c == "_", unicodedata.category(c) in ("Mn", "Mc", "Me")
        if starts or (extends and word):
            word, joiners = (word + joiners if word else "") + c, ""
        elif c in (_ZWNJ, _ZWJ, _MONGOLIAN_VOWEL_SEPARATOR):
            joiners += c
        else:
            if word and joiners[:1] == _ZWJ and unicodedata.category(word[-1])[0] == "M":
                word += _ZWJ
            words += [word] if word else []
            word = joiners = ""
    return words


_SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "unicode": unicode_words,
    "sklearn": re.compile(r"\w+").findall,
}


def word_ngrams(text: str, sizes: NgramRange, token_pattern: str = "unicode") -> list[str]:
    """Return the n-grams of the words of a text, each n-gram as words joined by one space.

    Parameters
    ----------
    text : str
        A preprocessed text.
    sizes : (int, int)
        The smallest and the largest number of words.
    token_pattern : {"unicode", "sklearn"}, default="unicode"
        Whether combining marks belong to words.

    Examples
    --------
    >>> word_ngrams("vitamin b 12", (1, 2))
    ['vitamin', 'b', '12', 'vitamin b', 'b 12']
    """
    words = _SPLITTERS[token_pattern](text)
    shortest, longest = sizes
    ngrams = list(words) if shortest == 1 else []
    for size in range(max(shortest, 2), min(longest, len(words)) + 1):
        ngrams.extend(map(" ".join, zip(*(words[start:] for start in range(size)), strict=False)))
    return ngrams


def char_ngrams(word: str, sizes: NgramRange) -> Iterator[str]:
    """Yield the character n-grams of one word, which stands between two spaces.

    A word shorter than an n-gram gives itself, once, however many sizes are too long for it.

    Parameters
    ----------
    word : str
        A word of a preprocessed text, as ``text.split()`` gives it.
    sizes : (int, int)
        The smallest and the largest number of characters.

    Examples
    --------
    >>> list(char_ngrams("flu", (3, 4)))
    [' fl', 'flu', 'lu ', ' flu', 'flu ']
    """
    word = f" {word} "
    for size in range(sizes[0], sizes[1] + 1):
        if size >= len(word):
            yield word
            return
        for start in range(len(word) - size + 1):
            yield word[start : start + size]


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
    token_pattern : {"unicode", "sklearn"}, default="unicode"
        Whether combining marks belong to words.
    """

    def __init__(
        self,
        preprocess: Callable[[str], str],
        sizes: Mapping[str, NgramRange],
        vocabularies: Mapping[str, dict[str, int]] | None = None,
        token_pattern: str = "unicode",
    ):
        self._preprocess = preprocess
        self._sizes = sizes
        self._token_pattern = token_pattern
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
                ids.extend(self._ids("word", word_ngrams(text, self._sizes["word"], self._token_pattern)))
            if "char" in self._sizes:
                for word in text.split():
                    ids.extend(self._ids("char", char_ngrams(word, self._sizes["char"])))
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


def hash_of(ngram: str) -> int:
    """Return the core's hash of an n-gram: its UTF-8 bytes, eight at a time, folded by 128-bit products."""
    first, second, mask = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 2**64 - 1

    def fold(a: int, b: int) -> int:
        return (a * b & mask) ^ (a * b >> 64)

    data = ngram.encode("utf-8", "surrogatepass")
    value = first ^ len(data)
    for at in range(0, len(data) - 7, 8):
        value = fold(value ^ int.from_bytes(data[at : at + 8], "little"), second)
    return fold(value ^ int.from_bytes(data[len(data) // 8 * 8 :], "little"), first)
