"""Files that are on the disk when they are said to be, with the permissions that the umask gives new files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from ceiba.errors import StorageError

# of file systems that do not sync folders, and of folders that may be written to but not listed
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDWR)  # some systems sync only what is open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "nt":  # which opens no folders
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def write_file(path: Path, content: bytes) -> None:
    """Write a new file and sync it."""
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file at once and as a whole.

    Parameters
    ----------
    path : Path
        The file; it need not exist yet.
    write : callable
        Is called with the path of an empty file beside it, and writes there. It may replace that file.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        mode = _make_empty(temporary)
        write(temporary)
        _set_mode(temporary, mode)
        sync_file(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def finish_tree(folder: Path) -> None:
    """Give all files below a folder the permissions of new files, and sync files and folders.

    Libraries that write through temporary files of their own leave them readable by their owner alone.
    """
    probe = folder / ".ceiba-mode"
    file_mode = _make_empty(probe)
    probe.unlink()
    for above, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(above, name)
            _set_mode(path, file_mode)
            sync_file(path)
        sync_folder(Path(above))


def _make_empty(path: Path) -> int:
    with open(path, "xb") as file:
        return os.fstat(file.fileno()).st_mode & 0o777


def _set_mode(path: Path, mode: int) -> None:
    if path.stat().st_mode & 0o777 != mode:
        path.chmod(mode)


def cannot_read(path: Path, error: OSError) -> StorageError:
    """Return the error that says why a file cannot be read, and what to do about it."""
    cure = ""
    if isinstance(error, PermissionError):
        cure = "Let this account read it: chmod a+rX on the folder and what is in it, for one."
    return StorageError(f"{path} cannot be read", OSError(error.errno, error.strerror or str(error)), cure)
