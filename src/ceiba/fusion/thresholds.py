"""Thresholds: from scores of (text, label) pairs to the set of labels of each text.

Thresholds are tuned on texts that the model was not trained on, or on out-of-fold scores. A label whose score is at
least its threshold is predicted. Right labels that the search did not reach cannot be predicted. They count in every
recall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._params import Exactly, Interval, Options, check
from ceiba.data.offsets import row_numbers
from ceiba.errors import InputError
from ceiba.fusion.precision_curve import PrecisionCurve, midpoints, precision_curve

OBJECTIVES = ("micro_f1", "macro_f1")
# Weights of the common threshold in the mean with a label's own, which weighs the number of the label's right rows.
# Held-out rows decide which is used.
SHRINKAGES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, np.inf)
_FOLDS = 5
_MOST_ROUNDS = 100
PRECISION = [Interval(float, 0, 1, closed="right"), Exactly(None)]

Bools = NDArray[np.bool_]
Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Thresholds:
    """Scores from which on labels are predicted.

    Attributes
    ----------
    threshold : float
        The threshold of all labels, or of those without one of their own.
    label_thresholds : ndarray of shape (L,), float32, or None
        The threshold of each label; None where all have the same.
    objective : str
        "micro_f1" or "macro_f1".
    value : float
        The objective on the rows that the thresholds were tuned on, a share.
    precision : float
        The share of the predicted labels that were right on these rows.
    recall : float
        The share of the right labels that were predicted on these rows.
    shrinkage : float
        Weight of the common threshold in the mean with a label's own, whose weight is the label's right rows; inf where
        all labels have the common one.
    curve : PrecisionCurve
        Precision and recall at other common thresholds.
    """

    threshold: float
    label_thresholds: NDArray[np.float32] | None
    objective: str
    value: float
    precision: float
    recall: float
    shrinkage: float
    curve: PrecisionCurve

    @property
    def least(self) -> float:
        """The lowest threshold of any label."""
        return self.threshold if self.label_thresholds is None else float(self.label_thresholds.min())

    def reached(self, labels: Ints, scores: Floats) -> Bools:
        """Return which scores reach the threshold of their label."""
        if self.label_thresholds is None:
            return scores >= np.float32(self.threshold)
        return scores >= self.label_thresholds[labels]


def tune_thresholds(
    scores: sp.csr_array,
    Y: sp.csr_array,
    *,
    objective: str = "micro_f1",
    min_precision: float | None = None,
    per_label: bool = False,
    n_unknown: int = 0,
) -> Thresholds:
    """Choose the thresholds that are best on rows with known labels.

    Parameters
    ----------
    scores : csr_array of shape (N, L)
        The stored values are the scores of the labels reached, zeros too. Scores of -inf do not count.
    Y : csr_array of shape (N, L)
        The right labels: what is stored and not 0.
    objective : {"micro_f1", "macro_f1"}, default="micro_f1"
        F1 of all pairs together, or the mean of the labels' F1.
    min_precision : float in (0, 1], default=None
        The least share of predicted labels that must be right, over all pairs.
    per_label : bool, default=False
        Whether each label has a threshold of its own. It lies between the best for the label alone and that for all
        labels, nearer the latter the fewer right rows the label has. How much nearer is chosen by cross-validation.
    n_unknown : int, default=0
        Right labels of these rows without a column. They count as missed.

    Returns
    -------
    Thresholds
        The optimum over all common thresholds. With `per_label` and no shrinkage it is that over all combinations.

    Raises
    ------
    InputError
        When shapes differ, no right label was reached, or no threshold reaches `min_precision`.

    References
    ----------
    - Lipton, Elkan and Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure", ECML 2014.
    - Dinkelbach, "On Nonlinear Fractional Programming", Management Science 13, 1967: the optimum of a ratio of sums.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from ceiba.fusion.thresholds import tune_thresholds
    >>> scores = csr_array(np.array([[0.9, 0.4, 0.2], [0.6, 0.3, 0.1]], np.float32))
    >>> Y = csr_array(np.array([[1, 0, 0], [1, 0, 0]]))
    >>> found = tune_thresholds(scores, Y)
    >>> found.threshold, found.value
    (0.5, 1.0)
    """
    check("objective", objective, [Options(*OBJECTIVES)], "tune_thresholds")
    check("min_precision", min_precision, PRECISION, "tune_thresholds")
    pairs = _pairs(scores, Y, n_unknown)
    best = _best_common(pairs, objective, min_precision)
    curve = precision_curve(pairs.scores, pairs.right, pairs.n_right, pairs.n_rows)
    if not per_label:
        return _thresholds(pairs, best, None, objective, np.inf, curve)
    shrinkage = _choose_shrinkage(pairs, objective, min_precision)
    own = None if np.isinf(shrinkage) else _shrunk(_LabelCuts(pairs, objective, min_precision), shrinkage, best)
    if own is None:
        return _thresholds(pairs, best, None, objective, np.inf, curve)
    return _thresholds(pairs, best, own, objective, shrinkage, curve)


# ------------------------------------------------------------------ pairs


@dataclass(frozen=True)
class _Pairs:
    """Scored pairs of some rows, best first.

    Attributes
    ----------
    rows, labels, scores, right : ndarray of shape (P,)
        Scores descend.
    true_rows, true_labels : ndarray of shape (R,)
        The right pairs, reached or not.
    n_labels : int
    n_unknown : int
        Right labels without a column.
    n_rows : int
    """

    rows: Ints
    labels: Ints
    scores: NDArray[np.float32]
    right: Bools
    true_rows: Ints
    true_labels: Ints
    n_labels: int
    n_unknown: int
    n_rows: int

    @cached_property
    def right_of_label(self) -> Ints:
        """The right rows of each label, reached or not."""
        return np.bincount(self.true_labels, minlength=self.n_labels)

    @property
    def n_right(self) -> int:
        return len(self.true_labels) + self.n_unknown

    def figures(self, true: Any, predicted: Any) -> tuple[float, float]:
        """Return micro and macro F1 of counts per label."""
        micro = 2 * true.sum() / max(1, predicted.sum() + self.n_right)
        macro = np.mean(2 * true / np.maximum(1, predicted + self.right_of_label))
        return float(micro), float(macro)

    def counts(self, reached: Bools) -> tuple[Ints, Ints]:
        """Return how many of the predicted pairs of each label are right, and how many there are."""
        labels, n = self.labels[reached], self.n_labels
        return np.bincount(labels[self.right[reached]], minlength=n), np.bincount(labels, minlength=n)

    def of_rows(self, kept: Bools) -> _Pairs:
        """Return the pairs of some rows."""
        own, true = kept[self.rows], kept[self.true_rows]
        share = np.count_nonzero(kept) / len(kept)
        return _Pairs(
            self.rows[own],
            self.labels[own],
            self.scores[own],
            self.right[own],
            self.true_rows[true],
            self.true_labels[true],
            self.n_labels,
            round(self.n_unknown * share),
            self.n_rows,
        )


def _pairs(scores: sp.csr_array, Y: sp.csr_array, n_unknown: int) -> _Pairs:
    if scores.shape != Y.shape:
        raise InputError(f"The scores have the shape {scores.shape}, but the labels {Y.shape}.")
    rows = row_numbers(scores.indptr)
    if np.isnan(scores.data).any():
        raise InputError("The scores hold NaN.")
    true_row = row_numbers(Y.indptr)[Y.data != 0]
    true_label = Y.indices[Y.data != 0]
    true = np.unique(true_row * np.int64(Y.shape[1]) + true_label)
    wanted = rows * np.int64(Y.shape[1]) + scores.indices
    found = np.searchsorted(true, wanted)
    right = np.zeros(len(wanted), bool)
    right[found < len(true)] = true[found[found < len(true)]] == wanted[found < len(true)]
    values = scores.data.astype(np.float32, copy=False)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > -np.inf]
    if not right[order].any():
        raise InputError("Thresholds need a right label among those that the search reached; there is none.")
    found_pairs = rows[order], scores.indices[order], values[order], right[order]
    return _Pairs(*found_pairs, true // Y.shape[1], true % Y.shape[1], Y.shape[1], n_unknown, Y.shape[0])


# ------------------------------------------------------------------ one threshold for all labels


def _best_common(pairs: _Pairs, objective: str, min_precision: float | None) -> float:
    true = np.cumsum(pairs.right)
    predicted = np.arange(1, len(true) + 1)
    if objective == "micro_f1":
        value = 2 * true / (predicted + pairs.n_right)
    else:
        value = np.cumsum(_changes_of_macro_f1(pairs))
    ends = np.append(pairs.scores[1:] < pairs.scores[:-1], True)  # equal scores are predicted together
    if min_precision is not None:
        precise = ends & (true >= min_precision * predicted)
        if not precise.any():
            most = (true / predicted)[ends].max()
            raise InputError(f"min_precision is {min_precision:g}, but no threshold has more than {most:.4g}.")
        ends = precise
    at = np.flatnonzero(ends)
    return float(midpoints(pairs.scores)[at[np.argmax(value[at])]])


def _changes_of_macro_f1(pairs: _Pairs) -> NDArray[np.float64]:
    """Return what each pair adds to the sum of the labels' F1 when it is predicted after those above it."""
    order, true, predicted, first = _by_label(pairs)
    f1 = 2 * true / (predicted + pairs.right_of_label[pairs.labels[order]])
    before = np.append(0.0, f1[:-1])
    before[first] = 0.0
    changes = np.empty(len(f1))
    changes[order] = f1 - before
    return changes


