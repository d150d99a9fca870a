"""Files as bytes and as lines: compressed or not, read in blocks, with errors that name file and line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ceiba.errors import DataFormatError, InputError

Progress = Callable[[str, int, int], None]
"""Called now and then as ``progress(stage, done, total)``; here the stage is "reading", counted in bytes."""

BLOCK = 4 << 20
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_SUFFIX = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_BOM = b"\xef\xbb\xbf"


def fail(path: Path, where: str | int | None, reason: str) -> NoReturn:
    """Raise DataFormatError for a place in a file: a line number, words such as "row 7", or None."""
    place = "" if where is None else f", line {where}" if isinstance(where, int) else f", {where}"
    raise DataFormatError(f"{path}{place}: {reason}")


def given_path(path: str | Path, parameter: str) -> Path:
    """Return what a parameter names as a Path; InputError where it is empty, which would be the current folder."""
    if not os.fspath(path):
        raise InputError(f"The '{parameter}' parameter is empty; it names a file.")
    return Path(path)


def plain_name(path: Path) -> str:
    """Return a file's name without the suffix of its compression."""
    return path.stem if path.suffix.lower() in _SUFFIX else path.name


def compression_of_name(path: Path) -> str | None:
    """Return "gzip" or "zstd" where a file's name promises it."""
    return _SUFFIX.get(path.suffix.lower())


def suffix(path: Path) -> str:
    """Return the suffix that tells the format, in lower case, below the one of the compression."""
    return Path(plain_name(path)).suffix.lower()


def head(path: Path, size: int) -> bytes:
    """Return the first bytes of a file as they are stored."""
    with opening(path), path.open("rb") as file:
        return file.read(size)


def compression(path: Path) -> str | None:
    """Return "gzip", "zstd" or None, by the first bytes; a name that promises otherwise is an error."""
    start = head(path, 4)
    found = next((kind for kind, magic in _MAGIC.items() if start.startswith(magic)), None)
    promised = compression_of_name(path)
    if start and promised is not None and promised != found:  # no bytes at all are an empty file
        fail(path, None, f"the name ends in {path.suffix}, but the content is not {promised}.")
    return found


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Let errors of a path that cannot be opened be one line that names it."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a file.") from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror or error}).") from None
    except ValueError as error:  # a null byte
        raise InputError(f"{str(path)!r} cannot be a path ({error}).") from None


class Stream:
    """The uncompressed bytes of a file, to be used in a ``with`` block."""

    def __init__(self, path: Path):
        import pyarrow as pa

        self.path = path
        self._kind = compression(path)
        with opening(path):
            self._file = pa.OSFile(os.fspath(path))
        self.arrow: Any = pa.CompressedInputStream(self._file, self._kind) if self._kind else self._file
        self._size = self._file.size()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.arrow.close()
        self._file.close()

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes, none at the end; a damaged file is a DataFormatError."""
        try:
            return self.arrow.read(size)
        except OSError as error:
            self.fail(error)

    def fail(self, error: Exception) -> NoReturn:
        """Raise the DataFormatError for an error met while reading."""
        what = f"the {self._kind} data is damaged or cut short" if self._kind else "cannot be read"
        fail(self.path, None, f"{what} ({error}).")

    def report(self, progress: Progress | None) -> None:
        """Tell how much of the stored file is read."""
        if progress is not None:
            progress("reading", self._file.tell(), self._size)


def blocks(path: Path, progress: Progress | None = None, size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, whole lines) until the end; a UTF-8 byte order mark is skipped."""
    line, parts, started = 1, list[bytes](), False
    with Stream(path) as stream:
        while chunk := stream.read(size):
            if not started:
                # a stream may hand out less than was asked for, but never fewer than these few bytes
                chunk, started = chunk.removeprefix(_BOM), True
            cut = chunk.rfind(b"\n") + 1
            if cut:
                block = b"".join([*parts, chunk[:cut]])
                parts = [chunk[cut:]]
                yield line, block
                line += block.count(b"\n")
            else:
                parts.append(chunk)
            stream.report(progress)
    if rest := b"".join(parts):
        yield line, rest


def decode_lines(path: Path, first: int, block: bytes) -> list[str]:
    """Return the lines of a block of UTF-8, without their ends.

    Lines end in a line feed, with or without a carriage return before it; no other character ends one.
    """
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as error:
        fail(path, first + block.count(b"\n", 0, error.start), "the text is not valid UTF-8.")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def text_blocks(path: Path, progress: Progress | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, lines without their ends) of a UTF-8 file."""
    for first, block in blocks(path, progress):
        yield first, decode_lines(path, first, block)


def first_line(path: Path) -> str:
    """Return the first line of a UTF-8 file that is not blank; "" where there is none."""
    return next((line for _, lines in text_blocks(path) for line in lines if line.strip()), "")
