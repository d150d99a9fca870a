"""Finished pieces of work in a folder, from which a training that was stopped goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba.errors import ModelFormatError, StorageError
from ceiba.executors.digests import Digests
from ceiba.executors.nodes import version_of
from ceiba.io.layout import expand
from ceiba.io.tensors import read_tensors, replace_tensors

SUFFIX = ".piece.safetensors"

_CHECKSUM = "checksum"  # of the other arrays of a file


class WorkFolder:
    """A folder of finished pieces.

    The name of a file is a digest of all that the piece depends on: the function, its arguments and the version of
    Ceiba. A piece of other data or other parameters is therefore never taken for the one asked for.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = expand(path)
        self._digests = Digests()
        self._used: set[Path] = set()

    def prepare(self) -> None:
        """Make the folder; StorageError where it cannot be made or written to."""
        probe = self.path / f".probe-{os.getpid()}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StorageError(f"work_dir {self.path} cannot be written to", error) from error

    def finished_pieces(self, function: Callable[..., Any], shared: Mapping[str, Any]) -> FinishedPieces:
        """Return the finished pieces of one function and its shared arguments."""
        name = f"{function.__module__}.{function.__qualname__}"
        return FinishedPieces(self, self._digests.digest((version_of("ceiba"), name, dict(shared))))

    def file(self, base: bytes, arguments: Mapping[str, Any]) -> Path:
        """Return the path of a piece's file."""
        digest = hashlib.sha256(base + self._digests.digest(dict(arguments))).hexdigest()
        path = self.path / f"{digest[:32]}{SUFFIX}"
        self._used.add(path)
        return path

    def clear(self) -> None:
        """Remove the pieces that this run found or made, and the folder where nothing else is in it."""
        for path in self._used:
            path.unlink(missing_ok=True)
        self._used.clear()
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


class FinishedPieces:
    """The finished pieces of one function with the same shared arguments."""

    def __init__(self, folder: WorkFolder, base: bytes):
        self._folder, self._base = folder, base

    def find(self, arguments: Mapping[str, Any]) -> dict[str, NDArray] | None:
        """Return the result of a piece, mapped; None where it is not there, or damaged."""
        path = self._folder.file(self._base, arguments)
        try:
            found = read_tensors(path) if path.exists() else {}
        except ModelFormatError:
            return None
        checksum = found.pop(_CHECKSUM, None)
        return found if checksum is not None and np.array_equal(checksum, self._checksum(found)) else None

    def keep(self, arguments: Mapping[str, Any], result: dict[str, NDArray]) -> None:
        """Write the result of a piece, whole or not at all."""
        path = self._folder.file(self._base, arguments)
        try:
            replace_tensors(path, {**result, _CHECKSUM: self._checksum(result)})
        except OSError as error:
            raise StorageError(f"work_dir: {path} cannot be written", error) from error

    def _checksum(self, result: dict[str, NDArray]) -> NDArray[np.uint8]:
        """Return the digest of a result: a changed bit would else be a wrong model."""
        return np.frombuffer(Digests().digest(result), np.uint8)
