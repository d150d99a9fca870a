"""FinishedPieces pieces of work in a folder, from which a training that was stopped goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.errors import ModelFormatError, StorageError
from ceiba.executors.nodes import version_of
from ceiba.io.layout import expand
from ceiba.io.tensors import read_tensors, replace_tensors

SUFFIX = ".piece.safetensors"

# settings that change no byte of a result
_IRRELEVANT = frozenset({"n_threads"})
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
        self._digests: WeakKeyDictionary[Any, bytes] = WeakKeyDictionary()
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
        return FinishedPieces(self, self.digest((version_of("ceiba"), name, dict(shared))))

    def file(self, base: bytes, arguments: Mapping[str, Any]) -> Path:
        """Return the path of a piece's file."""
        digest = hashlib.sha256(base + self.digest(dict(arguments))).hexdigest()
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

    def digest(self, value: Any) -> bytes:
        """Return a digest of arrays, settings and what holds them."""
        digest = hashlib.sha256()
        self._add(digest, value)
        return digest.digest()

    def _add(self, digest: Any, value: Any) -> None:
        """Add a value to a digest, each part after its kind and its length."""
        digest.update(f"{type(value).__qualname__}:".encode())
        if isinstance(value, np.ndarray) and value.dtype != object:
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        elif sp.issparse(value):
            self._add(digest, _sparse_parts(value))
        elif isinstance(value, tuple) and hasattr(value, "_asdict"):
            self._add(digest, value._asdict())
        elif isinstance(value, Mapping):
            self._add(digest, [(name, value[name]) for name in sorted(value) if name not in _IRRELEVANT])
        elif is_dataclass(value) and not isinstance(value, type):
            digest.update(self._of_object(value))
        elif isinstance(value, (list, tuple, np.ndarray)):
            digest.update(f"{len(value)},".encode())
            if all(isinstance(each, str) for each in value):
                for each in value:
                    digest.update(f"{len(each)},".encode() + each.encode("utf-8", "surrogatepass"))
            else:
                for each in value:
                    self._add(digest, each)
        elif value is None or isinstance(value, (str, bool, int, float, np.generic)):
            digest.update(repr(value).encode("utf-8", "surrogatepass"))
        else:
            self._add(digest, vars(value))

    def _of_object(self, value: Any) -> bytes:
        """Return the digest of a dataclass by its fields; computed once for what is large and does not change."""
        try:
            return self._digests[value]
        except (KeyError, TypeError):
            pass
        public = [each.name for each in fields(value) if not each.name.startswith("_")]
        found = self.digest({name: getattr(value, name) for name in public})
        with suppress(TypeError):  # cannot be hashed, or not be referred to weakly
            self._digests[value] = found
        return found


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
        return np.frombuffer(self._folder.digest(result), np.uint8)


def _sparse_parts(matrix: Any) -> tuple[Any, ...]:
    rows = matrix.tocsr()
    return rows.shape, rows.indptr, rows.indices, rows.data
