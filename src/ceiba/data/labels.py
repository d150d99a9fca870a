"""Labels as people write them (lists of names or ids, indicators) to the matrix Y the models learn from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from ceiba.data.csr import CsrBuilder, as_indicator, compressed_fault, coordinate_fault, index_dtype
from ceiba.errors import CeibaError, InputError, InputTypeError

_ROWS_AT_ONCE = 65_536
_PLAIN_ROWS = frozenset({list, tuple, set, frozenset})


class BadLabelRow(Exception):
    """Row ``row`` (counted from 0 over all rows added) cannot be read as labels; for callers to translate."""

    def __init__(self, row: int, reason: str, *, hint: str = "", wrong_type: bool = True):
        super().__init__(row, reason)
        self.row, self.reason, self.hint, self.wrong_type = row, reason, hint, wrong_type

    def as_input_error(self) -> CeibaError:
        """Return the error for labels that came as an argument rather than from a file."""
        kind = InputTypeError if self.wrong_type else InputError
        return kind(f"Y, row {self.row}: {self.reason}{self.hint}")


class LabelCollector:
    """Collects rows of label names as int32 ids while they stream by; nothing else of them is kept.

    All labels are strings, or all are ints; which of the two, the first label decides.
    """

    def __init__(self) -> None:
        self._ids: defaultdict[Any, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__
        self._csr = CsrBuilder(values=False)
        self._kind: type | None = None

    def add(self, rows: Sequence[Any]) -> None:
        """Append rows, each a collection of labels.

        Raises
        ------
        BadLabelRow
            If a row is no collection, or a label is neither a string nor an int, or both kinds are mixed.
        """
        first = self._csr.n_rows
        rows = _plain_rows(rows, first)
        counts = np.fromiter(map(len, rows), np.int64, len(rows))
        flat: list[Any] = list(chain.from_iterable(rows))
        kinds = set(map(type, flat))
        if flat and (self._kind is None or kinds != {self._kind} or not _fit_in_64_bits(self._kind, flat)):
            flat = self._plain_labels(flat, counts, first)
        self._csr.add(counts, np.fromiter(map(self._ids.__getitem__, flat), np.int32, len(flat)))

    def _plain_labels(self, flat: list[Any], counts: NDArray, first: int) -> list[Any]:
        """Check label by label, and turn NumPy's strings and ints into Python's."""
        plain = []
        for position, label in enumerate(flat):
            kind, value = _label_kind(label)
            self._kind = self._kind or kind
            if kind is None or kind is not self._kind or not _fit_in_64_bits(kind, (value,)):
                row = first + int(np.searchsorted(np.cumsum(counts), position, side="right"))
                if kind is None or self._kind is None:
                    raise BadLabelRow(row, f"a label must be a str or an int, not {describe(label)}.")
                if kind is not self._kind:
                    others = f"among labels of type {self._kind.__name__}"
                    raise BadLabelRow(row, f"the label {label!r} is {_a(kind.__name__)} {others}.")
                raise BadLabelRow(row, "a label does not fit in 64 bits.", wrong_type=False)
            plain.append(value)
        return plain

    def finish(self) -> tuple[csr_array, NDArray]:
        """Return Y (N, L) and the sorted labels, its columns; the collector is spent after that."""
        names = list(self._ids)
        order = sorted(range(len(names)), key=names.__getitem__)
        columns = np.empty(len(names), np.int32)
        columns[order] = np.arange(len(names), dtype=np.int32)
        Y = self._csr.finish(len(names), columns=columns)
        return Y, _class_array([names[i] for i in order])


def _plain_rows(rows: Sequence[Any], first: int) -> Sequence[Any]:
    if set(map(type, rows)) <= _PLAIN_ROWS:
        return rows
    return [row if type(row) in _PLAIN_ROWS else _plain_row(row, first + i) for i, row in enumerate(rows)]


def _plain_row(row: Any, number: int) -> list[Any]:
    if isinstance(row, np.ndarray) and row.ndim == 1:
        return row.tolist()
    if isinstance(row, (str, bytes, Mapping, np.ndarray)) or not isinstance(row, Iterable):
        hint = " A row with a single label is a list of one: [['news'], ['sport']], not ['news', 'sport']."
        raise BadLabelRow(number, f"expected a list of labels, found {describe(row)}.", hint=hint)
    return list(row)


def _fit_in_64_bits(kind: type, labels: Sequence[Any]) -> bool:
    return kind is not int or (min(labels) >= -(2**63) and max(labels) < 2**63)


def _label_kind(label: Any) -> tuple[type | None, Any]:
    if isinstance(label, str):
        return str, str(label)
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool):
        return int, int(label)
    return None, label


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def describe(value: Any) -> str:
    """Return a value's type and the start of its text, for a message."""
    if value is None:
        return "None"
    text = repr(value)
    return f"{_a(type(value).__name__)} ({text if len(text) <= 40 else text[:37] + '...'})"


