"""From what a user names to a regular file: pipes and zipped files are copied, foreign files are called by name."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ceiba.data.files import Stream, compression, fail, head, opening
from ceiba.errors import DataFormatError, DataWarning, InputError

STANDARD_INPUT = Path("standard input")
_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError)
_HEAD = 512  # tar has its magic bytes at 257
PATIENCE = 5  # seconds to wait for a pipe's writer without a word
_CURE = "unpack it and name the file"
_DEVICES = ((stat.S_ISBLK, "a block device"), (stat.S_ISSOCK, "a socket"))
# how files of other programs begin: (offset, bytes, what it is, what to do)
_FOREIGN = (
    (0, b"PK\x05\x06", "an empty zip archive", _CURE),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _CURE),
    (0, b"Rar!\x1a\x07", "a rar archive", _CURE),
    (0, b"\xfd7zXZ\x00", "an xz file", "unpack it with unxz"),
    (0, b"BZh", "a bzip2 file", "unpack it with bunzip2"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", "unpack it with unlz4"),
    (257, b"ustar", "a tar archive", "unpack it with tar and name the file"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file of an old Microsoft Office program", "save it as CSV"),
    (0, b"%PDF-", "a PDF document", "extract its text"),
    (0, b"{\\rtf", "an RTF document", "save its text"),
    (0, b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", "save it as Parquet or .npz"),
    (0, b"\x93NUMPY", "a NumPy array", "save a sparse matrix with scipy.sparse.save_npz"),
    (0, b"ARROW1\x00", "an Arrow IPC (Feather) file", "save it as Parquet"),
    (0, b"ORC", "an ORC file", "save it as Parquet"),
    (0, b"Obj\x01", "an Avro file", "save it as Parquet"),
    (0, b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (0, b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (0, b"version https://git-lfs", "a pointer of Git LFS and not the file", "fetch it with git lfs pull"),
)
# members that tell what an archive with [Content_Types].xml is
_OFFICE = (
    ("xl/", "an Excel workbook", "save the sheet as CSV"),
    ("word/", "a Word document", "save its text"),
    ("ppt/", "a PowerPoint presentation", "save its text"),
)


# what desktops put beside the files that their users see
_DESKTOP = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


class Source:
    """A regular file to read from; what was copied lives as long as this object.

    Attributes
    ----------
    path : Path
        The file to open.
    name : Path
        The name whose suffix tells the format.
    shown : Path
        What the user named, for messages.
    """

    def __init__(self, path: Path, name: Path, copy: Any = None):
        self.path, self.name, self.shown, self._copy = path, name, name, copy

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let errors that name the copy name what the user knows."""
        try:
            yield
        except (DataFormatError, InputError) as error:
            if self._copy is None:
                raise
            raise type(error)(str(error).replace(str(self.path), str(self.shown))) from None


def open_source(path: Path, format: str | None = None, *, may_be_empty: bool = False) -> Source:
    """Return a regular file for a path: itself, or a copy of what a pipe or a zip archive of one file holds.

    Parameters
    ----------
    path : Path
        A file, FIFO or descriptor such as /dev/stdin; "-" is standard input.
    format : str, default=None
        The format that was given; "npz" is a zip archive itself.
    may_be_empty : bool, default=False
        Whether an empty file means something.

    Raises
    ------
    InputError
        When it cannot be opened, or is a device, a socket or a folder.
    DataFormatError
        When it is empty, or an archive or a file of another program; the message says what to do.
    """
    if str(path) == "-":
        source = _copy(sys.stdin.buffer, STANDARD_INPUT)
    else:
        with opening(path):
            mode = path.stat().st_mode
        source = Source(path, path) if stat.S_ISREG(mode) else _read_pipe(path, mode)
    with source.naming():
        return _check_content(source, format, may_be_empty)


