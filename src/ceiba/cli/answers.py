"""How answers are written: JSON lines, CSV, TSV or Parquet, by the name of the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ceiba.data.files import compression_of_name, suffix
from ceiba.errors import InputError

_FORMATS = {
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "jsonl"),
    **{".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet"},
}
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_BLOCK = 1 << 20  # bytes that are compressed at once
_ROWS_AT_ONCE = 16_384  # rows of a group in a Parquet file

Row = dict[str, Any]


class Writer(Protocol):
    """Writes one row after another; its columns are a row's keys."""

    def write(self, row: Row) -> None: ...

    def flush(self) -> None: ...


def choose_format(names: Sequence[Path]) -> tuple[str, str | None]:
    """Return the format of an output, and its compression, by its name and that of the file it links to.

    A name without a suffix means JSON lines.

    Raises
    ------
    InputError
        When a suffix is of no format that can be written, or the two names tell different ones.
    """
    found: dict[tuple[str, str | None], Path] = {}
    for name in names:
        ending, compression = suffix(name), compression_of_name(name)
        if not ending and compression is None:
            continue
        format = _FORMATS.get(ending, "jsonl" if not ending else None)
        if format is None or (format == "parquet" and compression is not None):
            raise InputError(
                f"{name}: answers cannot be written in the format of this name. They are written to names that end "
                f"in {', '.join(_FORMATS)}; .gz or .zst may follow, except after .parquet."
            )
        found[format, compression] = name
    if len(found) > 1:
        raise InputError(f"{names[0]} leads to {names[-1]}, whose name is of another format.")
    return next(iter(found), ("jsonl", None))


@contextmanager
def open_writer(file: BinaryIO, names: Sequence[Path], columns: Sequence[str], label: type) -> Iterator[Writer]:
    """Give what writes rows to a file of bytes.

    Parameters
    ----------
    file : binary file
    names : sequence of Path
        See `choose_format`.
    columns : sequence of str
        The columns, in their order: "text", "labels", "texts", "scores".
    label : type
        int or str, what a label is.
    """
    format, compression = choose_format(names)
    if format == "parquet":
        with _Parquet(file, columns, label) as writer:
            yield writer
        return
    packed = _Packed(file, compression) if compression else file

    def emit(text: str) -> None:
        packed.write(text.encode("utf-8", "backslashreplace"))

    lines = JsonLines(emit, packed.flush) if format == "jsonl" else _Csv(emit, packed.flush, columns, format)
    yield lines
    lines.flush()


class JsonLines:
    """Writes a JSON object per line."""

    def __init__(self, emit: Callable[[str], Any], flush: Callable[[], Any]):
        self._emit, self.flush = emit, flush

    def write(self, row: Row) -> None:
        self._emit(json.dumps(row, ensure_ascii=False) + "\n")


class _Csv:
    """Writes a row of cells per answer; a list is a cell with a JSON list, which `ceiba.data.read` takes apart."""

    def __init__(self, emit: Callable[[str], Any], flush: Callable[[], Any], columns: Sequence[str], format: str):
        self._emit, self.flush, self._columns = emit, flush, columns
        self._writer = csv.writer(self, delimiter=_DELIMITERS[format], lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        self._writer.writerow(columns)

    def write(self, row: Row | str) -> None:
        if isinstance(row, str):  # from the csv module, which writes to an object with this method
            self._emit(row)
            return
        cells = (row[name] for name in self._columns)
        self._writer.writerow(
            [cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in cells]
        )


class _Packed:
    """Compresses what is written block by block; the blocks in a row are one gzip or zstd file."""

    def __init__(self, file: BinaryIO, kind: str):
        self._file, self._kind, self._held, self._size = file, kind, list[bytes](), 0

    def write(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self._held or not self._file.tell():
            self._file.write(pa.compress(b"".join(self._held), self._kind, asbytes=True))
        self._held, self._size = [], 0
        self._file.flush()


class _Parquet:
    """Collects rows and writes them in groups."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], label: type):
        import pyarrow as pa
        from pyarrow import parquet

        strings = pa.list_(pa.string())
        labels = strings if label is str else pa.list_(pa.int64())
        types = {"text": pa.string(), "labels": labels, "texts": strings, "scores": pa.list_(pa.float32())}
        self._schema = pa.schema([(name, types[name]) for name in columns])
        self._writer = parquet.ParquetWriter(pa.PythonFile(file, "w"), self._schema)
        self._rows: list[Row] = []

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.flush()
        self._writer.close()

    def write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(list(map(_well_formed, self._rows)), self._schema))
        self._rows = []


def _well_formed(row: Row) -> Row:
    """Replace half surrogate pairs in a row's text, which have no bytes, by their escapes."""
    text = row.get("text")
    return row if text is None else {**row, "text": text.encode("utf-8", "backslashreplace").decode("utf-8")}
