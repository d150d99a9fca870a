"""Splits of multi-label data in which every label is shared out, as scikit-learn's ``cv=`` takes them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator

from ceiba._params import Constraint, Flag, Interval, Options, check
from ceiba._random import RANDOM_STATE, seed_from
from ceiba.data.frames import is_table
from ceiba.data.labels import encode_labels
from ceiba.errors import InputError

__all__ = ["MultilabelStratifiedKFold", "iterative_train_test_split"]

_RARE: list[Constraint] = [Options("train", "spread")]
_SPLITS: list[Constraint] = [Interval(int, 2, None)]
_TEST_SIZE: list[Constraint] = [Interval(float, 0, 1, closed="neither"), Interval(int, 1, None)]


class MultilabelStratifiedKFold(BaseCrossValidator):
    """K folds of multi-label data, each with its share of every label.

    Rows are shared out label by label, the rarest first (iterative stratification). A label of at least `n_splits`
    rows is usually in every fold. It works on the sparse matrix: half a million rows and tens of thousands of labels
    take seconds.

    Parameters
    ----------
    n_splits : int, default=5
        Folds.
    shuffle : bool, default=False
        Whether rows are shared out in random order. Without, the same data gives the same folds.
    random_state : int, RandomState, Generator or None, default=None
        Seeds the order. None: other folds each time.
    rare : {"train", "spread"}, default="train"
        What to do about a label whose rows would all be in one fold, such as a label of a single row.
        "train": one of its rows is in every training part and never tested, so every label has a row in every training
        part. Use it in a grid search.
        "spread": every row is tested once, as ``cross_val_predict`` demands. A label of a single row is then unknown to
        the model that is tested on it.

    See Also
    --------
    iterative_train_test_split : A single split.

    Notes
    -----
    ``cross_val_predict`` puts the answers of all folds into one matrix, so all models must have the same labels. Use
    ``rare="spread"``, give Y as an indicator, and set ``empty_labels="keep"`` on the model. With lists of labels each
    model knows the labels of its own training part only, and the answers do not fit together.

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", ECML PKDD 2011.

    Examples
    --------
    >>> from ceiba.model_selection import MultilabelStratifiedKFold
    >>> Y = [["a"], ["a", "b"], ["b"], ["a"], ["b"], ["c"]]
    >>> for train, test in MultilabelStratifiedKFold(n_splits=2).split(None, Y):
    ...     print(train.tolist(), test.tolist())
    [0, 2, 3, 5] [1, 4]
    [1, 4, 5] [0, 2, 3]
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None, rare: str = "train"
    ) -> None:
        self.n_splits, self.shuffle, self.random_state, self.rare = n_splits, shuffle, random_state, rare

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored; scikit-learn passes them.

        Returns
        -------
        int
            `n_splits`.
        """
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows of the training and the test part of each split, ascending.

        Parameters
        ----------
        X : N rows of anything, or None
            Not looked at.
        y : sequence of N collections of labels, or (N, L) indicator
            As ``fit`` takes it.
        groups : object, default=None
            Ignored; scikit-learn passes it.

        Raises
        ------
        InputError
            When there are fewer rows than folds, or nothing is left to test.
        """
        owner = type(self).__name__
        check("n_splits", self.n_splits, _SPLITS, owner)
        check("shuffle", self.shuffle, [Flag()], owner)
        check("random_state", self.random_state, RANDOM_STATE, owner)
        check("rare", self.rare, _RARE, owner)
        if not self.shuffle and self.random_state is not None:
            raise InputError(f"random_state of {owner} has no effect without shuffle=True; leave it at None.")
        Y = _indicator(X, y)
        if Y.shape[0] < self.n_splits:
            raise InputError(f"n_splits={self.n_splits}, but Y has only {Y.shape[0]} rows.")
        order = np.random.default_rng(seed_from(self.random_state)) if self.shuffle else None
        fold = _share_out(Y, [1 / self.n_splits] * self.n_splits, order)
        if self.rare == "train":
            fold[_only_rows(Y, fold)] = -1
        sizes = np.bincount(fold + 1, minlength=self.n_splits + 1)[1:]
        if not sizes.all():
            raise InputError(
                f"fold {int(np.argmin(sizes))} has no row to test, since too many rows are the only one of a label; "
                'use fewer folds or rare="spread".'
            )
        for number in range(self.n_splits):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def iterative_train_test_split(
    X: Any,
    Y: Any,
    *more: Any,
    test_size: float | int = 0.25,
    random_state: Any = None,
    rare: str = "train",
) -> list[Any]:
    """Split multi-label data into a training and a test part, each with its share of every label.

    Parameters
    ----------
    X : N rows of texts or features
        A list, an array, a sparse matrix, a data frame or a column of one.
    Y : sequence of N collections of labels, or (N, L) indicator
        As ``fit`` takes it.
    *more : N rows each
        What else is to be split the same way.
    test_size : float or int, default=0.25
        The share of the test part, or about how many rows it has.
    random_state : int, RandomState, Generator or None, default=None
        Seeds the split. None: another one each time.
    rare : {"train", "spread"}, default="train"
        "train": every label has a row in the training part. "spread": a label of a single row may be in either.

    Returns
    -------
    list
        ``[X_train, X_test, Y_train, Y_test, ...]``, each of the type that was given; columns of files become lists.

    Raises
    ------
    InputError
        When numbers of rows differ, or a part is empty.

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", ECML PKDD 2011.

    Examples
    --------
    >>> from ceiba.model_selection import iterative_train_test_split
    >>> texts = ["one", "two", "three", "four"]
    >>> Y = [["a"], ["a"], ["b"], ["b"]]
    >>> parts = iterative_train_test_split(texts, Y, test_size=0.5, random_state=0)
    >>> sorted(parts[2]) == sorted(parts[3]) == [["a"], ["b"]]
    True
    """
    owner = "iterative_train_test_split"
    check("test_size", test_size, _TEST_SIZE, owner)
    check("random_state", random_state, RANDOM_STATE, owner)
    check("rare", rare, _RARE, owner)
    Y = list(Y) if not isinstance(Y, Sized) and not hasattr(Y, "shape") else Y
    matrix = _indicator(X, Y)
    n = matrix.shape[0]
    share = test_size / n if isinstance(test_size, (int, np.integer)) else test_size
    if not 0 < share < 1:
        raise InputError(f"test_size={test_size}, but Y has only {n} rows.")
    part = _share_out(matrix, [1 - share, share], np.random.default_rng(seed_from(random_state)))
    if rare == "train":
        only = _only_rows(matrix, part)
        part[only] = 0
    rows = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    if not (len(rows[0]) and len(rows[1])):
        raise InputError(f"one part of {n} rows is empty with test_size={test_size} and rare={rare!r}.")
    return [_take(values, chosen, n) for values in (X, Y, *more) for chosen in rows]


