"""Saving: a new generation beside the old one, then one rename that makes it the one that counts."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ceiba._params import Text
from ceiba.errors import ModelFormatError, StorageError
from ceiba.io.durable import finish_tree, sync_folder, write_file
from ceiba.io.layout import (
    FORMAT_VERSION,
    LOCK_FILE,
    MODEL_FILE,
    OLDEST_SEALED,
    OWN_PREFIX,
    POINTER_FILE,
    generation_name,
    generation_number,
)
from ceiba.io.lock import saver_lock
from ceiba.io.sealed import Fields, seal, unseal
from ceiba.io.targets import cannot_save, check_content, resolve

_NEW, _OLD, _POINTER = OWN_PREFIX + "new-", OWN_PREFIX + "old-", OWN_PREFIX + "pointer-"
_ABANDONED = 24 * 3600.0  # seconds: where there are no locks, what is younger may be another saver's


@dataclass(frozen=True)
class Pointer:
    """Which generation counts.

    Attributes
    ----------
    generation : str
        The name of its folder.
    manifest : str
        The SHA-256 of its manifest.
    """

    generation: str
    manifest: str


def read_pointer(folder: Path) -> Pointer | None:
    """Return the pointer of a model folder, None where it has none.

    Raises
    ------
    ModelFormatError
        When the file is damaged.
    """
    path = folder / POINTER_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    fields = unseal(content, path, versions=range(OLDEST_SEALED, FORMAT_VERSION + 1))
    name, digest = (fields.get(each, Text("a name")) for each in ("generation", "manifest_sha256"))
    if generation_number(name) is None or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ModelFormatError(f"{path} names no generation.")
    return Pointer(name, digest)


def current_generation(folder: str | Path) -> Path:
    """Return the folder of the generation that counts, for tools that read a part of a model by themselves.

    A later save removes it. ``ceiba.load`` reads safely beside saves.

    Parameters
    ----------
    folder : str or Path
        A model folder. Of format 2, which had no generations, it is returned itself.

    Raises
    ------
    ModelFormatError
        When the folder holds no model.
    """
    target = resolve(folder)
    pointer = read_pointer(target)
    if pointer is None and not (target / MODEL_FILE).is_file():
        if not target.is_dir():
            raise ModelFormatError(f"{folder} is not a folder; a saved model is a folder with a file {POINTER_FILE}.")
        raise ModelFormatError(f"{folder} holds no {POINTER_FILE}: it is not a model that ceiba saved.")
    return target if pointer is None else target / pointer.generation


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest of a folder, with the length and the SHA-256 of all other files; the last file of a save."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != MODEL_FILE:
            files[name] = {"bytes": path.stat().st_size, "sha256": checksum(path)}
    (folder / MODEL_FILE).write_bytes(seal({**content, "files": files}))


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_generation(folder: str | Path) -> Iterator[Path]:
    """Give a folder to write a model into, which becomes the model of `folder` when the block ends well.

    The block writes files and, by `write_manifest`, the manifest. Until the pointer is replaced the old model counts,
    from then on the new one. Savers wait for each other. What earlier saves left that were killed is removed.

    Raises
    ------
    InputError
        When the path is a file, or the folder holds something else.
    StorageError
        When the system does not let the model be written, a full disk for one. The old model stays.
    """
    target = resolve(folder)
    try:
        check_content(target, shown=str(folder))
        made = [above for above in (target, *target.parents) if not above.exists()]
        with saver_lock(target) as exclusive:
            published = False
            try:
                check_content(target, shown=str(folder))
                _sweep(target, exclusive)
                temporary = target / f"{_NEW}{os.urandom(6).hex()}"
                temporary.mkdir()
                try:
                    yield temporary
                    _publish(target, temporary, made)
                    published = True
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
                with suppress(OSError):  # the next save removes what cannot be removed now
                    _sweep(target, exclusive)
            finally:
                if made and not published:
                    _remove_empty(target)
    except StorageError:
        raise
    except OSError as error:
        raise cannot_save(folder, error) from error


def _publish(target: Path, temporary: Path, made: list[Path]) -> None:
    finish_tree(temporary)
    digest = checksum(temporary / MODEL_FILE)
    generation = _place(target, temporary)
    try:
        sync_folder(target)
        for folder in made:
            sync_folder(folder.parent)
        pointer = target / f"{_POINTER}{os.urandom(6).hex()}"
        try:
            write_file(pointer, seal({"generation": generation.name, "manifest_sha256": digest}))
            os.replace(pointer, target / POINTER_FILE)
        finally:
            pointer.unlink(missing_ok=True)
    except BaseException:
        if not _counts(target, generation, digest):
            shutil.rmtree(generation, ignore_errors=True)
        raise
    sync_folder(target)


def _place(target: Path, temporary: Path) -> Path:
    """Give a written generation its name: a number above all others, so that a name never stands for two models."""
    numbers = [generation_number(path.name) or 0 for path in target.iterdir()]
    with suppress(ModelFormatError):
        pointer = read_pointer(target)
        numbers.append(0 if pointer is None else generation_number(pointer.generation) or 0)
    number = 1 + max(numbers, default=0)
    while True:
        generation = target / generation_name(number)
        try:
            os.rename(temporary, generation)
        except OSError:
            if not generation.exists():
                raise
            number += 1  # of a saver beside this one, where there are no locks
            continue
        return generation


def _counts(target: Path, generation: Path, digest: str) -> bool:
    """Return whether the pointer names a generation already."""
    try:
        return read_pointer(target) == Pointer(generation.name, digest)
    except (ModelFormatError, OSError):
        return False


def _sweep(target: Path, exclusive: bool) -> None:
    """Remove what is not of the model that counts: older generations, and what a killed save left."""
    try:
        pointer = read_pointer(target)
    except ModelFormatError:  # which generation counts is not known: remove none
        return
    for path in sorted(target.iterdir()):
        if path.name == LOCK_FILE or not (exclusive or _abandoned(path)):
            continue
        if path.name.startswith(OWN_PREFIX):
            _remove(path)
        elif _is_generation(path) and (pointer is None or path.name != pointer.generation):
            hidden = target / f"{_OLD}{os.urandom(6).hex()}"
            os.rename(path, hidden)  # so that half a generation is known for what it is
            _remove(hidden)
    if pointer is not None:
        _sweep_format_2(target)


def _sweep_format_2(target: Path) -> None:
    """Remove a model of format 2, whose files stood at the top, once a generation counts in its place."""
    path = target / MODEL_FILE
    try:
        manifest = unseal(path.read_bytes(), path, versions=[2])
    except (OSError, ModelFormatError):
        return
    names = _names_of_files(manifest)
    for name in names:
        (target / name).unlink(missing_ok=True)
    for folder in sorted({above for name in names for above in (target / name).parents}, reverse=True):
        if target in folder.parents:
            with suppress(OSError):  # it holds something else too
                folder.rmdir()
    path.unlink()  # the list of what is to be removed goes last


def _names_of_files(manifest: Fields) -> list[str]:
    files = manifest.values.get("files")
    names: list[str] = list(files) if isinstance(files, dict) else []
    return [name for name in names if not Path(name).is_absolute() and ".." not in Path(name).parts]


def _is_generation(path: Path) -> bool:
    return generation_number(path.name) is not None and (path / MODEL_FILE).is_file()


def _abandoned(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _ABANDONED
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(target: Path) -> None:
    """Remove a folder that a save made and then failed to fill."""
    with suppress(OSError):
        if {path.name for path in target.iterdir()} <= {LOCK_FILE}:
            (target / LOCK_FILE).unlink(missing_ok=True)
            target.rmdir()
