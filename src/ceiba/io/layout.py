"""The names in a model folder.

A model folder holds generations and one pointer file::

    model/
        current.json        names the generation that counts; replaced by rename
        model-0007/         one saved model; never changed once it is there
            model.json      the manifest
            ...

Names that begin with ``.ceiba-`` are the saver's own: what it is still writing, what it is removing, its lock.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ceiba.errors import InputError

FORMAT_VERSION = 4
OLDEST_SEALED = 3  # since then, models stand in generations and files of JSON carry a checksum
OLDEST_READ = 2  # before it, one large cluster changed how all of its level were stored
POINTER_FILE = "current.json"
MODEL_FILE = "model.json"  # the manifest of a generation; of format 2, which had no generations, at the top

OWN_PREFIX = ".ceiba-"
LOCK_FILE = OWN_PREFIX + "lock"

_GENERATION = re.compile(r"model-(\d{4,18})")
# what file systems and desktops put into folders that are empty to their users
_NOT_CONTENT = frozenset({"lost+found", ".DS_Store", "desktop.ini", "Thumbs.db"})


def generation_name(number: int) -> str:
    """Return the name of a generation's folder."""
    return f"model-{number:04}"


def generation_number(name: str) -> int | None:
    """Return the number of a generation's folder, None where the name is not of one."""
    match = _GENERATION.fullmatch(name)
    return int(match[1]) if match else None


def expand(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` expanded; InputError where it is empty or names a user that does not exist."""
    if not os.fspath(path):
        raise InputError("The name of the folder is empty.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: no such user; write ./{path} for a folder of this name.") from None


def holds_model(folder: str | Path) -> bool:
    """Return whether a model was saved to a folder, in this layout or the one before."""
    return any((expand(folder) / name).is_file() for name in (POINTER_FILE, MODEL_FILE))


def foreign_content(folder: Path) -> str | None:
    """Return the name of something in a folder that is not of a model, None where there is nothing.

    Remains of a save that was stopped are not foreign: the next save removes them.
    """
    if holds_model(folder):
        return None
    for path in sorted(folder.iterdir()):
        own = path.name.startswith(OWN_PREFIX) or path.name in _NOT_CONTENT
        unfinished = generation_number(path.name) is not None and (path / MODEL_FILE).is_file()
        if not own and not unfinished:
            return path.name
    return None