# ------------------------------------------------------------------ a threshold for each label


def _by_label(pairs: _Pairs) -> tuple[Ints, Ints, Ints, Bools]:
    """Return the order by label and then best first, and in it the right and all pairs so far of the same label.

    The last array says where a label begins.
    """
    order = np.argsort(pairs.labels, kind="stable")
    labels, right = pairs.labels[order], pairs.right[order]
    first = np.append(True, labels[1:] != labels[:-1])[: len(labels)]
    start = np.flatnonzero(first)
    length = np.diff(np.append(start, len(labels)))
    total = np.cumsum(right)
    before: Ints = np.repeat((total - right)[start], length)
    predicted = np.arange(len(labels)) - np.repeat(start, length) + 1
    return order, total - before, predicted, first


class _LabelCuts:
    """The effect of a threshold just below each pair on the pair's label."""

    def __init__(self, pairs: _Pairs, objective: str, min_precision: float | None):
        self.pairs, self.objective, self.min_precision = pairs, objective, min_precision
        self._optima: dict[float, NDArray[np.float32]] = {}
        order, self.true, self.predicted, first = _by_label(pairs)
        scores = pairs.scores[order]
        self.labels = pairs.labels[order]
        self.start = np.flatnonzero(first)
        last = np.append(first[1:], True)
        self.ends = last | np.append(scores[1:] < scores[:-1], True)
        self.cut = midpoints(scores, last)
        self.above = np.nextafter(scores[self.start], np.float32(np.inf))  # predicts nothing of what was seen

    def best(self, value: Floats) -> tuple[NDArray[np.float32], float, float]:
        """Return the best threshold of each label that has pairs, and how many right and how many pairs they predict.

        A value is that of a threshold just below a pair; predicting nothing has the value 0.
        """
        value = np.where(self.ends, value, -np.inf)
        most = np.maximum.reduceat(value, self.start)
        length = np.diff(np.append(self.start, len(value)))
        at = np.flatnonzero(value == np.repeat(most, length))
        at = at[np.unique(self.labels[at], return_index=True)[1]]  # of equal ones the highest threshold
        some = most > 0
        thresholds = np.where(some, self.cut[at], self.above)
        return thresholds, float(self.true[at[some]].sum()), float(self.predicted[at[some]].sum())

    def optimum(self, penalty: float) -> NDArray[np.float32]:
        """Return the thresholds that maximise the objective less a penalty for lacking precision."""
        if penalty not in self._optima:
            self._optima[penalty] = self._optimum(penalty)
        return self._optima[penalty]

    def _optimum(self, penalty: float) -> NDArray[np.float32]:
        lack: Any = 0.0
        if self.min_precision is not None:
            lack = penalty * (self.true - self.min_precision * self.predicted)
        if self.objective == "macro_f1":
            f1 = 2 * self.true / (self.predicted + self.pairs.right_of_label[self.labels])
            return self.best(f1 + lack)[0]
        ratio = 0.0
        for _ in range(_MOST_ROUNDS):
            thresholds, true, predicted = self.best(2 * self.true - ratio * self.predicted + lack)
            new = 2 * true / (predicted + self.pairs.n_right)
            if new <= ratio + 1e-12:
                break
            ratio = new
        return thresholds


