"""Where answers go: a file that is replaced whole, or a device, pipe or socket that is written into."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ceiba.errors import InputError
from ceiba.io import expand

_MAX_LINKS = 40
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # errors of a write, which do not name the file
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|\d+))/fd/(\d+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


class Target:
    """An output that was found to be fit to be written to; nothing is touched before `open`.

    Parameters
    ----------
    name : str
        The path that the user gave.
    inputs : sequence of Path
        The files and folders that are read. "-" is standard input.
    model : Path or None, default=None
        The folder of the model, which is never written into.
    overwrite : bool, default=False
        Whether the output may be one of the inputs.

    Attributes
    ----------
    names : list of Path
        The name that was given and the name it leads to through links; their suffixes tell the format.

    Raises
    ------
    InputError
        When the output is a folder, its folder does not exist, it may not be written, or it is an input.
    """

    def __init__(self, name: str, inputs: Sequence[Path] = (), *, model: Path | None = None, overwrite: bool = False):
        self._name = name
        self._descriptor, self._path = _follow(name)
        self.names = [Path(name), self._path]
        self._status = self._look()
        self.regular = self._descriptor is None and (self._status is None or stat.S_ISREG(self._status.st_mode))
        if self.regular:
            self._check_regular()
        self._check_inputs(inputs, model, overwrite)

    def _look(self) -> os.stat_result | None:
        try:
            return os.fstat(self._descriptor) if self._descriptor is not None else os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{self._name}: cannot be written ({error.strerror}).") from None

    def _check_regular(self) -> None:
        folder = self._path.parent
        if self._name.endswith(os.sep):
            raise InputError(f"{self._name} is named as a folder; the answers need a file.")
        if not folder.is_dir():
            raise InputError(f"{self._name}: {folder}: no such folder.")
        target, mode = (folder, os.W_OK | os.X_OK) if self._status is None else (self._path, os.W_OK)
        if not os.access(target, mode):
            raise InputError(f"{self._name}: no permission to write {target}.")

    def _check_inputs(self, inputs: Sequence[Path], model: Path | None, overwrite: bool) -> None:
        if self._status is not None and stat.S_ISDIR(self._status.st_mode):
            raise InputError(f"{self._name} is a folder; the answers need a file.")
        if model is not None and _is_inside(self._path, model):
            raise InputError(f"{self._name} is inside the folder of the model; give another file.")
        for path in inputs:
            if not self.regular and self._is_same(path):  # it would read its own answers without end
                raise InputError(f"{self._name} is the same file as the input {path}; give another file.")
            if overwrite:
                continue
            if self._is_same(path):
                raise InputError(f"{self._name} is the same file as the input {path}; --overwrite replaces it.")
            if self.regular and path.is_dir() and _is_inside(self._path, path):
                raise InputError(f"{self._name} is inside the input {path}; --overwrite writes it there.")

    def _is_same(self, path: Path) -> bool:
        if self._status is None or not (stat.S_ISREG(self._status.st_mode) or stat.S_ISFIFO(self._status.st_mode)):
            return False
        try:
            return os.path.samestat(self._status, os.fstat(0) if str(path) == "-" else os.stat(path))
        except (OSError, ValueError):
            return False

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Give a file of bytes; a regular target is replaced when the block ends well, otherwise nothing changes."""
        try:
            with self._replacing() if self.regular else self._special() as file:
                yield file
        except OSError as error:
            if error.errno not in _FULL or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, self._name) from error

    def _special(self) -> BinaryIO:
        if self._descriptor is not None:
            if self._descriptor == 1:
                sys.stdout.flush()
            return os.fdopen(os.dup(self._descriptor), "wb")
        if self._status is not None and stat.S_ISSOCK(self._status.st_mode):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(os.fspath(self._path))
                return connection.makefile("wb")
        return self._path.open("wb")

    @contextmanager
    def _replacing(self) -> Iterator[BinaryIO]:
        folder = self._path.parent
        if not os.access(folder, os.W_OK | os.X_OK):  # the file alone may be written
            with tempfile.TemporaryFile() as spool:
                yield spool
                self._copy(spool)
            return
        handle, temporary = tempfile.mkstemp(prefix=f".{self._path.name[:200]}.", dir=folder)
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file
                file.flush()
                self._set_permissions(handle)
                os.fsync(handle)
                try:
                    os.replace(temporary, self._path)
                    return
                except OSError as error:
                    if error.errno not in (errno.EBUSY, errno.EXDEV):  # a single file that is mounted into a container
                        raise
                self._copy(file)
                os.unlink(temporary)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def _set_permissions(self, handle: int) -> None:
        """Give the new file the owner and the mode of the old one, or the mode of the umask."""
        if self._status is None:
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(handle, 0o666 & ~umask)
            return
        with suppress(PermissionError):
            os.fchown(handle, self._status.st_uid, self._status.st_gid)
        os.fchmod(handle, stat.S_IMODE(self._status.st_mode))

    def _copy(self, source: BinaryIO) -> None:
        source.seek(0)
        with self._path.open("wb") as file:
            shutil.copyfileobj(source, file)


def _follow(name: str) -> tuple[int | None, Path]:
    """Follow links to the file that is meant, and tell the descriptor where one is named, as by /dev/stdout.

    A descriptor is told apart from the file behind it: what others wrote to that file, and will write, must stay.
    """
    path = expand(name).absolute()
    for _ in range(_MAX_LINKS):
        place = Path(os.path.realpath(path.parent)) / path.name
        for each in (path, place):
            if str(each) in _STANDARD:
                return _STANDARD[str(each)], path
            if (found := _DESCRIPTOR.fullmatch(str(each))) and each.parent in _own_descriptors():
                return int(found[1]), path
        if not place.is_symlink():
            return None, place
        path = place.parent / os.readlink(place)
    raise InputError(f"{name}: too many links.")


def _own_descriptors() -> tuple[Path, ...]:
    return Path("/dev/fd"), Path("/proc/self/fd"), Path("/proc/thread-self/fd"), Path(f"/proc/{os.getpid()}/fd")


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(folder)) in path.parents