def _class_array(names: Sequence[Any]) -> NDArray:
    if names and isinstance(names[0], int):
        return np.array(names, np.int64)
    # objects: a fixed-width array would give every label the room of the longest one
    classes = np.empty(len(names), object)
    classes[:] = names
    return classes


def _as_matrix(Y: Any) -> csr_array | None:
    """Return Y as a CSR where it is an indicator, None where it is a sequence of label lists."""
    if issparse(Y):
        sparse: Any = Y
        if sparse.ndim != 2:
            raise InputError(f"Y must have two axes (N, L), not {sparse.ndim}.")
        # before any conversion: an index out of range would end the process in SciPy's native code
        fault = None
        if sparse.format == "coo":
            fault = coordinate_fault(sparse.coords, sparse.data, sparse.shape)
        elif sparse.format in ("csr", "csc"):
            sizes = sparse.shape if sparse.format == "csr" else sparse.shape[::-1]
            fault = compressed_fault(sparse.indptr, sparse.indices, sparse.data, *sizes)
        if fault is not None:
            raise InputError(f"Y is not a valid sparse matrix: {fault}.")
        return as_indicator(csr_array(sparse))
    if not isinstance(Y, np.ndarray) and hasattr(Y, "to_numpy") and getattr(Y, "ndim", 1) == 2:
        Y = Y.to_numpy()
    if isinstance(Y, np.ndarray) and Y.ndim == 2 and Y.dtype.kind in "buifc":
        if Y.dtype.kind == "c":
            raise InputTypeError("Y holds complex numbers; a label matrix has 1 for a positive, 0 otherwise.")
        return as_indicator(csr_array(np.asarray(Y)))
    if isinstance(Y, np.ndarray) and Y.ndim not in (1, 2):
        raise InputError(f"Y must be a list of label lists or an (N, L) indicator, not of shape {Y.shape}.")
    if isinstance(Y, (str, bytes, Mapping)) or not isinstance(Y, Iterable):
        raise InputTypeError(
            f"Y must be a list of label lists (str or int) or an (N, L) indicator, dense or sparse, not {describe(Y)}."
        )
    return None


def _collect(Y: Iterable[Any]) -> tuple[csr_array, NDArray]:
    collector, rows = LabelCollector(), iter(Y)
    try:
        while chunk := list(islice(rows, _ROWS_AT_ONCE)):
            collector.add(chunk)
    except BadLabelRow as bad:
        raise bad.as_input_error() from None
    return collector.finish()


def check_classes(classes: Any) -> NDArray:
    """Return the classes as an int64 or an object array of distinct labels."""
    if isinstance(classes, (str, bytes)) or not isinstance(classes, Iterable):
        raise InputTypeError(f"classes must be a sequence of label names, not {describe(classes)}.")
    if isinstance(classes, np.ndarray) and classes.ndim != 1:
        raise InputError(f"classes must have one axis, not {classes.ndim}.")
    given = classes.tolist() if isinstance(classes, np.ndarray) else list(classes)
    names, first_kind = [], None
    for label in given:
        kind, value = _label_kind(label)
        first_kind = first_kind or kind
        if kind is None or kind is not first_kind:
            raise InputTypeError(f"classes must be all str or all int, but one is {describe(label)}.")
        names.append(value)
    if len(set(names)) != len(names):
        seen: set[Any] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"classes names {twice!r} more than once.")
    return _class_array(names)