def _penalties(min_precision: float | None) -> Iterator[float]:
    yield 0.0
    if min_precision is not None:
        yield from np.geomspace(1e-3, 1e6, 37)


def _shrunk(cuts: _LabelCuts, shrinkage: float, common: float) -> NDArray[np.float32] | None:
    """Return each label's threshold; None where none between the best and the common one have the precision."""
    pairs, least = cuts.pairs, cuts.min_precision
    for penalty in _penalties(least):
        own = _mixed(pairs, cuts, cuts.optimum(penalty), shrinkage, common)
        if least is None:
            return own
        true, predicted = pairs.counts(pairs.scores >= own[pairs.labels])
        if predicted.any() and true.sum() >= least * predicted.sum():
            return own
    return None


def _mixed(
    pairs: _Pairs, cuts: _LabelCuts, best: NDArray[np.float32], shrinkage: float, common: float
) -> NDArray[np.float32]:
    """Return means of each label's best threshold and the common one, by the label's right rows and `shrinkage`."""
    own = np.full(pairs.n_labels, common)
    labels = cuts.labels[cuts.start]
    count = pairs.right_of_label[labels].astype(np.float64)
    weight = np.divide(count, count + shrinkage, out=np.zeros(len(count)), where=count > 0)
    own[labels] += weight * (best - common)
    own[labels[weight == 1]] = best[weight == 1]  # without rounding
    return own.astype(np.float32)


