"""What each character is and becomes, as the running Python has it: tables for the native tokenizer.

The core sees one character at a time. Most texts need no more. A text with a character that depends on its neighbours
is prepared in Python first: the core's tables say which texts these are.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np

from ceiba._native import core

NormalForm = Literal["NFC", "NFKC"]

# No character beyond is a letter, a digit or white space, has a case or can be decomposed; a test goes through all.
_END = 0x40000

# Where marks are, and characters that have a case or a decomposition. Most of the rest are ideographs and syllables.
_DECOMPOSED = ((0, 0x3400), (0xA000, 0xAC00), (0xF900, 0x20000), (0x2F800, 0x2FA20))
_VARIATION_SELECTORS = (0xE0100, 0xE01F0)  # marks, the only ones elsewhere
_HANGUL_VOWELS, _HANGUL_FINALS = (0x1161, 0x1176), (0x11A8, 0x11C3)  # composed with what stands before them, by rule

# The one character whose lower case depends on its neighbours (final sigma).
_SIGMA = "\u03a3"

# The zero-width joiners that spelling needs: ZWNJ, ZWJ and the Mongolian vowel separator. After a mark a ZWJ also ends
# words: older texts write half forms and chillus, letters of their own, that way.
_JOINERS = "\u200c\u200d\u180e"
_HALF_FORM = "\u200d"


def preprocessor(lowercase: bool, strip_accents: str | None) -> Callable[[str], str]:
    """Return the function that a text goes through before it is split: lower case first, then accents.

    Examples
    --------
    >>> preprocessor(lowercase=True, strip_accents="unicode")("Ménière's DISEASE")
    "meniere's disease"
    """
    if strip_accents is None:
        return str.lower if lowercase else str
    from sklearn.feature_extraction import text as sklearn_text

    strip = getattr(sklearn_text, f"strip_accents_{strip_accents}")
    return (lambda text: strip(text.lower())) if lowercase else strip


def normalizer(lowercase: bool, normalization: NormalForm | None) -> Callable[[str], str]:
    """Return what a text with characters that depend on their neighbours goes through before the core sees it.

    Normalised, lowered, normalised: equivalent texts must be the same before they are lowered, and lowering may undo
    the normal form. Only the small letter of the pair J, caron and \u01f0 has a composed form.

    Examples
    --------
    >>> normalizer(lowercase=True, normalization="NFC")("CAFE\u0301") == "caf\u00e9"
    True
    """
    if normalization is None:
        return str.lower if lowercase else str
    normalize = partial(unicodedata.normalize, normalization)
    return (lambda text: normalize(normalize(text).lower())) if lowercase else normalize


@lru_cache(maxsize=8)
def char_tables(
    lowercase: bool, strip_accents: str | None, normalization: NormalForm | None = None, token_pattern: str = "sklearn"
) -> Any:
    """Return the core's tables: classes of characters, and what lower-casing and accents off make of each."""
    every = np.arange(_END, dtype=np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    some = "".join(every[first:last] for first, last in _DECOMPOSED)
    become = preprocessor(lowercase, strip_accents)
    changed, target_ptr, targets = _changes(some if strip_accents is None else every, become)
    if strip_accents == "ascii":  # drops whatever it cannot write
        rest = np.arange(_END, sys.maxunicode + 1, dtype=np.int32)
        changed = np.concatenate([changed, rest])
        target_ptr = np.concatenate([target_ptr, np.full(len(rest), target_ptr[-1])])
    marks = [c for c, category in zip(some, map(unicodedata.category, some), strict=True) if category[0] == "M"]
    review, ordered = _review(some, marks, lowercase, normalization)
    classes = {"review": _ranges(review), "ordered": _ranges(ordered)}
    if token_pattern == "unicode":
        classes["mark"] = _ranges([*marks, *map(chr, range(*_VARIATION_SELECTORS))])
        classes["joiner"] = _ranges(_JOINERS)
        classes["half_form"] = _ranges(_HALF_FORM)
    return core.char_tables(_runs(r"\w+", every), _runs(r"\s+", every), changed, target_ptr, targets, **classes)


@lru_cache(maxsize=1)
def word_tables() -> Any:
    """Return the core's tables for texts that are lower-cased already: word characters, as ``re`` has them."""
    every = np.arange(_END, dtype=np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    nothing = np.empty(0, np.int32)
    return core.char_tables(_runs(r"\w+", every), nothing, nothing, np.zeros(1, np.int64), nothing)


def _review(
    characters: str, marks: list[str], lowercase: bool, normalization: NormalForm | None
) -> tuple[set[str], set[str]]:
    """Return the characters with which a text must go through ``normalizer``.

    Those of the second set matter only where two stand side by side: they may have to change places.
    """
    found = {_SIGMA} if lowercase else set()
    if normalization is None:
        return found, set()
    is_normal = partial(unicodedata.is_normalized, normalization)
    ordered = set(filter(unicodedata.combining, marks))
    for c, decomposition in zip(characters, map(unicodedata.decomposition, characters), strict=True):
        if decomposition:
            if not is_normal(c):
                found.add(c)
            parts = decomposition.split()
            if len(parts) == 2 and parts[0][0] != "<":  # what may be composed with a character before it
                found.add(chr(int(parts[1], 16)))
    found.update(map(chr, (*range(*_HANGUL_VOWELS), *range(*_HANGUL_FINALS))))
    if lowercase:
        lowered = [(c, low) for c, low in zip(characters, map(str.lower, characters), strict=True) if low != c]
        found.update([c for c, low in lowered if low[0] in found or low[0] in ordered or not is_normal(low)])
        ordered.update([c for c, low in lowered if low[-1] in ordered])  # the small letter of \u0130 ends in a mark
    return found, ordered


def _ranges(characters: Iterable[str]) -> np.ndarray:
    """Return [first, last) of each run of code points."""
    ordered = np.unique(np.fromiter(map(ord, characters), np.int32))
    starts = np.flatnonzero(np.diff(ordered, prepend=-2) > 1)
    ends = np.append(starts[1:], len(ordered)) - 1
    return np.stack([ordered[starts], ordered[ends] + 1], axis=1).ravel() if len(ordered) else ordered


def _runs(pattern: str, every: str) -> np.ndarray:
    """Return [first, last) of each run of matching code points."""
    return np.array([match.span() for match in re.finditer(pattern, every)], np.int32).ravel()


def _changes(characters: str, become: Callable[[str], str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pairs = [(ord(c), new) for c in characters if (new := become(c)) != c]
    sizes = [len(new) for _, new in pairs]
    return (
        np.array([code for code, _ in pairs], np.int32),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([ord(c) for _, new in pairs for c in new], np.int32),
    )
