"""One saver at a time: a lock on a model folder that the system releases when its holder ends, however it ends."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ceiba.io.layout import LOCK_FILE

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


@contextmanager
def saver_lock(folder: Path) -> Iterator[bool]:
    """Hold the lock of a model folder, which is made where it is missing; wait while another saver holds it.

    Yields
    ------
    bool
        False where the file system has no locks: another saver may be at work then.
    """
    descriptor, exclusive = _acquire(folder)
    try:
        yield exclusive
    finally:
        os.close(descriptor)


def _acquire(folder: Path) -> tuple[int, bool]:
    while True:
        descriptor = _open(folder)
        try:
            exclusive = _lock(descriptor)
            if _is_at(descriptor, folder / LOCK_FILE):
                return descriptor, exclusive
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # a saver that failed removed the file while this one waited


def _open(folder: Path) -> int:
    path = folder / LOCK_FILE
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            return os.open(path, os.O_RDONLY)  # another account's file, in a folder that this one may write to
        except FileNotFoundError:
            continue  # the folder was removed in between


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _lock_on_windows(descriptor: int) -> bool:
    try:
        import msvcrt
    except ImportError:
        return False
    while True:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:  # held by another
            time.sleep(0.05)
            continue
        return True
