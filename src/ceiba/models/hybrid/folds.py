"""Which rows a hybrid model holds out to train its fusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ceiba.errors import InputError
from ceiba.models.hybrid.settings import LabelRows

_FEW, _MANY = 20_000, 200_000  # training texts
MOST_ROWS = 3000  # of a fold that the fusion learns from
_FOLDS = 4


def out_of_fold(
    n: int, seed: int, named: NDArray[np.bool_] | None = None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield pairs of rows: those that sources are trained on, and those held out to train the fusion.

    Up to 20,000 texts, three of four folds are held out in turn. Up to 200,000, two are. Above that, a twentieth is
    held out once. At most 3,000 rows of a fold are used.

    Parameters
    ----------
    n : int
        N.
    seed : int
    named : ndarray of shape (N,), bool, or None, default=None
        Rows whose text is a label's text. Sources are always trained on them. Held out, they would teach the fusion
        that a label whose text equals the input is always right.
    """
    order, always = np.random.default_rng([seed, 6]).permutation(n), np.zeros(0, np.intp)
    parts, used = (_FOLDS, 3 if n <= _FEW else 2) if n <= _MANY else (20, 1)
    if named is not None and parts <= n - named.sum() < n:
        order, always = order[~named[order]], np.flatnonzero(named)
    share = len(order) // parts
    if share < 1:
        raise InputError(f"A fusion needs {_FOLDS} rows or more to learn from; got {n}. XRLinear takes fewer.")
    for fold in range(used):
        held_out = order[fold * share : (fold + 1) * share]
        rest = np.concatenate([order[: fold * share], order[(fold + 1) * share :], always])
        yield np.sort(rest), np.sort(held_out[:MOST_ROWS])


def named_rows(texts: Sequence[str] | None, label_rows: LabelRows | None) -> NDArray[np.bool_] | None:
    """Return which rows have the text of a label, ignoring case; None without texts or without label texts."""
    if texts is None or label_rows is None:
        return None
    names = {text.strip().casefold() for text in label_rows.texts}
    return np.fromiter((text.strip().casefold() in names for text in texts), bool, len(texts))
