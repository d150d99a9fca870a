"""What each character is and becomes, as the running Python has it: tables for the native tokenizer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ceiba._native import core

# No character beyond is a letter, a digit or white space, has a case or can be decomposed; a test goes through all.
_END = 0x40000

# The one character whose lower case depends on its neighbours (final sigma): texts with it are lowered by Python.
CONTEXTUAL = "\u03a3"


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


@lru_cache(maxsize=8)
def char_tables(lowercase: bool, strip_accents: str | None) -> Any:
    """Return the core's tables: word characters, white space, and what lower-casing and accents off make of each."""
    every = np.arange(_END, dtype=np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    changed, target_ptr, targets = _changes(every, preprocessor(lowercase, strip_accents))
    if strip_accents == "ascii":  # drops whatever it cannot write
        rest = np.arange(_END, sys.maxunicode + 1, dtype=np.int32)
        changed = np.concatenate([changed, rest])
        target_ptr = np.concatenate([target_ptr, np.full(len(rest), target_ptr[-1])])
    return core.char_tables(_runs(r"\w+", every), _runs(r"\s+", every), changed, target_ptr, targets)


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
