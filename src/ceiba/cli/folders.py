"""The folder of a model that is about to be trained: whether it may be written is settled before the work."""

from __future__ import annotations

import os
from pathlib import Path

from ceiba.errors import InputError


def check_target(folder: Path, *, overwrite: bool, option: str = "--model-dir") -> None:
    """Raise InputError unless a model can be saved to a folder.

    A folder that exists must be empty, or hold a model and `overwrite` be set; a folder of other things is never
    touched. Else the nearest folder above must let a new one be made.
    """
    from ceiba._storage import MODEL_FILE

    if folder.exists() and not folder.is_dir():
        raise InputError(f"{option} {folder} is a file; a model is saved to a folder.")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MODEL_FILE).is_file():
            raise InputError(f"{option} {folder} holds other files and no model; give another folder.")
        if not overwrite:
            raise InputError(f"{option} {folder} holds a model already; --overwrite replaces it.")
    above = folder.absolute().parent
    while not above.exists():
        above = above.parent
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{option} {folder}: no folder can be made in {above}.")


def folder_size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
