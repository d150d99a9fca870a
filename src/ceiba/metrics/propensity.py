"""Label propensities: how likely a relevant label was marked as such, by its frequency in training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ceiba._params import Interval, check
from ceiba.errors import InputError
from ceiba.metrics.containers import Pattern, Rows, read_positives
from ceiba.metrics.labels import CommonColumns, pattern


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """How often each label is positive in training: all that propensities need of ``Y_train``.

    Parameters
    ----------
    counts : array-like of shape (L,)
        Training instances with each label, >= 0.
    n : int
        Training instances N, >= 1.
    """

    counts: Any
    n: int
    name: ClassVar[str] = "Y_train"

    def __post_init__(self) -> None:
        check("n", self.n, [Interval(int, 1)], "LabelCounts")
        counts = np.asarray(self.counts)
        if counts.ndim != 1 or counts.dtype.kind not in "iuf":
            raise InputError(f"counts of LabelCounts must be a vector of numbers. Got shape {counts.shape}.")
        if counts.size and not (counts.min() >= 0 and counts.max() <= self.n):
            raise InputError(f"counts of LabelCounts must be in [0, n={self.n}].")
        object.__setattr__(self, "counts", counts)

    @property
    def n_labels(self) -> int:
        return len(self.counts)


def inverse_propensity(Y_train: Any, *, A: float = 0.55, B: float = 1.5, classes: Any = None) -> npt.NDArray[Any]:
    """Return the inverse propensity of each label.

    ``1 + C (n_l + B)^-A`` with ``C = (ln N - 1) (B + 1)^A``, where ``n_l`` of the N training instances have
    label l.  A label that training never saw has ``n_l = 0``.  With N < e (two instances or one) C would be
    negative and a weight could be too; it is taken as 0 there, so every weight is 1.

    Parameters
    ----------
    Y_train : container of positives, or LabelCounts
        The labels of the training set; see `ceiba.metrics` for the containers.
    A, B : float, default=0.55 and 1.5
        Parameters of the propensity model, A >= 0 and B > 0.  The XMC repository uses 0.5 and 0.4 for its
        Wikipedia sets, 0.6 and 2.6 for its Amazon sets, and the defaults for all others.
    classes : array-like of shape (L,), default=None
        The label of each column, where ``Y_train`` lists labels.  None: the distinct labels in sorted order.

    Returns
    -------
    ndarray of shape (L,)
        Weights, >= 1 and without unit.

    Raises
    ------
    InputError, InputTypeError
        ``Y_train`` has no rows or cannot be read; A or B is out of range.

    References
    ----------
    Jain, Prabhu and Varma, "Extreme Multi-label Loss Functions for Recommendation, Tagging, Ranking & Other
    Missing Label Applications", KDD 2016.

    Examples
    --------
    >>> from ceiba.metrics import LabelCounts, inverse_propensity
    >>> inverse_propensity(LabelCounts([0, 10, 1000], n=10_000)).round(2)
    array([11.87,  4.55,  1.3 ])
    """
    check_propensity_model(A, B, "inverse_propensity")
    train = read_training(Y_train)
    return weights(train, CommonColumns([train], classes), A, B)


def read_training(Y_train: Any) -> Pattern | Rows | LabelCounts:
    """Read ``Y_train``: a container of positives, or their counts alone."""
    return Y_train if isinstance(Y_train, LabelCounts) else read_positives(Y_train, "Y_train")


def weights(train: Pattern | Rows | LabelCounts, space: CommonColumns, A: float, B: float) -> npt.NDArray[Any]:
    """Return the inverse propensity of every column of a label space."""
    counts, n = training_counts(train, space), train.n
    C = max(0.0, np.log(n) - 1) * (B + 1) ** A
    return 1 + C * np.power(counts + float(B), -float(A))


def training_counts(train: Pattern | Rows | LabelCounts, space: CommonColumns) -> npt.NDArray[Any]:
    """Return the training instances of every column of a label space."""
    if isinstance(train, LabelCounts):
        # A label space may have further columns, of labels that only the test set names.
        return np.pad(train.counts, (0, space.size - train.n_labels))
    return np.bincount(pattern(train, space).indices, minlength=space.size)


def check_propensity_model(A: float, B: float, owner: str) -> None:
    """Raise InputError unless A and B are parameters of a propensity model."""
    check("A", A, [Interval(float, 0, math.inf, closed="left")], owner)
    check("B", B, [Interval(float, 0, math.inf, closed="neither")], owner)
