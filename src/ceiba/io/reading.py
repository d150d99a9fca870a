"""Loading: the pointer first, then every file once, checked and mapped through the handle that opened it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from numpy.typing import NDArray

from ceiba.errors import CeibaError, ModelFormatError
from ceiba.io.durable import cannot_read
from ceiba.io.generations import Pointer, read_pointer
from ceiba.io.layout import MODEL_FILE, POINTER_FILE, expand
from ceiba.io.sealed import OBJECT, Fields, parse_json, unseal
from ceiba.io.tensors import tensors_of

_ATTEMPTS = 1000  # each is the load of a model that was replaced before it was read

T = TypeVar("T")


class FolderFiles:
    """The files of a folder, each opened once and read through that handle.

    Parameters
    ----------
    folder : Path
    mmap : bool, default=True
        Whether arrays are mapped or copied.
    """

    def __init__(self, folder: Path, *, mmap: bool = True):
        self.folder, self.mmap = folder, mmap
        self.complete = False  # whether all files are open that may be read: those that were checked
        self._prefix = PurePosixPath()
        self._open: dict[str, BufferedReader] = {}
        self._stack = ExitStack()

    def __enter__(self) -> FolderFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def part(self, name: str) -> FolderFiles:
        """Return the files of a folder in this one; they are closed with it."""
        part = FolderFiles(self.folder, mmap=self.mmap)
        part.complete, part._prefix = self.complete, self._prefix / name
        part._open, part._stack = self._open, self._stack
        return part

    def path(self, name: str = "") -> Path:
        """Return the path of a file."""
        return self.folder / self._prefix / name

    def open(self, name: str) -> BufferedReader:
        """Return the handle of a file, at its beginning.

        Raises
        ------
        ModelFormatError
            When there is no such file.
        StorageError
            When the system does not let it be read.
        """
        full = str(self._prefix / name)
        file = self._open.get(full)
        if file is None:
            path = self.path(name)
            if self.complete:
                raise ModelFormatError(f"{path} is missing from the model.")
            try:
                file = self._open[full] = self._stack.enter_context(_opened(path))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise ModelFormatError(f"{path} is missing from the model.") from None
            except OSError as error:
                raise cannot_read(path, error) from error
        file.seek(0)
        return file

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        file = self.open(name)
        try:
            return file.read()
        except OSError as error:
            raise cannot_read(self.path(name), error) from error

    def json(self, name: str) -> Any:
        """Return the content of a JSON file."""
        return parse_json(self.read(name), self.path(name))

    def tensors(self, name: str) -> dict[str, NDArray]:
        """Return the arrays of a safetensors file."""
        file = self.open(name)
        try:
            return tensors_of(file, self.path(name), mmap=self.mmap)
        except OSError as error:
            raise cannot_read(self.path(name), error) from error

    def manifest(self) -> Fields:
        """Return the manifest."""
        return unseal(self.read(MODEL_FILE), self.path(MODEL_FILE))

    def check_names(self) -> None:
        """Raise ModelFormatError where the name of an open file stands for another file by now.

        For libraries that read by name what was checked through the handle.
        """
        for full, file in self._open.items():
            path = self.folder / full
            try:
                same = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
            except FileNotFoundError:
                same = False
            if not same:
                raise ModelFormatError(f"{path} was replaced while the model was loaded; load it again.")


def read_model(folder: str | Path, read: Callable[[FolderFiles], T], *, mmap: bool = True, verify: bool = True) -> T:
    """Read a saved model while others may be saved in its place.

    Parameters
    ----------
    folder : str or Path
    read : callable
        Makes the model of its files. It is called again where the model was replaced and its files went meanwhile.
    mmap : bool, default=True
        Whether arrays are mapped or copied.
    verify : bool, default=True
        Whether the content of every file is held against its checksum. Lengths are compared in any case.

    Raises
    ------
    ModelFormatError
        When the folder holds no model, or a damaged one; the message names the file.
    StorageError
        When the system does not let a file be read.
    """
    given = expand(folder)
    for attempt in range(_ATTEMPTS):
        target = Path(os.path.realpath(given))  # a link that is turned elsewhere meanwhile does not mix two models
        pointer = _pointer(target)
        try:
            with FolderFiles(target if pointer is None else target / pointer.generation, mmap=mmap) as files:
                _check(files, pointer, verify)
                return read(files)
        except (CeibaError, OSError):
            if attempt + 1 == _ATTEMPTS or _pointer(target) == pointer:
                raise
    raise AssertionError("unreachable")


def _opened(path: Path) -> BufferedReader:
    return open(path, "rb")


def _pointer(folder: Path) -> Pointer | None:
    try:
        if not folder.is_dir():
            raise ModelFormatError(f"{folder} is not a folder; a saved model is a folder with a file {POINTER_FILE}.")
        return read_pointer(folder)
    except OSError as error:
        raise cannot_read(folder / POINTER_FILE, error) from error


def _check(files: FolderFiles, pointer: Pointer | None, verify: bool) -> None:
    """Open all files of a model, and compare them with the manifest."""
    if pointer is None and not files.path(MODEL_FILE).is_file():
        raise ModelFormatError(f"{files.folder} holds no {POINTER_FILE}: it is not a model that ceiba saved.")
    content = files.read(MODEL_FILE)
    if pointer is not None and hashlib.sha256(content).hexdigest() != pointer.manifest:
        raise ModelFormatError(f"{files.path(MODEL_FILE)} is damaged: its content is not what was saved.")
    fields = unseal(content, files.path(MODEL_FILE))
    listed = fields.get("files", OBJECT)
    handles = {}
    for name, entry in listed.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name or "\0" in name:
            raise ModelFormatError(f"{fields.path} lists {name!r}, which is missing from the model's folder.")
        handles[name] = files.open(name), *_entry(fields, name, entry)
    files.complete = True
    for name, (file, size, digest) in handles.items():
        try:
            whole = size is None or os.fstat(file.fileno()).st_size == size
            if not whole or (verify and hashlib.file_digest(file, "sha256").hexdigest() != digest):
                raise ModelFormatError(f"{files.path(name)} is damaged: its content is not what was saved.")
        except OSError as error:
            raise cannot_read(files.path(name), error) from error


def _entry(fields: Fields, name: str, entry: Any) -> tuple[int | None, str]:
    """Return length and SHA-256 of a file; format 2 had no lengths."""
    size, digest = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, Mapping) else (None, entry)
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest) or type(size) not in (int, type(None)):
        raise ModelFormatError(f"{fields.path}: the entry of the file {name!r} is not a length and a SHA-256.")
    return size, digest
