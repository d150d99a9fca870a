"""Many texts as two arrays, which can be mapped from a file."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ceiba.errors import InputError

_BLOCK = 1 << 20  # bytes that are checked at once


class PackedTexts:
    """Texts, read-only; each is decoded when it is asked for.

    Parameters
    ----------
    utf8 : ndarray of uint8
        The texts one after the other.
    ptr : ndarray of int64
        Where each text begins, and the end of the last one.

    Raises
    ------
    InputError
        When the arrays are of wrong types, do not fit together, or hold no UTF-8.
    """

    def __init__(self, utf8: NDArray[np.uint8], ptr: NDArray[np.int64]):
        if utf8.dtype != np.uint8 or utf8.ndim != 1 or ptr.dtype != np.int64 or ptr.ndim != 1:
            raise InputError("the arrays of texts must be one-dimensional, of uint8 and of int64.")
        if len(ptr) == 0 or ptr[0] != 0 or ptr[-1] != len(utf8) or (np.diff(ptr) < 0).any():
            raise InputError("the offsets of texts must ascend from 0 to the length of all texts.")
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for begin in range(0, len(utf8), _BLOCK):
                decoder.decode(utf8[begin : begin + _BLOCK].tobytes())
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise InputError(f"texts must be UTF-8: {error.reason}.") from None
        inner = ptr[ptr < len(utf8)]
        if (utf8[inner] & 0xC0 == 0x80).any():
            raise InputError("a text begins within a character.")
        self.utf8, self.ptr = utf8, ptr

    @classmethod
    def of(cls, texts: Iterable[str]) -> PackedTexts:
        """Return texts as arrays; none may hold half of a surrogate pair."""
        parts = [text.encode() for text in texts]
        ptr = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=ptr[1:])
        return cls(np.frombuffer(b"".join(parts), np.uint8), ptr)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def __getitem__(self, row: int) -> str:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.utf8[self.ptr[row] : self.ptr[row + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))
