"""Two rankings of the same rows: differences of their figures, with intervals from a paired bootstrap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ceiba._params import Interval, check
from ceiba.errors import InputError
from ceiba.metrics.containers import IntArray, Pattern, read_positives, read_scores
from ceiba.metrics.evaluate import longest_row, sizes_of
from ceiba.metrics.formulas import PLAIN, PSP, Fraction
from ceiba.metrics.labels import CommonColumns, pattern
from ceiba.metrics.propensity import check_propensity_model, read_training, weights
from ceiba.metrics.ranking import CELLS, best_labels
from ceiba.metrics.tally import Vector, discounts, places, row_blocks


class Difference(NamedTuple):
    """A metric of two rankings, in percent.

    Attributes
    ----------
    a, b : float
        The metric of each ranking, as `evaluate` gives it.
    difference : float
        b - a.
    low, high : float
        Ends of the interval of the difference.
    p_value : float
        Two-sided: twice the share of draws whose difference has the other sign, or is 0.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float


def compare(
    Y_true: Any,
    Y_score_a: Any,
    Y_score_b: Any,
    ks: Iterable[int] = (1, 3, 5),
    Y_train: Any = None,
    *,
    A: float = 0.55,
    B: float = 1.5,
    classes: Any = None,
    n_bootstraps: int = 1000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Difference]:
    """Compare two rankings of the same rows by a paired bootstrap.

    Rows are drawn with replacement, as many as there are, and both rankings are measured on the same draw. That is done
    `n_bootstraps` times. The interval of a difference holds the middle `confidence` of its values. The p-value is twice
    the smaller share of values on one side of 0, those at 0 included, where the observed difference counts as a value.

    Parameters
    ----------
    Y_true : container of positives, n rows
        The right labels of each row; see `ceiba.metrics` for the containers.
    Y_score_a, Y_score_b : containers of scores or rankings, n rows
        What the two models answer.
    ks : int or iterable of int, default=(1, 3, 5)
        Numbers of top labels to look at.
    Y_train : container of positives or LabelCounts, default=None
        Labels of the training set. With it PSP@k is compared too.
    A, B : float, default=0.55 and 1.5
        Parameters of the propensities, see `inverse_propensity`.
    classes : array-like of shape (L,), default=None
        The label of each column; needed where one container lists names and another is a matrix.
    n_bootstraps : int, default=1000
        Draws of rows.
    confidence : float, default=0.95
        The share of the values in an interval.
    random_state : int, default=0
        Seed of the draws; the same one gives the same figures.

    Returns
    -------
    dict of str to Difference
        "P@1", ..., "nDCG@1", ..., "R@1", ... and, with `Y_train`, "PSP@1", ...

    Raises
    ------
    InputError, InputTypeError
        As for `evaluate`; also where a parameter is out of range.

    References
    ----------
    - Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: percentile intervals.
    - Koehn, "Statistical significance tests for machine translation evaluation", EMNLP 2004: the paired bootstrap.

    Examples
    --------
    >>> from ceiba import metrics
    >>> Y_true = [["cat"], ["dog"], ["cat"], ["seal"]]
    >>> a, b = [["cat"], ["cat"], ["dog"], ["cat"]], [["cat"], ["dog"], ["cat"], ["cat"]]
    >>> found = metrics.compare(Y_true, a, b, ks=1)
    >>> found["P@1"].a, found["P@1"].b, found["P@1"].difference
    (25.0, 75.0, 50.0)
    """
    sizes = sizes_of(ks, "ks", "compare")
    check("n_bootstraps", n_bootstraps, [Interval(int, 1)], "compare")
    check("confidence", confidence, [Interval(float, 0, 1, closed="neither")], "compare")
    check("random_state", random_state, [Interval(int, 0)], "compare")
    check_propensity_model(A, B, "compare")
    true = read_positives(Y_true, "Y_true")
    both = [read_scores(given, name) for given, name in ((Y_score_a, "Y_score_a"), (Y_score_b, "Y_score_b"))]
    for scores in both:
        if scores.n != true.n:
            raise InputError(f"Y_true has {true.n} rows but {scores.name} has {scores.n}.")
    train = None if Y_train is None else read_training(Y_train)
    space = CommonColumns([each for each in (true, *both, train) if each is not None], classes)
    w = None if train is None else weights(train, space, A, B)
    positives = pattern(true, space)
    metrics = PLAIN | ({"PSP": PSP} if w is not None else {})
    of_rows = []
    for scores in both:
        top = best_labels(scores, max(1, min(max(sizes), longest_row(scores))), space)
        of_rows.append(_row_values(top, positives, sizes, w, metrics.values()))
    names = [f"{name}@{k}" for name in metrics for k in sizes]
    denominators = of_rows[0][1]  # of the positives alone, the same for both
    columns = np.hstack([of_rows[0][0], of_rows[1][0], denominators])
    observed = _figures(np.ones((1, true.n)) @ columns)
    drawn = np.vstack([_figures(draw @ columns) for draw in _draws(true.n, n_bootstraps, random_state)])
    a, b = (observed[0, i * len(names) : (i + 1) * len(names)] for i in (0, 1))
    differences = drawn[:, len(names) :] - drawn[:, : len(names)]
    edge = (1 - confidence) / 2
    low, high = np.quantile(differences, [edge, 1 - edge], axis=0)
    tolerance = 1e-9  # rounding in sums of shares is no difference
    below, above = (differences <= tolerance).sum(0) + 1, (differences >= -tolerance).sum(0) + 1
    p_values = np.minimum(1.0, 2 * np.minimum(below, above) / (n_bootstraps + 1))
    return {
        name: Difference(*(float(each[i]) for each in (a, b, b - a, low, high, p_values)))
        for i, name in enumerate(names)
    }


def _figures(sums: Vector) -> Vector:
    """Return the figures of both rankings, in percent, from sums over rows: numerators of each, then denominators."""
    m = sums.shape[1] // 3
    denominators = np.hstack([sums[:, 2 * m :]] * 2)
    return 100 * np.divide(sums[:, : 2 * m], denominators, out=np.zeros_like(denominators), where=denominators != 0)


def _draws(n: int, times: int, seed: int) -> Iterable[npt.NDArray[np.float64]]:
    """Yield how often each row is drawn, some draws at a time."""
    random = np.random.default_rng(seed)
    step = max(1, CELLS // n)
    for first in range(0, times, step):
        rows = min(step, times - first)
        drawn = random.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def _row_values(
    top: IntArray, positives: Pattern, ks: Sequence[int], w: Vector | None, metrics: Iterable[Fraction]
) -> tuple[Vector, Vector]:
    """Return numerator and denominator of every metric for each row, shape (n, metrics * ks)."""
    numerators, denominators = [], []
    limited = places(ks, positives.n_labels, top)
    for block in row_blocks(top, positives, limited, discounts(limited), w):
        sums = block.each_row(ks, limited)
        shape = sums.hits.shape
        numerators.append(np.hstack([np.broadcast_to(metric.numerator(sums), shape) for metric in metrics]))
        denominators.append(np.hstack([np.broadcast_to(metric.denominator(sums), shape) for metric in metrics]))
    return np.vstack(numerators), np.vstack(denominators)
