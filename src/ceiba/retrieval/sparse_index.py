"""Exact nearest rows of a sparse matrix by inner product, from an inverted index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ceiba._native import core
from ceiba._params import COUNT, NOT_NEGATIVE, check
from ceiba._progress import Report
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.retrieval.ranked import Ranked

_TYPES: dict[str, Any] = {
    "indptr": np.int64,
    "indices": np.int32,
    "data": np.float32,
    "list_ptr": np.int64,
    "list_rows": np.int32,
    "list_weights": np.uint8,
    "list_step": np.float32,
    "shape": np.int64,
}


class SparseIndex:
    """Finds the rows of a sparse matrix that are nearest to a query: those of the largest inner products.

    The answer is exact. For rows of length 1, as TF-IDF has them, inner products are cosines. An index does not change
    after it is made, so any number of threads may search it.

    Parameters
    ----------
    matrix : FeatureMatrix, sparse matrix or array-like of shape (N, D)
        The rows to be found, such as training texts or the texts of labels. Of a `FeatureMatrix` only the sparse part
        counts. Its arrays are kept, not copied.

    Notes
    -----
    Each feature has a list of the rows with a value for it. The values are kept in 255 steps, rounded up. A search
    orders the lists by what they can add to a score. It skips the last lists while a row that is in these alone cannot
    be among the n best. This is MaxScore, with the bound of Cauchy and Schwarz as a second one. The other lists are
    summed up in blocks of 16,384 rows. Where many rows may reach the n-th best score so far, skipped lists are read
    too, one by one, while that costs less than to score these rows. Rows that are left are scored exactly from the
    matrix.

    An index takes 13 bytes for each value of the matrix, 8 for each row and 12 for each feature. Negative values have
    lists of their own.

    References
    ----------
    - Turtle and Flood, "Query evaluation: strategies and optimizations", Information Processing & Management, 1995.
    - Li et al., "Index-based, high-dimensional, cosine threshold querying with optimality guarantees", ICDT 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from ceiba.retrieval.sparse_index import SparseIndex
    >>> index = SparseIndex(np.array([[1, 0, 0], [0, 0.6, 0.8], [0.8, 0.6, 0]]))
    >>> found = index.search(np.array([[1, 0, 0], [0, 0, 1]]), n=2)
    >>> found.ptr.tolist(), found.ids.tolist(), found.scores.round(3)
    ([0, 2, 3], [0, 2, 1], array([1. , 0.8, 0.8], dtype=float32))
    """

    def __init__(self, matrix: Any):
        X = as_features(matrix, name="matrix", allow_empty=True)
        if X.dense is not None and not isinstance(matrix, FeatureMatrix):
            X = _sparse(X)
        rows = (X.indptr, X.indices, X.data)
        lists = core.invert_rows(*rows, X.n_sparse)
        self._hold((*rows, *lists), X.n_sparse)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> SparseIndex:
        """Return an index of the arrays of another (`arrays`), which are checked and kept without a copy.

        Raises
        ------
        ModelFormatError
            When an array is missing, or the arrays are not those of an index.
        """
        for name, kind in _TYPES.items():
            if name not in arrays:
                raise ModelFormatError(f"The nearest-neighbour index is damaged: it has no array {name!r}.")
            array = arrays[name]
            if array.dtype != kind or array.ndim != 1:
                raise ModelFormatError(
                    f"The nearest-neighbour index is damaged: {name!r} must be a list of {np.dtype(kind)}. "
                    f"Got {array.dtype} of shape {array.shape} instead."
                )
        shape = arrays["shape"]
        held = tuple(np.ascontiguousarray(arrays[name]) for name in _TYPES if name != "shape")
        if len(shape) != 2 or len(held[0]) != shape[0] + 1 or not 0 <= shape[1] <= np.iinfo(np.int32).max:
            raise ModelFormatError("The nearest-neighbour index is damaged: 'shape' does not fit 'indptr'.")
        index = cls.__new__(cls)
        try:
            index._hold(held, int(shape[1]))
        except ValueError as error:
            raise ModelFormatError(f"The nearest-neighbour index is damaged: {error}.") from None
        return index

    def _hold(self, arrays: tuple[NDArray, ...], n_features: int) -> None:
        self._index = core.SparseIndex(*arrays[:3], n_features, *arrays[3:])
        self._arrays = arrays
        self.n_features = n_features

    @property
    def n_rows(self) -> int:
        """N, the number of rows."""
        return len(self._arrays[0]) - 1

    @property
    def nbytes(self) -> int:
        """The bytes of the arrays, those of the matrix included."""
        return sum(array.nbytes for array in self._arrays)

    def arrays(self) -> dict[str, NDArray]:
        """Return the arrays of the index, to be saved; see `from_arrays`."""
        return dict(zip(_TYPES, (*self._arrays, np.array([self.n_rows, self.n_features], np.int64)), strict=True))

    def __reduce__(self) -> Any:
        return SparseIndex.from_arrays, (self.arrays(),)

    def search(
        self,
        Q: Any,
        n: int,
        *,
        exclude: ArrayLike | None = None,
        least: float = 0.0,
        n_threads: int = 1,
        progress: Report | None = None,
    ) -> Ranked:
        """Return the n nearest rows of each query.

        Parameters
        ----------
        Q : FeatureMatrix, sparse matrix or array-like of shape (n_queries, D)
            Of a `FeatureMatrix` only the sparse part counts.
        n : int
            The most rows of a query.
        exclude : array-like of shape (n_queries,), default=None
            A row that each query must not get, such as itself; -1 for none.
        least : float, default=0.0
            Rows of a lower score are left out. Rows of a score of 0 or less always are.
        n_threads : int, default=1
            The result does not depend on it. A few queries take one thread.
        progress : callable, default=None
            Called now and then with the number of queries done.

        Returns
        -------
        Ranked
            Row numbers and scores, best first. Equal scores are in the order of the rows. A score is summed in double
            precision and rounded once.

        Raises
        ------
        InputError
            When Q has another number of features, or an argument is out of range.
        """
        owner = "SparseIndex.search"
        check("n", n, [COUNT], owner)
        check("least", least, [NOT_NEGATIVE], owner)
        check("n_threads", n_threads, [COUNT], owner)
        rows = self._queries(Q)
        if exclude is not None:
            exclude = self._excluded(exclude, len(rows[0]) - 1)
        return Ranked(*self._index.search(*rows, min(n, self.n_rows + 1), exclude, least, n_threads, progress))

    def score(
        self, Q: Any, ptr: NDArray[np.int64], rows: NDArray[np.int32], *, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Return the inner products of each query with given rows, in their order.

        Parameters
        ----------
        Q : FeatureMatrix, sparse matrix or array-like of shape (n_queries, D)
        ptr : ndarray of shape (n_queries + 1,), int64
            Where the rows of each query begin and end.
        rows : ndarray of int32
        n_threads : int, default=1

        Raises
        ------
        InputError
            When `ptr` does not fit Q and `rows`, or there is no such row.
        """
        check("n_threads", n_threads, [COUNT], "SparseIndex.score")
        try:
            return self._index.score(
                *self._queries(Q), np.ascontiguousarray(ptr, np.int64), np.ascontiguousarray(rows, np.int32), n_threads
            )
        except ValueError as error:
            raise InputError(f"SparseIndex.score: {error}.") from None

    def _queries(self, Q: Any) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        if isinstance(Q, FeatureMatrix):
            if Q.n_sparse != self.n_features:
                raise InputError(f"Q has {Q.n_sparse} sparse features, the index has {self.n_features}.")
        else:
            Q = as_features(Q, self.n_features, name="Q", owner="the index", allow_empty=True)
            if Q.dense is not None:
                Q = _sparse(Q)
        return Q.indptr, Q.indices, Q.data

    def _excluded(self, exclude: ArrayLike, n_queries: int) -> NDArray[np.int32]:
        array = np.asarray(exclude)
        if array.shape != (n_queries,):
            raise InputError(f"exclude must have one row number for each query ({n_queries}). Got {array.shape}.")
        if array.dtype.kind not in "iu":
            raise InputTypeError(f"exclude must hold row numbers. Got values of type {array.dtype} instead.")
        if array.size and (array.min() < -1 or array.max() >= self.n_rows):
            raise InputError(f"exclude must hold row numbers below {self.n_rows}, or -1 for none.")
        return np.ascontiguousarray(array, np.int32)


def _sparse(X: FeatureMatrix) -> FeatureMatrix:
    """Return features whose dense part is a part of the sparse one."""
    return as_features(X.to_scipy(), allow_empty=True)
