"""The names of labels, to be searched for a part of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import numpy as np


class LabelNames:
    """Searches names for a part of them, whichever its case.

    Parameters
    ----------
    names : iterable of str
    """

    def __init__(self, names: Iterable[str]):
        folded = [_folded(name) for name in names]
        self._text = "\n".join(["", *folded, ""])
        self._begins = np.cumsum([1, *(len(name) + 1 for name in folded)]).tolist()

    def __len__(self) -> int:
        return len(self._begins) - 1

    def search(self, query: str, n: int) -> list[int]:
        """Return the first n names with a part like the query.

        Names that begin so come first, then those with a word that begins so, then the others.
        """
        query = _folded(query)
        if not query:
            return list(range(min(n, len(self))))
        found: dict[int, None] = {}
        for before in ("\n", " ", ""):
            at = self._text.find(before + query)
            while at >= 0 and len(found) < n:
                number = bisect_right(self._begins, at + len(before)) - 1
                found[number] = None
                at = self._text.find(before + query, self._begins[number + 1] - 1)
            if len(found) >= n:
                break
        return list(found)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
