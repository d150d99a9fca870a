"""One function for each metric; `evaluate` gives them all for the work of one."""

from __future__ import annotations

from typing import Any

from ceiba.errors import InputTypeError
from ceiba.metrics.evaluate import gather, sizes_of
from ceiba.metrics.formulas import PER_LABEL, PLAIN, PROPENSITY, Formula


def precision_at_k(Y_true: Any, Y_score: Any, k: int, *, classes: Any = None) -> float:
    """Return P@k in percent: the share of a row's first k places that hold a positive, mean over all rows.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import precision_at_k
    >>> round(precision_at_k([["cat", "pet"], ["dog"]], [["cat", "dog"], ["pet", "dog"]], k=2), 2)
    50.0
    """
    return _one(PLAIN["P"], "precision_at_k", Y_true, Y_score, k, classes)


def ndcg_at_k(Y_true: Any, Y_score: Any, k: int, *, classes: Any = None) -> float:
    """Return nDCG@k in percent: discounted hits over the best possible, mean over the rows with positives.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import ndcg_at_k
    >>> round(ndcg_at_k([["cat", "pet"], ["dog"]], [["cat", "dog"], ["pet", "dog"]], k=2), 2)
    62.2
    """
    return _one(PLAIN["nDCG"], "ndcg_at_k", Y_true, Y_score, k, classes)


def recall_at_k(Y_true: Any, Y_score: Any, k: int, *, classes: Any = None) -> float:
    """Return R@k in percent: the share of a row's positives in its first k places, over rows with positives.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import recall_at_k
    >>> round(recall_at_k([["cat", "pet"], ["dog"]], [["cat", "dog"], ["pet", "dog"]], k=2), 2)
    75.0
    """
    return _one(PLAIN["R"], "recall_at_k", Y_true, Y_score, k, classes)


def psp_at_k(
    Y_true: Any, Y_score: Any, k: int, Y_train: Any, *, A: float = 0.55, B: float = 1.5, classes: Any = None
) -> float:
    """Return PSP@k in percent: hits weighted by inverse propensity, over the best that any ranking reaches.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    Y_train : container of positives or LabelCounts
        The labels of the training set, any number of rows.
    A, B : float, default=0.55 and 1.5
        Parameters of the propensities, see `inverse_propensity`.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import LabelCounts, psp_at_k
    >>> train = LabelCounts([90, 10, 900], n=1000)
    >>> round(psp_at_k([[0, 1], [2]], [[0, 2], [1, 2]], k=2, Y_train=train), 2)
    46.18
    """
    return _one(PROPENSITY["PSP"], "psp_at_k", Y_true, Y_score, k, classes, _required(Y_train, "psp_at_k"), A, B)


def psndcg_at_k(
    Y_true: Any, Y_score: Any, k: int, Y_train: Any, *, A: float = 0.55, B: float = 1.5, classes: Any = None
) -> float:
    """Return PSnDCG@k in percent: discounted hits weighted by inverse propensity, over the best possible.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    Y_train : container of positives or LabelCounts
        The labels of the training set, any number of rows.
    A, B : float, default=0.55 and 1.5
        Parameters of the propensities, see `inverse_propensity`.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import LabelCounts, psndcg_at_k
    >>> train = LabelCounts([90, 10, 900], n=1000)
    >>> round(psndcg_at_k([[0, 1], [2]], [[0, 2], [1, 2]], k=2, Y_train=train), 2)
    45.97
    """
    return _one(
        PROPENSITY["PSnDCG"], "psndcg_at_k", Y_true, Y_score, k, classes, _required(Y_train, "psndcg_at_k"), A, B
    )


def coverage_at_k(Y_true: Any, Y_score: Any, k: int, *, classes: Any = None) -> float:
    """Return coverage@k in percent: of the labels with a positive, the share that is a hit in some row.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import coverage_at_k
    >>> round(coverage_at_k([["cat", "pet"], ["dog"]], [["cat", "dog"], ["pet", "dog"]], k=2), 2)
    66.67
    """
    return _one(PER_LABEL["coverage"], "coverage_at_k", Y_true, Y_score, k, classes)


def macro_precision_at_k(Y_true: Any, Y_score: Any, k: int, *, classes: Any = None) -> float:
    """Return macro-P@k in percent: a label's precision in the first k places, mean over labels.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import macro_precision_at_k
    >>> round(macro_precision_at_k([["cat", "pet"], ["dog"]], [["cat", "dog"], ["pet", "dog"]], k=2), 2)
    50.0
    """
    return _one(PER_LABEL["macro-P"], "macro_precision_at_k", Y_true, Y_score, k, classes)


def macro_recall_at_k(Y_true: Any, Y_score: Any, k: int, *, classes: Any = None) -> float:
    """Return macro-R@k in percent: a label's recall in the first k places, mean over labels.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import macro_recall_at_k
    >>> round(macro_recall_at_k([["cat", "pet"], ["dog"]], [["cat", "dog"], ["pet", "dog"]], k=2), 2)
    66.67
    """
    return _one(PER_LABEL["macro-R"], "macro_recall_at_k", Y_true, Y_score, k, classes)


def macro_f1_at_k(Y_true: Any, Y_score: Any, k: int, *, classes: Any = None) -> float:
    """Return macro-F1@k in percent: a label's F1 in the first k places, mean over labels.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers and the formula.
    Y_score : container of scores or rankings, n rows
        The scores of the labels, or the labels themselves, best first.
    k : int
        Top labels to look at, >= 1.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    float
        In [0, 100].

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`.

    Examples
    --------
    >>> from ceiba.metrics import macro_f1_at_k
    >>> round(macro_f1_at_k([["cat", "pet"], ["dog"]], [["cat", "dog"], ["pet", "dog"]], k=2), 2)
    55.56
    """
    return _one(PER_LABEL["macro-F1"], "macro_f1_at_k", Y_true, Y_score, k, classes)


def _one(
    formula: Formula,
    owner: str,
    Y_true: Any,
    Y_score: Any,
    k: int,
    classes: Any,
    Y_train: Any = None,
    A: float = 0.55,
    B: float = 1.5,
) -> float:
    sums = gather(Y_true, Y_score, sizes_of(k, "k", owner), Y_train, A, B, classes, owner)
    return 100 * float(formula(sums)[0])


def _required(Y_train: Any, owner: str) -> Any:
    if Y_train is None:
        raise InputTypeError(f"{owner} needs Y_train, the labels of the training set. Got None.")
    return Y_train