def encode_labels(Y: Any, classes: Any = None) -> tuple[csr_array, NDArray]:
    """Turn training labels into the matrix Y and its column names.

    Parameters
    ----------
    Y : sequence of N collections of str or int, or (N, L) indicator
        A list (tuple, set, array) of labels per row; or a sparse matrix, a 2-D array of numbers or a data
        frame of numbers, in which a non-zero is a positive. Rows without labels, labels named twice in a row
        and stored zeros are legal. A list of lists is always read as labels, even [[0, 1], [1, 0]].
    classes : sequence of L str or int, default None
        The names of the columns, in their order. By default the labels that occur, sorted, or 0 to L - 1 for
        an indicator.

    Returns
    -------
    Y : csr_array of shape (N, L), float32
        Canonical (sorted, no duplicates), every stored value 1.
    classes : ndarray of shape (L,)
        int64 where the labels are ints, otherwise object (str).

    Raises
    ------
    InputTypeError
        If a row is a plain string, a label is neither str nor int, or strings and ints are mixed.
    InputError
        If an indicator holds NaN, infinite or negative values, its width is not that of ``classes``, a label
        is not among ``classes``, or a class is named twice.

    Examples
    --------
    >>> Y, classes = encode_labels([["sea", "fish"], [], ["fish"]])
    >>> Y.toarray().tolist()
    [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    >>> classes.tolist()
    ['fish', 'sea']
    """
    matrix = _as_matrix(Y)
    if matrix is None and classes is None:
        return _collect(Y)
    if matrix is None:
        names = check_classes(classes)
        return encode_with(Y, names, unknown="error")[0], names
    if classes is None:
        return matrix, np.arange(matrix.shape[1], dtype=np.int64)
    names = check_classes(classes)
    if len(names) != matrix.shape[1]:
        raise InputError(f"Y has {matrix.shape[1]} columns, but classes has {len(names)} names.")
    return matrix, names


def encode_with(Y: Any, classes: Any, unknown: str = "drop", *, names: Any = None) -> tuple[csr_array, int]:
    """Turn labels into a matrix with the columns of a model, as for an evaluation.

    Parameters
    ----------
    Y : sequence of N collections of str or int, or (N, M) indicator
        As in `encode_labels`.
    classes : sequence of L str or int
        The columns of the result, such as ``model.classes_``.
    unknown : {"drop", "error"}, default "drop"
        What to do with a label that is not among ``classes``.
    names : sequence of M str or int, default None
        The names of an indicator's columns, such as ``dataset.classes``. By default they are ``classes``, so
        that M must be L.

    Returns
    -------
    Y : csr_array of shape (N, L), float32
        Canonical, every stored value 1.
    n_unknown : int
        How many positives were dropped (a label named twice in a row counts once).

    Raises
    ------
    InputTypeError
        As `encode_labels`, and if the labels are ints where the classes are strings, or the reverse.
    InputError
        As `encode_labels`, and if ``unknown="error"`` and a label is not among the classes.

    Examples
    --------
    >>> Y, n_unknown = encode_with([["sea", "salt"], ["fish"]], ["fish", "sea"])
    >>> Y.toarray().tolist(), n_unknown
    ([[0.0, 1.0], [1.0, 0.0]], 1)
    """
    if unknown not in ("drop", "error"):
        raise InputError(f"The 'unknown' parameter must be 'drop' or 'error'. Got {unknown!r} instead.")
    known = check_classes(classes)
    matrix = _as_matrix(Y)
    if matrix is None:
        if names is not None:
            raise InputError("names is for an indicator Y; labels given as lists carry their own names.")
        matrix, own = _collect(Y)
    elif names is not None:
        own = check_classes(names)
        if len(own) != matrix.shape[1]:
            raise InputError(f"Y has {matrix.shape[1]} columns, but names has {len(own)}.")
    elif matrix.shape[1] != len(known):
        raise InputError(f"Y has {matrix.shape[1]} columns, but there are {len(known)} classes.")
    else:
        return matrix, 0
    return _project(matrix, own, known, unknown)


def _project(Y: csr_array, own: NDArray, known: NDArray, unknown: str) -> tuple[csr_array, int]:
    if len(own) and len(known) and own.dtype != known.dtype:
        raise InputTypeError(
            f"The labels are of type {type(own.tolist()[0]).__name__} ({own.tolist()[0]!r}), "
            f"but the classes of type {type(known.tolist()[0]).__name__} ({known.tolist()[0]!r})."
        )
    column_of = {name: column for column, name in enumerate(known.tolist())}
    columns = np.fromiter((column_of.get(name, -1) for name in own.tolist()), np.int32, len(own))
    target = columns[Y.indices]
    kept = target >= 0
    n_unknown = int(len(kept) - kept.sum())
    if n_unknown and unknown == "error":
        at = int(np.argmin(kept))
        row = int(np.searchsorted(Y.indptr, at, side="right")) - 1
        raise InputError(f"Y, row {row}: the label {own[Y.indices[at]]!r} is not among the classes.")
    dtype = index_dtype(len(kept) - n_unknown, len(known))
    indptr = np.concatenate(([0], np.cumsum(kept)))[Y.indptr]
    parts = Y.data[kept], target[kept].astype(dtype), indptr.astype(dtype)
    out = csr_array(parts, shape=(Y.shape[0], len(known)))
    out.sum_duplicates()
    return out, n_unknown
