"""What a caller may hand in as labels or scores, read into four plain forms.

Positives become a `Pattern` (a matrix was given) or `Rows` (labels were listed); scores become a
`SparseScores`, a dense float array, or `Rows` (labels listed best first).  Nothing here knows a metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ceiba.data.frames import is_table, numeric_columns
from ceiba.data.indicators import plain_array
from ceiba.errors import InputError, InputTypeError

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Pattern:
    """Positives as columns: row i holds ``indices[indptr[i]:indptr[i + 1]]``, ascending and distinct."""

    indptr: IntArray
    indices: IntArray
    n_labels: int
    name: str

    @property
    def n(self) -> int:
        return len(self.indptr) - 1


@dataclass(frozen=True)
class Rows:
    """Labels listed row by row, before they have columns.

    ``values`` holds the labels themselves where they are ints (``kind`` "ids"), positions in ``names`` where
    they are strings (``kind`` "names"), and -1 in empty places; ``kind`` is "none" where nothing is listed.
    """

    values: IntArray
    indptr: IntArray
    kind: str
    name: str
    names: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.indptr) - 1


@dataclass(frozen=True)
class SparseScores:
    """Scores of a CSR matrix in canonical form: columns ascending and distinct in each row."""

    indptr: IntArray
    indices: IntArray
    data: FloatArray
    n_labels: int
    name: str

    @property
    def n(self) -> int:
        return len(self.indptr) - 1


@dataclass(frozen=True)
class DenseScores:
    """Scores of every label for every row, shape (n, n_labels)."""

    scores: FloatArray
    name: str

    @property
    def n(self) -> int:
        return self.scores.shape[0]

    @property
    def n_labels(self) -> int:
        return self.scores.shape[1]


def read_positives(Y: Any, name: str) -> Pattern | Rows:
    """Read a container of positives: any sparse or dense indicator, or labels listed row by row."""
    if sp.issparse(Y):
        return _at_least_one_row(_pattern_of_sparse(Y, name))
    if is_table(Y):
        columns = list(numeric_columns(Y, name))
        Y = np.column_stack(columns) if columns else np.zeros((len(Y), 0))
    if hasattr(Y, "__array__"):
        Y = np.asarray(Y)
        if Y.ndim == 2 and Y.dtype.kind in "OUT":
            Y = plain_array(Y, name)
        if Y.dtype.kind in "biuf":
            return _at_least_one_row(_pattern_of_dense(Y, name))
        return _at_least_one_row(_rows_of_array(Y, name, ranked=False))
    return _at_least_one_row(_rows_of_lists(Y, name, ranked=False))


def read_scores(Y: Any, name: str) -> SparseScores | DenseScores | Rows:
    """Read a container of scores or rankings: sparse scores, dense float scores, or labels best first."""
    if sp.issparse(Y):
        return _at_least_one_row(_scores_of_sparse(Y, name))
    if hasattr(Y, "__array__"):
        Y = np.asarray(Y)
        if Y.dtype.kind == "f":
            _two_dimensions(Y, name)
            _no_nan(Y, name)
            return _at_least_one_row(DenseScores(Y, name))
        return _at_least_one_row(_rows_of_array(Y, name, ranked=True))
    return _at_least_one_row(_rows_of_lists(Y, name, ranked=True))


def _pattern_of_sparse(Y: Any, name: str) -> Pattern:
    _two_dimensions(Y, name)
    if Y.dtype.kind not in "biuf":
        raise InputTypeError(f"{name} must hold numbers. Got dtype {Y.dtype}.")
    Y = _valid_sparse(Y, name)
    _finite(Y.data, name)
    # To booleans before anything adds duplicates up: 1 and -1 stored at one place are a positive, not a zero.
    Y = Y.astype(bool, copy=False).tocsr()
    if not (Y.has_canonical_format and Y.data.all()):
        Y = Y.copy()
        Y.sum_duplicates()
        Y.eliminate_zeros()
    return Pattern(Y.indptr, Y.indices, Y.shape[1], name)


def _pattern_of_dense(Y: npt.NDArray[Any], name: str) -> Pattern:
    _two_dimensions(Y, name)
    _finite(Y, name)
    rows, columns = np.nonzero(Y)
    return Pattern(_offsets(np.bincount(rows, minlength=len(Y))), columns, Y.shape[1], name)


def _scores_of_sparse(Y: Any, name: str) -> SparseScores:
    _two_dimensions(Y, name)
    if Y.dtype.kind not in "biuf":
        raise InputTypeError(f"{name} must hold real scores. Got dtype {Y.dtype}.")
    Y = _valid_sparse(Y, name).tocsr()
    if not Y.has_canonical_format:
        Y = Y.copy()
        Y.sum_duplicates()
    data = Y.data if Y.dtype.kind == "f" else Y.data.astype(np.float64)
    _no_nan(data, name)
    return SparseScores(Y.indptr, Y.indices, data, Y.shape[1], name)


def _rows_of_array(Y: npt.NDArray[Any], name: str, *, ranked: bool) -> Rows:
    if Y.ndim == 1 and Y.dtype.kind == "O":
        return _rows_of_lists(Y.tolist(), name, ranked=ranked)
    _two_dimensions(Y, name)
    if Y.dtype.kind not in "iuOUT":
        wanted = "float scores, or ints or strings as labels" if ranked else "an indicator, or strings"
        raise InputTypeError(f"{name} as an array must hold {wanted}. Got dtype {Y.dtype}.")
    indptr = np.arange(Y.shape[0] + 1) * Y.shape[1]
    if Y.dtype.kind in "iu":
        return _rows_of_ids(Y.ravel(), indptr, name, ranked=ranked)
    return _rows_of_objects(Y.ravel().tolist(), indptr, name, ranked=ranked)


def _rows_of_lists(Y: Any, name: str, *, ranked: bool) -> Rows:
    what = "a list of labels, best first" if ranked else "a list or set of labels"
    if isinstance(Y, (str, bytes, dict)) or not hasattr(Y, "__iter__"):
        raise InputTypeError(f"{name} must be a matrix, an array or {what} per row. Got {type(Y).__name__}.")
    rows = list(Y)
    # A set has no order to rank by, and a string would be read as a list of letters.
    unfit: tuple[type, ...] = (str, bytes, dict) + ((set, frozenset) if ranked else ())
    for kind in set(map(type, rows)):
        if issubclass(kind, unfit) or not (hasattr(kind, "__iter__") and hasattr(kind, "__len__")):
            row = next(i for i, item in enumerate(rows) if type(item) is kind)
            raise InputTypeError(f"Row {row} of {name} must be {what}. Got {kind.__name__}.")
    try:
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        flat = list(chain.from_iterable(rows))
    except TypeError as error:  # an array of no dimensions has a length only by name
        raise InputTypeError(f"Every row of {name} must be {what}.") from error
    return _rows_of_objects(flat, _offsets(lengths), name, ranked=ranked)


def _rows_of_objects(flat: list[Any], indptr: IntArray, name: str, *, ranked: bool) -> Rows:
    kinds = set(map(type, flat))
    has_empty = type(None) in kinds
    if has_empty and not ranked:
        raise InputTypeError(f"Row {row_of(flat.index(None), indptr)} of {name} holds None, which is no label.")
    kinds.discard(type(None))
    if not kinds:
        return Rows(np.full(len(flat), -1), indptr, "none", name)
    if all(issubclass(kind, str) for kind in kinds):
        return _rows_of_names(flat, indptr, name)
    if all(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds):
        if has_empty:
            flat = [-1 if label is None else label for label in flat]
        try:
            ids = np.fromiter(flat, np.int64, len(flat))
        except OverflowError as error:
            raise InputError(f"{name} holds a label beyond 64 bits.") from error
        return _rows_of_ids(ids, indptr, name, ranked=ranked)
    found = " and ".join(sorted(kind.__name__ for kind in kinds))
    raise InputTypeError(f"The labels in {name} must be all ints or all strings. Got {found}.")


def _rows_of_names(flat: list[Any], indptr: IntArray, name: str) -> Rows:
    import pyarrow as pa  # several times faster here than a dict, and slow to import

    try:
        coded = pa.array(flat, pa.large_string()).dictionary_encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} holds a label that is no valid Unicode: {error.object!r}.") from error
    values = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Rows(values, indptr, "names", name, tuple(coded.dictionary.to_pylist()))


def _rows_of_ids(ids: IntArray, indptr: IntArray, name: str, *, ranked: bool) -> Rows:
    if ids.size and ids.max() > np.iinfo(np.int64).max:
        raise InputError(f"{name} holds a label beyond 64 bits.")
    ids = ids.astype(np.int64, copy=False)
    low = -1 if ranked else 0
    if ids.size and ids.min() < low:
        at = int(np.argmax(ids < low))
        empty = " (-1 is an empty place)" if ranked else ""
        raise InputError(f"Row {row_of(at, indptr)} of {name} holds label {ids[at]}; labels are >= 0{empty}.")
    return Rows(ids, indptr, "ids", name)


def _at_least_one_row(read: Any) -> Any:
    if read.n == 0:
        raise InputError(f"{read.name} has no rows.")
    return read


def _offsets(lengths: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths)])


def row_of(position: int, indptr: IntArray) -> int:
    """Return the row that an entry is in."""
    return int(np.searchsorted(indptr, position, side="right")) - 1


def _two_dimensions(Y: Any, name: str) -> None:
    if Y.ndim != 2:
        raise InputError(f"{name} must have two dimensions (rows, labels). Got shape {Y.shape}.")


def _valid_sparse(Y: Any, name: str) -> Any:
    """Return Y as a CSR, CSC or COO array.  It shares the caller's arrays: never change them in place."""
    if Y.format not in ("csr", "csc"):
        return sp.coo_array(Y)
    try:
        kind = sp.csr_array if Y.format == "csr" else sp.csc_array
        Y = kind((Y.data, Y.indices, Y.indptr), shape=Y.shape)
        Y.check_format(full_check=True)  # before a conversion follows indices that point anywhere
    except ValueError as error:
        raise InputError(f"{name} is no valid sparse matrix: {error}.") from error
    return Y


def _no_nan(values: npt.NDArray[Any], name: str) -> None:
    # min() passes NaN on and makes no array of the size of its input.
    if values.size and np.isnan(values.min()):
        raise InputError(f"{name} holds NaN.")


def _finite(values: npt.NDArray[Any], name: str) -> None:
    floats = values.dtype.kind == "f" and values.size
    if floats and not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise InputError(f"{name} holds NaN or infinity.")