def _read_pipe(path: Path, mode: int) -> Source:
    for is_kind, what in _DEVICES:
        if is_kind(mode) and str(path) != "/dev/stdin":
            raise InputError(f"{path} is {what}, not a regular file; copy what it holds to a file.")
    with opening(path):
        # standard input by its number: a socket there cannot be opened by name
        file = os.fdopen(os.dup(0) if str(path) == "/dev/stdin" else _open_pipe(path, mode), "rb")
    with file:
        if stat.S_ISCHR(mode) and not file.isatty() and path.resolve() != Path(os.devnull):
            raise InputError(f"{path} is a device, not a regular file; copy what it holds to a file.")
        return _copy(file, path)


def _open_pipe(path: Path, mode: int) -> int:
    """Open a pipe, and say so where nothing writes to it for a while."""
    if not stat.S_ISFIFO(mode) or sys.platform != "linux":  # elsewhere a pipe without a writer looks closed
        return os.open(path, os.O_RDONLY)
    import select

    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
        if not poll.poll(1000 * PATIENCE):
            warnings.warn(f"{path} is a pipe that nothing has written to yet; waiting.", DataWarning, stacklevel=2)
            poll.poll()
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _copy(file: BinaryIO | Any, name: Path) -> Source:
    descriptors = Path("/proc/self/fd")
    if descriptors.is_dir():  # a file without a name, which is gone with the process whatever ends it
        copy: Any = tempfile.TemporaryFile(prefix="ceiba-")  # noqa: SIM115, as the source keeps it open
        path = descriptors / str(copy.fileno())
    else:
        copy = tempfile.NamedTemporaryFile(prefix="ceiba-")  # noqa: SIM115
        path = Path(copy.name)
    shutil.copyfileobj(file, copy, 1 << 20)
    copy.flush()
    return Source(path, name, copy)


def _check_content(source: Source, format: str | None = None, may_be_empty: bool = False) -> Source:
    start = head(source.path, _HEAD)
    if compression(source.path) is not None:
        with Stream(source.path) as stream:
            start = stream.read(_HEAD)
    if not start:
        if may_be_empty:
            return source
        fail(source.shown, None, "is empty.")
    if start.startswith(b"PK\x03\x04"):
        return _look_into_zip(source, format)
    if source.name.suffix.lower() == ".npz":
        return source  # its reader says what is wrong
    for offset, magic, what, cure in _FOREIGN:
        if start[offset:].startswith(magic) and not (magic == b"BZh" and start[4:10] != b"1AY&SY"):
            fail(source.shown, None, f"is {what}; {cure}.")
    return source


def _is_content(member: str) -> bool:
    """Return whether a member of an archive is one that its maker meant."""
    path = PurePosixPath(member)
    return "__MACOSX" not in path.parts and path.name not in _DESKTOP and not path.name.startswith("._")


def _look_into_zip(source: Source, format: str | None) -> Source:
    """Tell a matrix of NumPy, an office document and an archive apart; an archive of one file gives that file."""
    matrix = format == "npz" or source.name.suffix.lower() == ".npz"
    try:
        with zipfile.ZipFile(source.path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir() and _is_content(info.filename)]
            if matrix or any(name.endswith(".npy") for name in names):
                return source
            if "[Content_Types].xml" in names:
                for folder, what, cure in _OFFICE:
                    if any(name.startswith(folder) for name in names):
                        fail(source.shown, None, f"is {what}; {cure}.")
            if "mimetype" in names:
                kind = archive.read("mimetype")[:100].decode("ascii", "replace")
                what = "an EPUB book" if "epub" in kind else "an OpenDocument file"
                fail(source.shown, None, f"is {what}; save its text, or a sheet as CSV.")
            if len(names) != 1:
                shown = ", ".join(map(repr, names[:10])) or "none"
                fail(source.shown, None, f"is a zip archive of {len(names)} files ({shown}); {_CURE}.")
            with archive.open(names[0]) as member:
                inner = _copy(member, Path(names[0]))
    except DataFormatError:
        raise
    except _DAMAGED as error:
        if matrix:
            return source  # its reader says what is wrong
        fail(source.shown, None, f"is a zip archive that is damaged or encrypted ({str(error)[:200]}).")
    inner.shown = source.shown
    with inner.naming():
        return _check_content(inner)