def _indicator(X: Any, Y: Any) -> sp.csr_array:
    if Y is None:
        raise InputError("y is None, but rows are shared out by their labels.")
    matrix, _ = encode_labels(Y)
    if matrix.shape[0] == 0:
        raise InputError("Y is empty: it has no rows.")
    n = X.shape[0] if hasattr(X, "shape") and len(X.shape) else len(X) if isinstance(X, Sized) else matrix.shape[0]
    if n != matrix.shape[0]:
        raise InputError(f"Y has {matrix.shape[0]} rows, X has {n}.")
    return matrix


def _share_out(Y: sp.csr_array, shares: list[float], rng: np.random.Generator | None) -> NDArray[np.intp]:
    """Return the part of each row: iterative stratification (Sechidis et al. 2011, algorithm 1).

    The label of the fewest rows left is shared out first. Each of its rows goes to the part that lacks most rows of the
    label, among equals to the one that lacks most rows of all, among equals to the first.
    """
    n, n_labels = Y.shape
    row_rank, label_rank, parts = np.arange(n), np.arange(n_labels), np.arange(len(shares))
    if rng is not None:
        row_rank, label_rank, parts = rng.permutation(n), rng.permutation(n_labels), rng.permutation(len(shares))
    shares = [shares[p] for p in parts.tolist()]
    row_of_rank = np.argsort(row_rank)
    Y = Y[row_of_rank]
    columns = Y.tocsc()
    columns.sort_indices()
    begins, labels = Y.indptr.tolist(), Y.indices.tolist()
    column_begins, rows = columns.indptr.tolist(), columns.indices.tolist()
    left = np.diff(columns.indptr).tolist()
    lacks = [[count * share for share in shares] for count in left]  # rows of a label that each part lacks
    lacks_rows = [n * share for share in shares]
    rank, every, part = label_rank.tolist(), range(len(shares)), [-1] * n
    queue = [(count, rank[label], label) for label, count in enumerate(left) if count]
    heapq.heapify(queue)
    while queue:
        count, _, label = heapq.heappop(queue)
        if count != left[label]:  # a later entry of the label says how many are left
            continue
        of_label, changed = lacks[label], set()
        for row in rows[column_begins[label] : column_begins[label + 1]]:
            if part[row] >= 0:
                continue
            most = max(of_label)
            if of_label.count(most) == 1:
                chosen = of_label.index(most)
            else:
                chosen = max((p for p in every if of_label[p] == most), key=lacks_rows.__getitem__)
            part[row] = chosen
            lacks_rows[chosen] -= 1
            for other in labels[begins[row] : begins[row + 1]]:
                lacks[other][chosen] -= 1
                left[other] -= 1
                changed.add(other)
        for other in changed:
            if left[other]:
                heapq.heappush(queue, (left[other], rank[other], other))
    for row in range(n):  # those without labels
        if part[row] < 0:
            part[row] = chosen = lacks_rows.index(max(lacks_rows))
            lacks_rows[chosen] -= 1
    return parts[np.array(part)][row_rank]


