"""Labels as people write them (lists of names or ids, indicators) to the matrix Y the models learn from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ceiba.data.csr import CsrBuilder, index_dtype
from ceiba.data.frames import article, column_values, describe, is_table, lone_column, refuse_lazy
from ceiba.data.indicators import Indicator, read_indicator
from ceiba.errors import CeibaError, InputError, InputTypeError

_ROWS_AT_ONCE = 65_536
_PLAIN_ROWS = frozenset({list, tuple, set, frozenset})


class BadLabelRow(Exception):
    """Row ``row`` (counted from 0 over all rows added) cannot be read as labels; for callers to translate."""

    def __init__(self, row: int, reason: str, *, hint: str = "", wrong_type: bool = True):
        super().__init__(row, reason)
        self.row, self.reason, self.hint, self.wrong_type = row, reason, hint, wrong_type

    def as_input_error(self, argument: str) -> CeibaError:
        """Return the error for labels that came as an argument of that name rather than from a file."""
        kind = InputTypeError if self.wrong_type else InputError
        return kind(f"{argument}, row {self.row}: {self.reason}{self.hint}")


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
        known = len(self._ids)
        self._csr.add(counts, np.fromiter(map(self._ids.__getitem__, flat), np.int32, len(flat)))
        if self._kind is str:
            for label in islice(reversed(self._ids), len(self._ids) - known):
                if not (label.isascii() or _is_unicode(label)):
                    raise BadLabelRow(_row_at(flat.index(label), counts, first), _half(label), wrong_type=False)

    def _plain_labels(self, flat: list[Any], counts: NDArray, first: int) -> list[Any]:
        """Check label by label, and turn NumPy's strings and ints into Python's."""
        plain = []
        for position, label in enumerate(flat):
            kind, value = _label_kind(label)
            self._kind = self._kind or kind
            if kind is None or kind is not self._kind or not _fit_in_64_bits(kind, (value,)):
                row = _row_at(position, counts, first)
                if kind is None or self._kind is None:
                    raise BadLabelRow(row, f"a label must be a str or an int, not {describe(label)}.")
                if kind is not self._kind:
                    others = f"among labels of type {self._kind.__name__}"
                    raise BadLabelRow(row, f"the label {label!r} is {article(kind.__name__)} {others}.")
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


def _row_at(position: int, counts: NDArray, first: int) -> int:
    return first + int(np.searchsorted(np.cumsum(counts), position, side="right"))


def _is_unicode(label: str) -> bool:
    try:
        label.encode()
    except UnicodeEncodeError:
        return False
    return True


def _half(label: str) -> str:
    return f"the label {label!r} holds half of a surrogate pair, which is no character; decode it anew, or drop it."


def _plain_rows(rows: Sequence[Any], first: int) -> Sequence[Any]:
    if set(map(type, rows)) <= _PLAIN_ROWS:
        return rows
    return [row if type(row) in _PLAIN_ROWS else _plain_row(row, first + i) for i, row in enumerate(rows)]


def _plain_row(row: Any, number: int) -> list[Any]:
    values = None if isinstance(row, (str, bytes)) else column_values(row)
    if values is not None:
        return list(values)
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


def _class_array(names: Sequence[Any]) -> NDArray:
    if names and isinstance(names[0], int):
        return np.array(names, np.int64)
    # objects: a fixed-width array would give every label the room of the longest one
    classes = np.empty(len(names), object)
    classes[:] = names
    return classes


def _collect(Y: Iterable[Any], argument: str) -> tuple[csr_array, NDArray]:
    values = column_values(Y)
    collector, rows = LabelCollector(), iter(Y if values is None else values)
    try:
        while chunk := list(islice(rows, _ROWS_AT_ONCE)):
            collector.add(chunk)
    except BadLabelRow as bad:
        raise bad.as_input_error(argument) from None
    return collector.finish()


def check_classes(classes: Any, what: str = "classes") -> NDArray:
    """Return the classes as an int64 or an object array of distinct labels; errors call them `what`."""
    if isinstance(classes, (str, bytes)) or not isinstance(classes, Iterable):
        raise InputTypeError(f"{what} must be a sequence of label names, not {describe(classes)}.")
    if isinstance(classes, np.ndarray) and classes.ndim != 1:
        raise InputError(f"{what} must have one axis, not {classes.ndim}.")
    values = column_values(classes)
    given = list(classes if values is None else values)
    names, first_kind = [], None
    for label in given:
        kind, value = _label_kind(label)
        first_kind = first_kind or kind
        if kind is None or kind is not first_kind:
            raise InputTypeError(f"{what} must be all str or all int, but one is {describe(label)}.")
        if kind is str and not _is_unicode(value):
            raise InputError(f"{what}: {_half(value)}")
        if kind is int and not _fit_in_64_bits(kind, (value,)):
            raise InputError(f"{what}: a label does not fit in 64 bits.")
        names.append(value)
    if len(set(names)) != len(names):
        seen: set[Any] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"{what} names {twice!r} more than once.")
    return _class_array(names)


def encode_labels(Y: Any, classes: Any = None, *, argument: str = "Y") -> tuple[csr_array, NDArray]:
    """Turn training labels into the matrix Y and its column names.

    Parameters
    ----------
    Y : sequence of N collections of str or int, or (N, L) indicator
        A list (tuple, set, array) of labels per row; or a sparse matrix, a 2-D array of numbers or a data
        frame of numbers (pandas, polars, Arrow), in which a non-zero is a positive. Rows without labels, labels
        named twice in a row and stored zeros are legal. A list of lists is always read as labels, even
        [[0, 1], [1, 0]].
    classes : sequence of L str or int, default None
        The names of the columns, in their order. By default the labels that occur, sorted. For an indicator,
        0 to L - 1, or the names of a data frame's columns where they are all str or all int.
    argument : str, default "Y"
        How errors call Y: the name that it has for the caller's user.

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
        is not among ``classes``, a class is named twice, or a data frame's columns have other names than
        ``classes``.

    Examples
    --------
    >>> Y, classes = encode_labels([["sea", "fish"], [], ["fish"]])
    >>> Y.toarray().tolist()
    [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    >>> classes.tolist()
    ['fish', 'sea']
    """
    Y = _lists_of(Y, argument)
    indicator = read_indicator(Y, argument)
    if indicator is None and classes is None:
        return _collect(Y, argument)
    if indicator is None:
        names = check_classes(classes)
        return encode_with(Y, names, unknown="error", argument=argument)[0], names
    return indicator.matrix, _names_of(indicator, classes, "classes", argument)


def _lists_of(Y: Any, argument: str) -> Any:
    """Return the column of a table whose only column holds lists of labels; anything else as it is."""
    refuse_lazy(Y, argument)
    column = lone_column(Y) if is_table(Y) else None
    holds_lists = column and any(isinstance(row, (list, tuple, set, np.ndarray)) for row in column[:_ROWS_AT_ONCE])
    return column if holds_lists else Y


def _names_of(indicator: Indicator, given: Any, source: str, argument: str) -> NDArray:
    """Return the names of an indicator's columns: those given, which must not contradict a data frame's own.

    `source` is the parameter that gave the names, `argument` the one that gave the indicator.
    """
    n_columns, own = indicator.matrix.shape[1], indicator.names
    if given is None:
        return np.arange(n_columns, dtype=np.int64) if own is None else check_classes(own, f"{argument}'s header")
    names = check_classes(given, source)
    if len(names) != n_columns:
        unit = " names" if source == "classes" else ""
        raise InputError(f"{argument} has {n_columns} columns, but {source} has {len(names)}{unit}.")
    if own is not None and len(kinds := {_label_kind(name)[0] for name in own}) == 1 and None not in kinds:
        for column, (name, other) in enumerate(zip(names.tolist(), own, strict=True)):
            if name != other:
                raise InputError(
                    f"{argument}'s column {column} is named {other!r}, but {source} calls it {name!r}: "
                    f"rename the column, or leave {source} out."
                )
    return names


def encode_with(
    Y: Any, classes: Any, unknown: str = "drop", *, names: Any = None, argument: str = "Y"
) -> tuple[csr_array, int]:
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
        The names of an indicator's columns, such as ``dataset.classes``. By default they are those of a data
        frame's columns, otherwise ``classes``, so that M must be L.
    argument : str, default "Y"
        How errors call Y: the name that it has for the caller's user.

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
    Y = _lists_of(Y, argument)
    indicator = read_indicator(Y, argument)
    if indicator is None:
        if names is not None:
            raise InputError(f"names is for an indicator {argument}; labels given as lists carry their own names.")
        return _project(*_collect(Y, argument), known, unknown, argument)
    matrix = indicator.matrix
    if names is not None or indicator.names is not None:
        return _project(matrix, _names_of(indicator, names, "names", argument), known, unknown, argument)
    if matrix.shape[1] != len(known):
        raise InputError(f"{argument} has {matrix.shape[1]} columns, but there are {len(known)} classes.")
    return matrix, 0


def _project(Y: csr_array, own: NDArray, known: NDArray, unknown: str, argument: str) -> tuple[csr_array, int]:
    if len(own) and len(known) and own.dtype != known.dtype:
        raise InputTypeError(
            f"{argument}: the labels are of type {type(own.tolist()[0]).__name__} ({own.tolist()[0]!r}), "
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
        raise InputError(f"{argument}, row {row}: the label {own[Y.indices[at]]!r} is not among the classes.")
    dtype = index_dtype(len(kept) - n_unknown, len(known))
    indptr = np.concatenate(([0], np.cumsum(kept)))[Y.indptr]
    parts = Y.data[kept], target[kept].astype(dtype), indptr.astype(dtype)
    out = csr_array(parts, shape=(Y.shape[0], len(known)))
    out.sum_duplicates()
    return out, n_unknown
