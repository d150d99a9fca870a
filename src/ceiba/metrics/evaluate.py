"""`evaluate`: every metric at once, from one pass over the rows; and the ranking that it judges, `top_k`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ceiba._params import Interval, check
from ceiba.errors import InputError, InputTypeError
from ceiba.metrics.containers import DenseScores, IntArray, Rows, SparseScores, read_positives, read_scores
from ceiba.metrics.formulas import PER_LABEL, PLAIN, PROPENSITY
from ceiba.metrics.labels import CommonColumns, pattern
from ceiba.metrics.propensity import check_propensity_model, read_training, weights
from ceiba.metrics.ranking import best_labels
from ceiba.metrics.tally import Tally, tally


def evaluate(
    Y_true: Any,
    Y_score: Any,
    ks: Iterable[int] = (1, 3, 5),
    Y_train: Any = None,
    *,
    A: float = 0.55,
    B: float = 1.5,
    classes: Any = None,
) -> dict[str, float]:
    """Return every ranking metric at every k, in percent.

    The formulas, and what counts in the odd cases, stand in the documentation of `ceiba.metrics`.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    ks : int or iterable of int, default=(1, 3, 5)
        Numbers of top labels to look at, each >= 1.  The metrics come in the order of size, each k once.
    Y_train : container of positives or LabelCounts, default=None
        Labels of the training set, any number of rows.  With it, PSP@k and PSnDCG@k are computed.
    A, B : float, default=0.55 and 1.5
        Parameters of the propensities, see `inverse_propensity`.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    dict of str to float
        "P@1", ..., "nDCG@1", ..., "R@1", ..., "PSP@1" and "PSnDCG@1" with ``Y_train``, ..., "coverage@1",
        "macro-P@1", "macro-R@1", "macro-F1@1", ...; each a fraction times 100.

    Raises
    ------
    InputError
        Numbers of rows or labels that do not fit together, no rows, k < 1, NaN among the scores, a label
        that has no column.
    InputTypeError
        A container, a label or a k of a kind that cannot be read.

    Examples
    --------
    >>> from ceiba import metrics
    >>> Y_true = [["cat", "pet"], ["dog"]]
    >>> ranked = [["cat", "dog"], ["pet", "dog"]]
    >>> figures = metrics.evaluate(Y_true, ranked, ks=(1, 2))
    >>> figures["P@1"], figures["P@2"], figures["R@2"]
    (50.0, 50.0, 75.0)
    """
    sizes = sizes_of(ks, "ks", "evaluate")
    sums = gather(Y_true, Y_score, sizes, Y_train, A, B, classes, "evaluate")
    formulas = PLAIN | (PROPENSITY if Y_train is not None else {}) | PER_LABEL
    return {
        f"{name}@{k}": 100 * float(value)
        for name, formula in formulas.items()
        for k, value in zip(sizes, formula(sums), strict=True)
    }


def top_k(Y_score: Any, k: int, *, classes: Any = None) -> npt.NDArray[Any]:
    """Return the k best labels of each row.

    A higher score comes first; of equal scores the lower column.  This is the ranking that the metrics judge.

    Parameters
    ----------
    Y_score : container of scores or rankings, n rows
        See `ceiba.metrics`.
    k : int
        Labels to return for each row, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; None: labels are column numbers, or as listed.

    Returns
    -------
    ndarray of shape (n, k)
        Labels, best first.  Where a row has fewer: -1 among ints, None among strings (dtype object).

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> import numpy as np
    >>> from ceiba.metrics import top_k
    >>> top_k(np.array([[0.1, 0.7, 0.7], [-2.0, -1.0, -np.inf]]), k=3)
    array([[ 1,  2,  0],
           [ 1,  0, -1]])
    """
    (k,) = sizes_of(k, "k", "top_k")
    scores = read_scores(Y_score, "Y_score")
    space = CommonColumns([scores], classes)
    names = space.names()
    top = best_labels(scores, min(k, max(1, len(names))), space)
    empty = None if names.dtype == object else -1
    return np.concatenate([names, np.array([empty], dtype=names.dtype)])[top]


def gather(
    Y_true: Any, Y_score: Any, ks: Sequence[int], Y_train: Any, A: float, B: float, classes: Any, owner: str
) -> Tally:
    """Read the containers of one call and return the sums that its metrics are made of."""
    check_propensity_model(A, B, owner)
    true, scores = read_positives(Y_true, "Y_true"), read_scores(Y_score, "Y_score")
    if true.n != scores.n:
        raise InputError(f"Y_true has {true.n} rows but Y_score has {scores.n}.")
    train = None if Y_train is None else read_training(Y_train)
    space = CommonColumns([container for container in (true, scores, train) if container is not None], classes)
    w = None if train is None else weights(train, space, A, B)
    # No more places than the longest row fills, so a large k costs nothing where little was returned.
    top: IntArray = best_labels(scores, max(1, min(max(ks), longest_row(scores))), space)
    return tally(top, pattern(true, space), ks, w)


def longest_row(scores: SparseScores | DenseScores | Rows) -> int:
    """Return the most labels that a row of scores can have."""
    return scores.n_labels if isinstance(scores, DenseScores) else int(np.diff(scores.indptr).max())


def sizes_of(ks: Any, name: str, owner: str) -> tuple[int, ...]:
    """Return the distinct k in the order of size; a single one where ``name`` is "k"."""
    single = not hasattr(ks, "__iter__")
    if name == "k" or single:
        check(name, ks, [Interval(int, 1)], owner)
        return (int(ks),)
    if isinstance(ks, str):
        raise InputTypeError(f"The {name!r} parameter of {owner} must hold ints. Got {ks!r}.")
    sizes = list(ks)
    for k in sizes:
        check(name, k, [Interval(int, 1)], owner)
    if not sizes:
        raise InputError(f"The {name!r} parameter of {owner} is empty.")
    return tuple(sorted({int(k) for k in sizes}))