def _choose_shrinkage(pairs: _Pairs, objective: str, min_precision: float | None) -> float:
    """Return the shrinkage that is best on rows held out, the largest of equal ones.

    It must have the precision asked for on these rows too: thresholds of rare labels fit the rows they were chosen on.
    """
    fold_of_row = np.random.default_rng(0).permutation(pairs.n_rows) % _FOLDS
    true, predicted = np.zeros((2, len(SHRINKAGES), pairs.n_labels), np.int64)
    for held_out in range(_FOLDS):
        rest, test = pairs.of_rows(fold_of_row != held_out), pairs.of_rows(fold_of_row == held_out)
        if not rest.right.any():
            return np.inf
        try:
            common = _best_common(rest, objective, min_precision)
        except InputError:  # some folds may lack the precision that all rows together have
            return np.inf
        cuts = _LabelCuts(rest, objective, min_precision)
        for i, shrinkage in enumerate(SHRINKAGES):
            own = None if np.isinf(shrinkage) else _shrunk(cuts, shrinkage, common)
            limit = np.float32(common) if own is None else own[test.labels]
            more_true, more = test.counts(test.scores >= limit)
            true[i] += more_true
            predicted[i] += more
    which, least = OBJECTIVES.index(objective), min_precision or 0.0
    best, best_value = np.inf, -1.0
    for i in reversed(range(len(SHRINKAGES))):
        value = pairs.figures(true[i], predicted[i])[which]
        precise = np.isinf(SHRINKAGES[i]) or true[i].sum() >= least * predicted[i].sum()
        if precise and value > best_value:
            best, best_value = SHRINKAGES[i], value
    return best


def _thresholds(
    pairs: _Pairs,
    common: float,
    own: NDArray[np.float32] | None,
    objective: str,
    shrinkage: float,
    curve: PrecisionCurve,
) -> Thresholds:
    true, predicted = pairs.counts(pairs.scores >= (np.float32(common) if own is None else own[pairs.labels]))
    return Thresholds(
        threshold=common,
        label_thresholds=own,
        objective=objective,
        value=pairs.figures(true, predicted)[OBJECTIVES.index(objective)],
        precision=float(true.sum() / max(1, predicted.sum())),
        recall=float(true.sum() / pairs.n_right),
        shrinkage=shrinkage,
        curve=curve,
    )
