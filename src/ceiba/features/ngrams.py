"""Text to n-grams: the words of a text and the character n-grams inside its words.

The definitions are those of scikit-learn's ``analyzer="word"`` (with every run of word characters a word,
single characters included) and ``analyzer="char_wb"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

NgramRange = tuple[int, int]

_words = re.compile(r"\w+").findall


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


def word_ngrams(text: str, sizes: NgramRange) -> list[str]:
    """Return the n-grams of the words of a text, each n-gram as words joined by one space.

    Parameters
    ----------
    text : str
        A preprocessed text.
    sizes : (int, int)
        The smallest and the largest number of words.

    Examples
    --------
    >>> word_ngrams("vitamin b 12", (1, 2))
    ['vitamin', 'b', '12', 'vitamin b', 'b 12']
    """
    words = _words(text)
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
