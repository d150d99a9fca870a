"""Tables with named columns, streamed a block of rows at a time: JSON lines, CSV and TSV, Parquet.

Each table has ``columns()`` and ``batches(columns)``; only the columns asked for are kept.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from ceiba.data.files import Progress, Stream, blocks, decode_lines, fail, head, text_blocks
from ceiba.data.labels import describe
from ceiba.errors import DataFormatError

_PEEK_ROWS = 1000
_CSV_BLOCK = 16 << 20
_PARQUET_ROWS = 4096
_ARROW_TYPES = {
    frozenset({str}): "string",
    frozenset({int}): "int64",
    frozenset({float}): "float64",
    frozenset({int, float}): "float64",
}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Rows:
    """A block of rows: the values by column, and where each row stands in the file."""

    values: list[list[Any]]
    numbers: Sequence[int] | Sequence[str]
    unit: str

    def where(self, i: int) -> str:
        return f"{self.unit} {self.numbers[i]}"


class Table(Protocol):
    """A file with named columns."""

    path: Path

    def columns(self) -> list[str]: ...

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]: ...


def well_formed(value: Any) -> Any:
    """Pair up the UTF-16 surrogates that JSON escapes can leave, and replace single ones by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {name: well_formed(item) for name, item in value.items()}
    return [well_formed(item) for item in value] if isinstance(value, list) else value


class JsonLines:
    """One JSON object per line; blank lines are skipped, and a key that a row lacks is null there.

    A block is read by pyarrow, ten times faster than by the standard library, with the types that the columns
    have in the first rows. Where it is not as those, or wrong, the standard library reads it again, line by
    line, and names the line at fault.
    """

    def __init__(self, path: Path):
        self.path = path
        self._decode = json.JSONDecoder().decode
        self._first: list[dict] | None = None

    def _peek(self) -> list[dict]:
        if self._first is None:
            self._first = []
            for first, lines in text_blocks(self.path):
                self._first += self._records(first, lines[:_PEEK_ROWS])[1]
                if len(self._first) >= _PEEK_ROWS:
                    break
        return self._first

    def columns(self) -> list[str]:
        """Return the keys of the first 1,000 rows, in the order they turn up."""
        return list(dict.fromkeys(name for record in self._peek() for name in record))

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        schema = self._schema(columns)
        for first, block in blocks(self.path, progress):
            rows = None if schema is None else self._read_fast(first, block, columns, schema)
            if rows is None:
                numbers, records = self._records(first, decode_lines(self.path, first, block))
                values = [[record.get(name) for record in records] for name in columns]
                if _SURROGATE.search(block):
                    values = [[well_formed(value) for value in column] for column in values]
                rows = Rows(values, numbers, "line")
            yield rows

    def _records(self, first: int, lines: list[str]) -> tuple[list[int], list[dict]]:
        numbers, records = [], []
        for number, line in enumerate(lines, first):
            if not line or line.isspace():
                continue
            try:
                record = self._decode(line)
            except RecursionError:
                fail(self.path, number, "the JSON is nested too deeply.")
            except json.JSONDecodeError as error:
                fail(self.path, number, f"not a JSON object ({error.msg} at column {error.colno}).")
            except ValueError as error:  # an integer of more digits than Python converts
                fail(self.path, number, f"not a JSON object ({error}).")
            if type(record) is not dict:
                fail(self.path, number, f"expected a JSON object, found {describe(record)}.")
            numbers.append(number)
            records.append(record)
        return numbers, records

    def _schema(self, columns: Sequence[str]) -> Any:
        """Return the Arrow types of the columns in the first rows, None where they have no simple ones."""
        import pyarrow as pa

        types = []
        for name in columns:
            values = [value for record in self._peek() if (value := record.get(name)) is not None]
            items = [item for value in values if isinstance(value, list) for item in value]
            kinds, item_kinds = frozenset(map(type, values)), frozenset(map(type, items))
            if kinds == {list} and item_kinds in _ARROW_TYPES:
                types.append(pa.list_(pa.type_for_alias(_ARROW_TYPES[item_kinds])))
            elif kinds in _ARROW_TYPES:
                types.append(pa.type_for_alias(_ARROW_TYPES[kinds]))
            else:
                return None
        return pa.schema(zip(columns, types, strict=True))

    def _read_fast(self, first: int, block: bytes, columns: Sequence[str], schema: Any) -> Rows | None:
        import pyarrow as pa
        from pyarrow import json as arrow_json

        n = block.count(b"\n") + (not block.endswith(b"\n"))
        try:
            table = arrow_json.read_json(
                pa.BufferReader(block),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
            if table.num_rows != n:  # blank lines, or several objects on one
                return None
            values = [table.column(name).to_pylist() for name in columns]
        except (pa.ArrowException, UnicodeDecodeError):
            return None
        return Rows(values, range(first, first + n), "line")


class Csv:
    """Comma- or tab-separated columns named by the first row; a quoted value may hold line ends.

    Every value is a string. Rows are counted as a spreadsheet does, with the names in row 1.
    """

    def __init__(self, path: Path, delimiter: str):
        self.path, self._delimiter = path, delimiter

    def columns(self) -> list[str]:
        block = next((block for _, block in blocks(self.path)), b"")
        try:
            text = io.StringIO(block.decode("utf-8"), newline="")
            names = next(filter(None, csv.reader(text, delimiter=self._delimiter)), [])
        except UnicodeDecodeError as error:
            fail(self.path, block.count(b"\n", 0, error.start) + 1, "the text is not valid UTF-8.")
        except csv.Error as error:
            fail(self.path, "row 1", f"cannot be read as column names ({error}).")
        if not names:
            fail(self.path, None, "is empty.")
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            fail(self.path, "row 1", f"the column {min(twice)!r} is there more than once.")
        return names

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        strings = dict.fromkeys(columns, pa.string())
        with Stream(self.path) as stream:
            try:
                reader = arrow_csv.open_csv(
                    stream.arrow,
                    # one thread: only then do the messages tell the row
                    read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
                    parse_options=arrow_csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=strings, include_columns=list(columns), strings_can_be_null=False
                    ),
                )
                row = 2
                for batch in reader:
                    values = [column.to_pylist() for column in batch.columns]
                    yield Rows(values, range(row, row + batch.num_rows), "row")
                    row += batch.num_rows
                    stream.report(progress)
            except pa.ArrowInvalid as error:
                self._fail(str(error))
            except (OSError, pa.ArrowException) as error:
                stream.fail(error)

    def _fail(self, message: str) -> NoReturn:
        if "straddling" in message:
            fail(
                self.path,
                None,
                f"a row is longer than {_CSV_BLOCK >> 20} MiB; is a quotation mark left open?",
            )
        place = re.search(r"Row #(\d+)", message)
        reason = re.sub(r"^(CSV parse error: |In CSV column #\d+: )?(Row #\d+: )?", "", message).splitlines()[0]
        fail(self.path, f"row {place[1]}" if place else None, f"{reason[:200]}.")


