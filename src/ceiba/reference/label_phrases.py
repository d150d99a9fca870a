"""Phrases of labels in texts as strings; a twin of the core's `LabelPhrases`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_PREFIX = 5
_SHORTEST = 3  # of an English plural


def singular(word: str) -> str:
    """Return a word without a plural s."""
    return word[:-1] if word.endswith("s") and len(word) > _SHORTEST else word


def prefix(word: str) -> str:
    """Return the first characters of a word."""
    return word[:_PREFIX]


def phrase(stems: Sequence[str]) -> str:
    """Return words as one string in which each has a space on both sides."""
    return f" {' '.join(stems)} "


def measure_phrases(
    label_texts: Sequence[str],
    row_label: NDArray[np.int32],
    texts: Sequence[str],
    ptr: NDArray[np.int64],
    labels: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Return times, earliness and share for both forms of words, of each label of each text."""
    measured = np.zeros((len(labels), 6), np.float32)
    forms: tuple[Callable[[str], str], ...] = (singular, prefix)
    for row, text in enumerate(texts):
        for number, form in enumerate(forms):
            stems = [form(word) for word in _WORD.findall(text.lower())]
            whole = phrase(stems)
            for pair in range(ptr[row], ptr[row + 1]):
                values = measured[pair, 3 * number : 3 * number + 3]
                for at in np.flatnonzero(row_label == labels[pair]).tolist():
                    own = [form(word) for word in _WORD.findall(label_texts[at].lower())]
                    shared = len(set(own) & set(stems))
                    if not shared:
                        continue
                    values[2] = max(values[2], np.float32(shared / len(set(own))))
                    begin = whole.find(phrase(own))
                    if begin >= 0:
                        values[0] = max(values[0], np.float32(np.log1p(whole.count(phrase(own)))))
                        values[1] = max(values[1], np.float32(1 - begin / len(whole)))
    return measured
