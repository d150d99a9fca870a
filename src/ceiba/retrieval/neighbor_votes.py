"""Labels of the nearest training rows, as votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import COUNT, NOT_NEGATIVE, check
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.retrieval.ranked import Ranked

_TYPES: dict[str, Any] = {"ptr": np.int64, "indices": np.int32, "n_labels": np.int64}
_ALL = np.iinfo(np.int64).max


class NeighborVotes:
    """Ranks labels by the votes of a query's nearest rows (k-nearest-neighbor classification).

    A row of score s votes for each of its labels with s to the power of `power`. A label's score is the sum of its
    votes, divided by the sum of what all the query's rows could vote. So it is between 0 and 1. A row of a score of 0
    or less has no vote.

    Parameters
    ----------
    Y : sparse array of shape (N, L)
        The labels of each row in canonical CSR form. Stored values do not count.

    Notes
    -----
    Votes are summed in double precision, in the order of a query's rows. Equal scores are in the order of the labels.
    The result does not depend on the number of threads. Nothing changes after `__init__`, so any number of threads may
    use an object at once.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from ceiba.retrieval.neighbor_votes import NeighborVotes
    >>> from ceiba.retrieval.ranked import Ranked
    >>> votes = NeighborVotes(sp.csr_array([[1, 0, 1], [0, 1, 0], [0, 0, 1]]))
    >>> neighbors = Ranked(np.array([0, 2]), np.array([2, 1], np.int32), np.array([0.75, 0.25], np.float32))
    >>> found = votes.rank(neighbors, n=2)
    >>> found.ids.tolist(), found.scores.tolist()
    ([2, 1], [0.75, 0.25])
    """

    def __init__(self, Y: Any):
        ptr, indices = np.ascontiguousarray(Y.indptr, np.int64), np.ascontiguousarray(Y.indices, np.int32)
        try:
            self._hold(ptr, indices, Y.shape[1])
        except ValueError as error:
            raise InputError(f"Y is not a valid sparse matrix: {error}.") from None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> NeighborVotes:
        """Return votes of the arrays of others (`arrays`), which are checked and kept without a copy.

        Raises
        ------
        ModelFormatError
            When an array is missing, or the arrays are not those of labels of rows.
        """
        for name, kind in _TYPES.items():
            array = arrays.get(name)
            if array is None or array.dtype != kind or array.ndim != 1:
                raise ModelFormatError(
                    f"The neighbors' labels are damaged: {name!r} must be a list of {np.dtype(kind)}."
                )
        if len(arrays["n_labels"]) != 1:
            raise ModelFormatError("The neighbors' labels are damaged: 'n_labels' must be one number.")
        self = cls.__new__(cls)
        try:
            self._hold(
                np.ascontiguousarray(arrays["ptr"]), np.ascontiguousarray(arrays["indices"]), int(arrays["n_labels"][0])
            )
        except ValueError as error:
            raise ModelFormatError(f"The neighbors' labels are damaged: {error}.") from None
        return self

    def _hold(self, ptr: NDArray[np.int64], indices: NDArray[np.int32], n_labels: int) -> None:
        self._votes = core.NeighborVotes(ptr, indices, n_labels)
        self._ptr, self._indices, self.n_labels = ptr, indices, n_labels

    @property
    def n_rows(self) -> int:
        """N, the number of rows that can vote."""
        return len(self._ptr) - 1

    def labels_of(self, row: int) -> NDArray[np.int32]:
        """Return the labels of a row."""
        return self._indices[self._ptr[row] : self._ptr[row + 1]]

    def arrays(self) -> dict[str, NDArray]:
        """Return the labels of rows as arrays, to be saved; see `from_arrays`."""
        return {"ptr": self._ptr, "indices": self._indices, "n_labels": np.array([self.n_labels], np.int64)}

    def __reduce__(self) -> Any:
        return NeighborVotes.from_arrays, (self.arrays(),)

    def rank(self, neighbors: Ranked, n: int | None = None, *, power: float = 1.0, n_threads: int = 1) -> Ranked:
        """Return the labels of the most votes.

        Parameters
        ----------
        neighbors : Ranked
            The rows of each query and their scores, such as `SparseIndex.search` returns them.
        n : int or None, default=None
            The most labels of a query; None returns all that have a vote.
        power : float, default=1.0
            How much more near rows count than far ones. With 0 all count the same.
        n_threads : int, default=1

        Raises
        ------
        InputError
            When there is no such row, or a score is not finite.
        """
        if n is not None:
            check("n", n, [COUNT], "NeighborVotes.rank")
        given = _checked(neighbors, power, n_threads, "NeighborVotes.rank")
        try:
            return Ranked(*self._votes.rank(*given, power, _ALL if n is None else min(n, _ALL), n_threads))
        except ValueError as error:
            raise InputError(f"neighbors: {error}.") from None

    def score(
        self,
        neighbors: Ranked,
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        power: float = 1.0,
        n_threads: int = 1,
    ) -> NDArray[np.float32]:
        """Return the same scores of given labels of each query, in their order; 0 for labels without a vote.

        Parameters
        ----------
        neighbors : Ranked
        ptr : ndarray of shape (n_queries + 1,), int64
            Where the labels of each query begin and end.
        labels : ndarray of int32
        power : float, default=1.0
        n_threads : int, default=1

        Raises
        ------
        InputError
            When there is no such row or label, or a score is not finite.
        """
        given = _checked(neighbors, power, n_threads, "NeighborVotes.score")
        pairs = np.ascontiguousarray(ptr, np.int64), np.ascontiguousarray(labels, np.int32)
        try:
            return self._votes.score(*given, power, *pairs, n_threads)
        except ValueError as error:
            raise InputError(f"neighbors or labels: {error}.") from None


def _checked(neighbors: Ranked, power: float, n_threads: int, owner: str) -> tuple[NDArray, ...]:
    check("power", power, [NOT_NEGATIVE], owner)
    check("n_threads", n_threads, [COUNT], owner)
    if neighbors.ids.dtype.kind not in "iu" or neighbors.ptr.dtype.kind not in "iu":
        raise InputTypeError(f"{owner}: neighbors must hold row numbers.")
    kinds = (np.int64, np.int32, np.float32)
    return tuple(np.ascontiguousarray(part, kind) for part, kind in zip(neighbors, kinds, strict=True))
