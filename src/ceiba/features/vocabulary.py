"""Vocabularies as they are on disk: the UTF-8 of all n-grams one after the other, and where each begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import singledispatch
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba.errors import InputError


class PackedVocabulary(Mapping[str, int]):
    """N-grams and their columns, read-only. Its arrays may be mapped; texts are made of them when they are asked for.

    Parameters
    ----------
    utf8 : ndarray of uint8
        The n-grams one after the other. Half a surrogate pair is written as three bytes.
    ptr : ndarray of int64
        Where each n-gram begins, and the end of the last one.
    first_column : int, default=0
        The column of the first n-gram; the others follow.

    Raises
    ------
    InputError
        When the arrays are of wrong types or do not fit together.
    """

    def __init__(self, utf8: NDArray[np.uint8], ptr: NDArray[np.int64], first_column: int = 0):
        if utf8.dtype != np.uint8 or utf8.ndim != 1 or ptr.dtype != np.int64 or ptr.ndim != 1:
            raise InputError("the arrays of a vocabulary must be one-dimensional, of uint8 and of int64.")
        if len(ptr) == 0 or ptr[0] != 0 or ptr[-1] != len(utf8) or (np.diff(ptr) < 0).any():
            raise InputError("the offsets of a vocabulary must ascend from 0 to the length of its text.")
        try:
            utf8.tobytes().decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise InputError(f"a vocabulary must be UTF-8: {error}") from None
        inner = ptr[(ptr > 0) & (ptr < len(utf8))]
        if (utf8[inner] & 0xC0 == 0x80).any():
            raise InputError("an n-gram of a vocabulary begins within a character.")
        self.utf8, self.ptr, self.first_column = utf8, ptr, first_column
        self._columns: dict[str, int] | None = None

    @classmethod
    def of(cls, ngrams: Iterable[str]) -> PackedVocabulary:
        """Return the vocabulary of n-grams, in their order."""
        parts = [ngram.encode("utf-8", "surrogatepass") for ngram in ngrams]
        ptr = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=ptr[1:])
        return cls(np.frombuffer(b"".join(parts), np.uint8), ptr)

    def __getitem__(self, ngram: str) -> int:
        if self._columns is None:
            self._columns = {each: self.first_column + i for i, each in enumerate(self)}
        return self._columns[ngram]

    def __iter__(self) -> Iterator[str]:
        content = self.utf8.tobytes()
        return (content[begin:end].decode("utf-8", "surrogatepass") for begin, end in pairwise(self.ptr.tolist()))

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def ngram(self, place: int) -> str:
        """Return the n-gram of a place, counted from 0."""
        return self.utf8[self.ptr[place] : self.ptr[place + 1]].tobytes().decode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} n-grams)"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_columns": None}


@singledispatch
def for_core(vocabulary: Mapping[str, int]) -> Any:
    """Return a vocabulary as the core takes it: a list of str, or the two arrays of a packed one."""
    return list(vocabulary)


@for_core.register
def _(vocabulary: PackedVocabulary) -> Any:
    return vocabulary.utf8, vocabulary.ptr


@singledispatch
def packed(vocabulary: Mapping[str, int]) -> PackedVocabulary:
    """Return a vocabulary packed."""
    return PackedVocabulary.of(vocabulary)


@packed.register
def _(vocabulary: PackedVocabulary) -> PackedVocabulary:
    return vocabulary
