"""Arrays and models on disk: safetensors and JSON in a folder, written whole or not at all, checked when read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ceiba.errors import InputError, ModelFormatError

FORMAT_VERSION = 2
_OLDEST_READ = 2  # before it, one large cluster changed how all of its level were stored
MODEL_FILE = "model.json"

_DTYPES = {
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
}


def write_tensors(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Write arrays to a safetensors file."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def read_tensors(path: Path) -> dict[str, NDArray]:
    """Map the arrays of a safetensors file, read-only; the pages are read when they are used.

    Raises
    ------
    ModelFormatError
        When the file is missing, truncated, damaged or not a safetensors file.
    """
    try:
        with safe_open(path, framework="numpy") as file:  # checks the header against the file's length
            names = list(file.keys())
        with open(path, "rb") as raw:
            header_length = int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(header_length))
        arrays: dict[str, NDArray] = {}
        data = np.memmap(path, np.uint8, mode="r", offset=0)
        for name in names:
            begin, end = header[name]["data_offsets"]
            part = data[8 + header_length + begin : 8 + header_length + end]
            array = part.view(_DTYPES[header[name]["dtype"]]).reshape(header[name]["shape"])
            # the file aligns by type size unless another program wrote it
            arrays[name] = array.view(np.ndarray) if array.flags.aligned else np.array(array)
        return arrays
    except (OSError, SafetensorError, KeyError, ValueError, json.JSONDecodeError) as error:
        raise ModelFormatError(f"{path} is not a safetensors file of a model, or it is damaged: {error}") from error


@contextmanager
def atomic_folder(folder: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` when the block ends well.

    A folder that stands there is replaced only when it holds a model or nothing. What was there before is whole until
    the new one is; a crash in between leaves a folder whose name begins with a dot, and nothing else.
    """
    folder = Path(folder)
    if folder.exists():
        if not folder.is_dir():
            raise InputError(f"{folder} is a file; a model is saved to a folder.")
        if any(folder.iterdir()) and not (folder / MODEL_FILE).exists():
            raise InputError(f"{folder} holds other files and no model; give another folder for the model.")
        if not overwrite:
            raise InputError(f"{folder} exists already.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        for path in _files(temporary):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)  # mkdtemp's folder is its maker's alone
        if folder.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                os.rename(folder, retired / "old")
                os.rename(temporary, folder)
            except BaseException:
                if not folder.exists() and (retired / "old").exists():
                    os.rename(retired / "old", folder)
                raise
            finally:
                if folder.exists():  # else the old model is in there, and must stay
                    shutil.rmtree(retired, ignore_errors=True)
        else:
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write model.json with the format version and the checksum of every other file; the last step of a save."""
    files = {path.relative_to(folder).as_posix(): checksum(path) for path in _files(folder)}
    content = {"format": "ceiba", "format_version": FORMAT_VERSION, **manifest, "files": files}
    (folder / MODEL_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read model.json and check that every file it names is there and whole.

    Raises
    ------
    ModelFormatError
        When the folder holds no model, one of another format or of a newer version, or a file differs from what was
        saved; the message names the file.
    """
    folder = Path(folder)
    path = folder / MODEL_FILE
    if not folder.is_dir():
        raise ModelFormatError(f"{folder} is not a folder; a saved model is a folder with a file {MODEL_FILE}.")
    if not path.is_file():
        raise ModelFormatError(f"{folder} holds no {MODEL_FILE}: it is not a model that ceiba saved.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "ceiba":
        raise ModelFormatError(f"{path} is not of a model that ceiba saved.")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise ModelFormatError(f"{path} has no valid format_version.")
    if version < _OLDEST_READ:
        raise ModelFormatError(
            f"{path} has format version {version}, this ceiba reads {_OLDEST_READ} and later: train the model again."
        )
    if version > FORMAT_VERSION:
        raise ModelFormatError(
            f"{path} has format version {version}, this ceiba reads up to {FORMAT_VERSION}: a newer ceiba is needed."
        )
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise ModelFormatError(f"{path} lists no files.")
    for name, expected in files.items():
        part = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not part.is_file():
            raise ModelFormatError(f"{part} is missing from the model.")
        if checksum(part) != expected:
            raise ModelFormatError(f"{part} is damaged: its content is not what was saved.")
    return manifest