def _only_rows(Y: sp.csr_array, part: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return a row of each label whose rows are all in one part, few in all."""
    columns = Y.tocsc()
    columns.sort_indices()
    used = np.flatnonzero(np.diff(columns.indptr))
    begins, entries = columns.indptr[used], part[columns.indices]
    if not len(used):
        return np.empty(0, np.intp)
    alone = used[np.minimum.reduceat(entries, begins) == np.maximum.reduceat(entries, begins)]
    alone = alone[np.argsort(np.diff(columns.indptr)[alone], kind="stable")]  # a single row cannot be chosen
    chosen: set[int] = set()
    for label in alone.tolist():
        rows = columns.indices[columns.indptr[label] : columns.indptr[label + 1]].tolist()
        if chosen.isdisjoint(rows):
            chosen.add(rows[0])
    return np.array(sorted(chosen), np.intp)


def _take(values: Any, rows: NDArray[np.intp], n: int) -> Any:
    """Return some rows of a container, in its own type where it can be indexed."""
    if isinstance(values, (list, tuple)):
        size = len(values)
    else:
        if not hasattr(values, "shape") and not hasattr(values, "take"):
            values = list(values)
        size = values.shape[0] if hasattr(values, "shape") else len(values)
    if size != n:
        raise InputError(f"one of the arguments has {size} rows, Y has {n}.")
    if isinstance(values, (list, tuple)):
        return type(values)([values[row] for row in rows.tolist()])
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "to_pylist") or hasattr(values, "column_names"):  # Arrow
        return values.take(rows)
    if sp.issparse(values):
        kind: Any = sp.csr_array if isinstance(values, sp.sparray) else sp.csr_matrix
        return kind(values)[rows]
    return values[rows.tolist()] if is_table(values) else values[rows]
