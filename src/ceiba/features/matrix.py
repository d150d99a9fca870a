"""Feature matrices as callers have them to the one form the core takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.data.csr import compressed_fault, coordinate_fault, has_canonical_rows
from ceiba.data.frames import as_numbers, is_table, numeric_columns
from ceiba.errors import InputError, InputTypeError, RowError
from ceiba.features.vector_rows import read_vectors

_MOST_FEATURES = np.iinfo(np.int32).max
_CSR_TYPES = (sp.csr_matrix, sp.csr_array)
_NOTHING = np.empty(0, np.int32), np.empty(0, np.float32)
EMBEDDING = "embedding"  # the block that encoders fill
DENSE = "dense"  # the block of features that the caller gave as an array
_LARGEST = 1e15  # squares of larger values leave no room for a sum in float32


class Block(NamedTuple):
    """Dense features that belong together: the columns of `FeatureMatrix.dense` from `begin` up to `end`."""

    name: str
    begin: int
    end: int


@dataclass(frozen=True, eq=False, init=False)
class FeatureMatrix:
    """X as the core takes it: a sparse part and named blocks of dense features, such as embeddings.

    Attributes
    ----------
    indptr, indices, data : ndarray of int64, int32 and float32
        The sparse part as CSR: columns ascending, values finite.
    n_sparse : int
        The number of sparse features.
    dense : ndarray of shape (N, d), float32, or None
        All blocks side by side, C-contiguous. With one block it is that block, not a copy.
    blocks : tuple of Block
        The name and the columns of each block.

    Notes
    -----
    Features are numbered in this order: sparse features from 0, then the blocks in their order. Column j of `dense` is
    feature ``n_sparse + j``. Callers ask for a block by its name (`block`).
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]
    n_sparse: int
    dense: NDArray[np.float32] | None
    blocks: tuple[Block, ...]
    _part_of: tuple[FeatureMatrix, int] | None = field(repr=False, compare=False)  # a matrix, and the first row there

    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        data: NDArray[np.float32],
        n_sparse: int,
        dense: NDArray[np.float32] | None = None,
        blocks: tuple[Block, ...] = (),
        _part_of: tuple[FeatureMatrix, int] | None = None,
    ):
        # The method that a frozen dataclass is given takes a microsecond, which counts where queries come one by one.
        self.__dict__.update(
            indptr=indptr,
            indices=indices,
            data=data,
            n_sparse=n_sparse,
            dense=dense,
            blocks=blocks,
            _part_of=_part_of,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # without the matrix that it is a part of: a copy elsewhere shares no memory with that
        return FeatureMatrix, (self.indptr, self.indices, self.data, self.n_sparse, self.dense, self.blocks)

    @classmethod
    def from_block(cls, name: str, rows: NDArray) -> FeatureMatrix:
        """Return features that are all dense: one block."""
        return cls(np.zeros(len(rows) + 1, np.int64), *_NOTHING, 0).with_block(name, rows)

    @property
    def n_rows(self) -> int:
        """N, the number of instances."""
        return len(self.indptr) - 1

    @property
    def n_features(self) -> int:
        """D, the number of sparse and dense features."""
        return self.n_sparse if self.dense is None else self.n_sparse + self.dense.shape[1]

    def block(self, name: str) -> NDArray[np.float32]:
        """Return the block of that name, of shape (N, its width); a view where there are several.

        Raises
        ------
        InputError
            When there is no such block.
        """
        found = self._columns(name)
        assert self.dense is not None
        return self.dense if len(self.blocks) == 1 else self.dense[:, found.begin : found.end]

    def block_features(self, name: str) -> range:
        """Return the numbers of a block's features."""
        found = self._columns(name)
        return range(self.n_sparse + found.begin, self.n_sparse + found.end)

    def has_block(self, name: str) -> bool:
        """Return whether there is a block of that name."""
        return any(block.name == name for block in self.blocks)

    def _columns(self, name: str) -> Block:
        for block in self.blocks:
            if block.name == name:
                return block
        raise InputError(f"The features have no block {name!r}; they have {[block.name for block in self.blocks]}.")

    def with_block(self, name: str, rows: NDArray) -> FeatureMatrix:
        """Return the same features and one more block after them.

        The first block is taken as it is. A further one is copied beside those before it.

        Raises
        ------
        InputError
            When there is a block of that name, the number of rows differs, or a value is not finite.
        """
        if self.has_block(name):
            raise InputError(f"The features have a block {name!r} already.")
        if len(rows) != self.n_rows:
            raise InputError(f"The block {name!r} has {len(rows)} rows, the features have {self.n_rows}.")
        dense, begin = finite(rows, name), 0
        block = Block(name, 0, dense.shape[1])
        if self.dense is not None:
            begin = self.dense.shape[1]
            block = Block(name, begin, begin + dense.shape[1])
            dense = np.concatenate([self.dense, dense], axis=1)
        return FeatureMatrix(self.indptr, self.indices, self.data, self.n_sparse, dense, (*self.blocks, block))

    def arrays(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the arrays in the order the core's functions take them."""
        return self.indptr, self.indices, self.data, self.dense

    def row_sizes(self) -> NDArray[np.int64]:
        """Return the number of stored values of each row."""
        return np.diff(self.indptr) + (self.n_features - self.n_sparse)

    def sparse(self) -> sp.csr_array:
        """Return the sparse part as a SciPy array that shares the memory."""
        return sp.csr_array((self.data, self.indices, self.indptr), shape=(self.n_rows, self.n_sparse))

    def sparse_part(self) -> FeatureMatrix:
        """Return the features without the dense blocks; they share the memory."""
        return FeatureMatrix(self.indptr, self.indices, self.data, self.n_sparse)

    def rows(self, numbers: NDArray[np.intp]) -> FeatureMatrix:
        """Return some rows, in that order."""
        picked = self.sparse()[numbers]
        indptr, indices = picked.indptr.astype(np.int64), picked.indices.astype(np.int32, copy=False)
        dense = None if self.dense is None else self.dense[numbers]
        return FeatureMatrix(indptr, indices, picked.data, self.n_sparse, dense, self.blocks)

    def part(self, begin: int, end: int) -> FeatureMatrix:
        """Return the rows from `begin` up to `end`; they share the memory."""
        first, last = self.indptr[begin], self.indptr[end]
        dense = None if self.dense is None else self.dense[begin:end]
        whole, offset = (self, 0) if self._part_of is None else self._part_of
        return FeatureMatrix(
            self.indptr[begin : end + 1] - first,
            self.indices[first:last],
            self.data[first:last],
            self.n_sparse,
            dense,
            self.blocks,
            (whole, offset + begin),
        )

    def to_scipy(self) -> sp.csr_array:
        """Return a SciPy array that shares the memory; where there are dense features, a copy of everything."""
        if self.dense is None:
            return self.sparse()
        return sp.csr_array(sp.hstack([self.sparse(), sp.csr_array(self.dense)], format="csr"))

    def to_scipy_matrix(self) -> sp.csr_matrix:
        """Return the sparse part as a SciPy matrix that shares the memory, with 32-bit offsets where they suffice."""
        matrix: Any = sp.csr_matrix((self.n_rows, self.n_sparse), dtype=np.float32)  # type: ignore[arg-type]
        few = self.indptr[-1] <= np.iinfo(np.int32).max
        matrix.indptr = self.indptr.astype(np.int32) if few else self.indptr
        matrix.indices = self.indices if few else self.indices.astype(np.int64)
        matrix.data = self.data
        return matrix


def stacked(above: FeatureMatrix, below: FeatureMatrix) -> FeatureMatrix:
    """Return the rows of two matrices of the same features, one after the other.

    The blocks are those of `above`; `below` is brought into that form. Two parts of one matrix that follow each other
    are that matrix's rows again, without a copy.
    """
    if above.n_features != below.n_features:
        raise InputError(f"label_texts has {below.n_features} features, X has {above.n_features}.")
    if above._part_of is not None and below._part_of is not None:
        (whole, begin), (other, middle) = above._part_of, below._part_of
        if whole is other and begin + above.n_rows == middle:
            return whole.part(begin, middle + below.n_rows)
    if above.n_sparse != below.n_sparse:
        below = _split_at(below, above.n_sparse)
    dense = None
    if above.dense is not None:
        more = np.empty((below.n_rows, 0), np.float32) if below.dense is None else below.dense
        dense = np.concatenate([above.dense, more])
    return FeatureMatrix(
        np.concatenate([above.indptr, above.indptr[-1] + below.indptr[1:]]),
        np.concatenate([above.indices, below.indices]),
        np.concatenate([above.data, below.data]),
        above.n_sparse,
        dense,
        above.blocks,
    )


def _split_at(X: FeatureMatrix, n_sparse: int) -> FeatureMatrix:
    """Return features of which those from `n_sparse` on are dense; none if that is all of them."""
    whole = X.to_scipy()
    sparse = whole[:, :n_sparse]
    dense = None if n_sparse == X.n_features else np.ascontiguousarray(whole[:, n_sparse:].toarray())
    return FeatureMatrix(sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), sparse.data, n_sparse, dense)


def all_sparse(X: FeatureMatrix) -> FeatureMatrix:
    """Return features that were given as a dense array as sparse ones; any others as they are."""
    return X if X.n_sparse else as_features(X.to_scipy(), allow_empty=True)


def as_features(
    X: Any,
    n_features: int | None = None,
    *,
    allow_empty: bool = False,
    name: str = "X",
    owner: str = "the model",
) -> FeatureMatrix:
    """Check numeric features and bring them to the core's form.

    Parameters
    ----------
    X : sparse matrix or array, or array-like, of shape (N, D)
        Features. Stored duplicates of a sparse matrix add up. An array stays dense when at least half of its values
        are not zero. `FeatureMatrix` objects are checked for their number alone.
    n_features : int or None, default=None
        D of the model, which X must have.
    allow_empty : bool, default=False
        Whether N may be 0.
    name, owner : str, default="X", "the model"
        What messages call X, and who expects `n_features`.

    Raises
    ------
    InputTypeError
        When X cannot be read as numbers.
    InputError
        When X is not two-dimensional, is empty, has another number of features, holds NaN, infinity or values that
        are too large, or is a sparse matrix whose arrays do not fit together.
    """
    quick = _as_it_is(X, n_features)
    if quick is not None:
        return quick
    if isinstance(X, FeatureMatrix):
        _check_shape((X.n_rows, X.n_features), n_features, allow_empty, name, owner)
        return X
    if not sp.issparse(X):
        X = _array(X, name)
        _check_shape(X.shape, n_features, allow_empty, name, owner)
        if X.size and 2 * np.count_nonzero(X) >= X.size:
            return FeatureMatrix.from_block(DENSE, finite(X, name))
        X = sp.csr_array(X if X.dtype.itemsize > 2 or X.dtype.kind != "f" else X.astype(np.float32))
    if X.ndim != 2:
        raise InputError(f"{name} must have 2 dimensions (N, D). Got shape {X.shape} instead. Reshape your data.")
    if X.format != "csr":
        X = _to_csr(X, name)
    _check_shape(X.shape, n_features, allow_empty, name, owner)
    X = _canonical(X, name)
    data = finite(X.data, name, X.indptr)
    return FeatureMatrix(
        X.indptr.astype(np.int64, copy=False), X.indices.astype(np.int32, copy=False), data, X.shape[1]
    )


def _check_shape(shape: tuple[int, ...], n_features: int | None, allow_empty: bool, name: str, owner: str) -> None:
    rows, columns = shape
    if rows == 0 and not allow_empty:
        raise InputError(f"{name} is empty: found array with 0 sample(s) (shape={shape}); a minimum of 1 is required.")
    if columns == 0:
        raise InputError(f"{name} has 0 feature(s) (shape={shape}) while a minimum of 1 is required.")
    if columns > _MOST_FEATURES:
        raise InputError(f"{name} has {columns} features, more than the {_MOST_FEATURES} that ceiba can number.")
    if n_features is not None and columns != n_features:
        raise InputError(f"{name} has {columns} features, but {owner} is expecting {n_features} features as input.")


def finite(data: NDArray, name: str, indptr: NDArray | None = None) -> NDArray[np.float32]:
    """Return real numbers as C-contiguous float32, or say what is wrong with them.

    Parameters
    ----------
    data : ndarray of shape (N, D), or the values of a sparse matrix
    name : str
        What messages call it.
    indptr : ndarray of shape (N + 1,) or None, default=None
        Where the rows of a sparse matrix begin.
    """
    if data.dtype != np.float32:
        if data.dtype.kind not in "fiub":
            kind = "Complex data" if data.dtype.kind == "c" else f"Data of type {data.dtype}"
            raise InputError(f"{kind} not supported in {name}: features must be real numbers.")
        with np.errstate(over="ignore"):
            data = data.astype(np.float32)
    data = np.ascontiguousarray(data)
    flat = data.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.dot(flat, flat) <= _LARGEST**2  # NaN or large where any value is
    if suspect:
        _check_values(data, name, indptr)
    return data


def _as_it_is(X: Any, n_features: int | None) -> FeatureMatrix | None:
    """Return a CSR that needs neither conversion nor an error, checked in one native pass; None for any other X.

    Queries come one by one: this takes a microsecond where the general way takes several.
    """
    if type(X) not in _CSR_TYPES or X.data.dtype != np.float32 or X.indices.dtype != np.int32:
        return None
    shape = X.shape
    if len(shape) != 2 or shape[0] == 0 or shape[1] == 0 or (n_features is not None and shape[1] != n_features):
        return None
    indptr, indices, data = X.indptr.astype(np.int64, copy=False), X.indices, X.data
    if len(indptr) != shape[0] + 1 or not (data.flags.c_contiguous and indices.flags.c_contiguous):
        return None
    if not core.is_canonical(indptr, indices, data, shape[1], _LARGEST):
        return None
    return FeatureMatrix(indptr, indices, data, shape[1])


def _to_csr(X: Any, name: str) -> Any:
    """Convert another sparse format, whose arrays SciPy's native code would not check."""
    fault = None
    if X.format == "coo":
        fault = coordinate_fault(X.coords, X.data, X.shape)
    elif X.format == "csc":
        fault = compressed_fault(X.indptr, X.indices, X.data, *X.shape[::-1])
    if fault is not None:
        raise InputError(f"{name} is not a valid sparse matrix: {fault}.")
    return X.tocsr()


def _canonical(X: Any, name: str) -> Any:
    """Return a CSR with sorted columns and no duplicates; X itself where it is one."""
    fault = compressed_fault(X.indptr, X.indices, X.data, *X.shape)
    if fault is not None:
        raise InputError(f"{name} is not a valid sparse matrix: {fault}.")
    # SciPy's own flag may be out of date: it is kept when the arrays are changed in place
    if not has_canonical_rows(X.indptr, X.indices):
        X = sp.csr_array((X.data.copy(), X.indices.copy(), X.indptr.copy()), shape=X.shape)
        X.sum_duplicates()
    return X


def _check_values(data: NDArray[np.float32], name: str, indptr: NDArray | None) -> None:
    """Raise RowError for the first row with a value that is not finite, or else too large."""
    wrong = ~np.isfinite(data)
    if wrong.any():
        reason = f"contains NaN, infinity or a value too large for float32. Input {name} contains NaN or inf."
    else:
        wrong = np.abs(data) > _LARGEST
        if not wrong.any():
            return
        reason = (
            f"holds a value of magnitude {np.abs(data).max():.3g}, but squares of features must be summed in float32: "
            f"scale the features to magnitudes up to {_LARGEST:.0e}."
        )
    at = int(np.argmax(wrong))  # of all values, one after another
    row = at // data.shape[1] if indptr is None else int(np.searchsorted(indptr, at, side="right")) - 1
    raise RowError(f"{name} {reason} Row {row} is the first such row.", argument=name, row=row, reason=reason)


def _table(X: Any, name: str) -> NDArray:
    """Return a data frame's columns as one array."""
    columns = list(numeric_columns(X, name))
    if not columns:
        raise InputError(f"{name} has 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    return np.column_stack(columns)


def _array(X: Any, name: str) -> NDArray:
    vectors = read_vectors(X, name)
    if vectors is not None:
        return vectors
    if is_table(X):
        return _table(X, name)
    try:
        array = np.asarray(X)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} cannot be read as numbers: {error}") from error
    if array.size == 0 and array.ndim == 1:
        raise InputError(f"{name} is empty: it has no rows.")
    if array.dtype == object and array.ndim == 2:
        array = as_numbers(array, lambda row, column: f"{name}, row {row}, column {column}")
    elif array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputTypeError(f"{name} cannot be read as numbers: {error}") from error
    if array.dtype.kind == "c":
        raise InputError(f"Complex data not supported in {name}: features must be real numbers.")
    if array.dtype.kind not in "fiub":
        held = "strings" if array.dtype.kind in "US" else f"values of type {array.dtype}"
        raise InputTypeError(f"{name} holds {held} where numbers are needed.")
    if array.ndim != 2:
        raise InputError(
            f"{name}: Expected 2D array (N, D). Got shape {array.shape} instead. "
            f"Reshape your data with {name}.reshape(1, -1) for one row."
        )
    return array
