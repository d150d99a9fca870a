"""Figures by how often labels occur in training, and of each label by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ceiba._params import Interval, check
from ceiba.errors import InputError
from ceiba.metrics.containers import read_positives, read_scores
from ceiba.metrics.evaluate import longest_row, sizes_of
from ceiba.metrics.labels import CommonColumns, pattern
from ceiba.metrics.propensity import LabelCounts, read_training, training_counts
from ceiba.metrics.ranking import best_labels
from ceiba.metrics.tally import Tally, tally

BOUNDS = (10, 100)
_NAMES = ("tail", "middle", "head")


class FrequencyGroup(NamedTuple):
    """The labels that occur about equally often in training.

    Attributes
    ----------
    name : str
        "tail", "middle" or "head"; the range of counts where there are more or fewer groups.
    least, most : int, int or None
        The training instances of its labels: at least, and at most. None: without an upper bound.
    n_labels : int
        Labels in it.
    n_positives : int
        Positives of these labels in the test set.
    figures : dict of str to float
        "P@k", the share of the returned labels of the group that are right, and "R@k", the share of its positives that
        are returned; in percent.
    """

    name: str
    least: int
    most: int | None
    n_labels: int
    n_positives: int
    figures: dict[str, float]


def by_frequency(
    Y_true: Any,
    Y_score: Any,
    Y_train: Any,
    ks: Iterable[int] = (1, 3, 5),
    *,
    bounds: Sequence[int] = BOUNDS,
    classes: Any = None,
) -> list[FrequencyGroup]:
    """Return precision and recall of rare and of frequent labels.

    The positives and the answers of all rows are pooled. P@k of a group is the share of its answers in the first k
    places that are right. R@k is the share of its positives that are among these answers.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics`.
    Y_score : container of scores or rankings, n rows
        What a model answered.
    Y_train : container of positives or LabelCounts
        Labels of the training set.
    ks : int or iterable of int, default=(1, 3, 5)
        Numbers of top labels to look at.
    bounds : sequence of int, default=(10, 100)
        The least training instances of each group but the first: a label of 9 is in the tail, one of 10 in the middle,
        one of 100 in the head.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    list of FrequencyGroup
        The rarest labels first. Labels that training never saw are in the first.

    Examples
    --------
    >>> from ceiba import metrics
    >>> counts = metrics.LabelCounts([2, 50, 1000], n=2000)
    >>> groups = metrics.by_frequency([[0, 2], [1]], [[2, 1], [2, 1]], counts, ks=2, classes=[0, 1, 2])
    >>> [(group.name, group.figures["P@2"], group.figures["R@2"]) for group in groups]
    [('tail', 0.0, 0.0), ('middle', 50.0, 100.0), ('head', 50.0, 100.0)]
    """
    sizes = sizes_of(ks, "ks", "by_frequency")
    edges = _edges(bounds)
    sums, counts, _ = _read(Y_true, Y_score, Y_train, sizes, classes)
    if counts is None:
        raise InputError("by_frequency needs Y_train, the labels of the training set or their counts. Got None.")
    group_of = np.searchsorted(edges, counts, side="right")
    groups = []
    for number in range(len(edges) + 1):
        own = group_of == number
        least = 0 if number == 0 else int(edges[number - 1])
        most = None if number == len(edges) else int(edges[number]) - 1
        positives = int(sums.positives[own].sum())
        figures = {}
        for name, below in (("P", sums.returned[:, own].sum(1)), ("R", np.full(len(sizes), positives))):
            for i, k in enumerate(sizes):
                right = int(sums.true_positives[i, own].sum())
                figures[f"{name}@{k}"] = 100 * right / int(below[i]) if below[i] else 0.0
        name = _NAMES[number] if len(edges) == 2 else f"{least}+" if most is None else f"{least}-{most}"
        groups.append(FrequencyGroup(name, least, most, int(own.sum()), positives, figures))
    return groups


def per_label(
    Y_true: Any, Y_score: Any, k: int = 5, Y_train: Any = None, *, classes: Any = None
) -> dict[str, npt.NDArray[Any]]:
    """Return the figures of each label by itself, as columns of a table.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics`.
    Y_score : container of scores or rankings, n rows
        What a model answered.
    k : int, default=5
        The first labels of each row that count.
    Y_train : container of positives or LabelCounts, default=None
        Labels of the training set.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.

    Returns
    -------
    dict of str to ndarray of shape (L,)
        "label"; "training", its training instances, with `Y_train`; "positives"; "returned", the rows that have it in
        the first k places; "right", those of them where it is a positive; "precision", "recall" and "F1" in percent.
        ``pandas.DataFrame`` takes it as it is.

    Examples
    --------
    >>> from ceiba import metrics
    >>> table = metrics.per_label([["cat"], ["dog"]], [["cat", "dog"], ["cat", "dog"]], k=1)
    >>> table["label"].tolist(), table["precision"].tolist(), table["recall"].tolist()
    (['cat', 'dog'], [50.0, 0.0], [100.0, 0.0])
    """
    (k,) = sizes_of(k, "k", "per_label")
    sums, counts, names = _read(Y_true, Y_score, Y_train, (k,), classes)
    right, returned, positives = sums.true_positives[0], sums.returned[0], sums.positives
    table = {"label": names} | ({} if counts is None else {"training": counts.astype(np.int64)})
    return table | {
        "positives": positives,
        "returned": returned,
        "right": right,
        "precision": 100 * right / np.maximum(returned, 1),
        "recall": 100 * right / np.maximum(positives, 1),
        "F1": 200 * right / np.maximum(returned + positives, 1),
    }


def _edges(bounds: Any) -> npt.NDArray[np.int64]:
    edges = list(bounds) if hasattr(bounds, "__iter__") and not isinstance(bounds, str) else [bounds]
    for edge in edges:
        check("bounds", edge, [Interval(int, 1)], "by_frequency")
    if not edges or any(b <= a for a, b in pairwise(edges)):
        raise InputError(f"The 'bounds' parameter of by_frequency must hold rising ints. Got {bounds!r}.")
    return np.array(edges, np.int64)


def _read(
    Y_true: Any, Y_score: Any, Y_train: Any, ks: Sequence[int], classes: Any
) -> tuple[Tally, npt.NDArray[Any] | None, npt.NDArray[Any]]:
    """Return the sums, the training instances of each column, and the label of each."""
    true, scores = read_positives(Y_true, "Y_true"), read_scores(Y_score, "Y_score")
    if true.n != scores.n:
        raise InputError(f"Y_true has {true.n} rows but Y_score has {scores.n}.")
    train: LabelCounts | Any = None if Y_train is None else read_training(Y_train)
    space = CommonColumns([each for each in (true, scores, train) if each is not None], classes)
    top = best_labels(scores, max(1, min(max(ks), longest_row(scores))), space)
    counts = None if train is None else training_counts(train, space)
    return tally(top, pattern(true, space), ks), counts, space.names()