class Parquet:
    """A Parquet file; only the columns asked for are read from it."""

    def __init__(self, path: Path):
        self.path = path
        if not head(path, 4).startswith(b"PAR1"):
            fail(path, None, "is not a Parquet file.")

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(self.path, pre_buffer=False)
        except (OSError, ValueError, pa.ArrowException) as error:
            self._fail(error)

    def columns(self) -> list[str]:
        import pyarrow as pa

        with self._open() as file:
            try:
                return list(file.schema_arrow.names)
            except (ValueError, pa.ArrowException) as error:
                self._fail(error)

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        import pyarrow as pa

        size = self.path.stat().st_size
        with self._open() as file:
            try:
                row, total = 1, max(1, file.metadata.num_rows)
                for batch in file.iter_batches(_PARQUET_ROWS, columns=list(columns), use_threads=False):
                    values = [self._values(batch.column(name), name, row) for name in columns]
                    yield Rows(values, range(row, row + batch.num_rows), "row")
                    row += batch.num_rows
                    if progress is not None:
                        progress("reading", size * (row - 1) // total, size)
            except DataFormatError:
                raise
            except (OSError, ValueError, KeyError, OverflowError, pa.ArrowException) as error:
                self._fail(error)

    def _values(self, column: Any, name: str, first: int) -> list[Any]:
        """Return the values of a column; a text that is not UTF-8, which Arrow does not look for, names its row."""
        try:
            return column.to_pylist()
        except UnicodeDecodeError:
            for i in range(len(column)):
                try:
                    column.slice(i, 1).to_pylist()
                except UnicodeDecodeError:
                    fail(self.path, f"row {first + i}", f"the column {name!r} is not valid UTF-8.")
            raise

    def _fail(self, error: Exception) -> NoReturn:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        fail(self.path, None, f"is damaged or cut short ({reason[:200]}).")


class TextLines:
    """One text per line; an empty line is an empty text."""

    def __init__(self, path: Path):
        self.path = path

    def columns(self) -> list[str]:
        return ["text"]

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[Rows]:
        for first, lines in text_blocks(self.path, progress):
            yield Rows([lines], range(first, first + len(lines)), "line")
