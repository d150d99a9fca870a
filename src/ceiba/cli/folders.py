"""The folder of a model that is trained: tried before the work; after it the model is never lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ceiba.errors import InputError


def check_target(folder: Path, *, overwrite: bool, option: str = "--model-dir") -> None:
    """Raise an error unless a model can be saved to a folder; to be called before the data is read.

    Raises
    ------
    InputError
        When the folder is a file, holds something else, or a model and `overwrite` is not set.
    StorageError
        When it cannot be made or written to.
    """
    from ceiba.io import check_save_target, holds_model

    if not overwrite and holds_model(folder):
        raise InputError(f"{option} {folder} holds a model already; --overwrite replaces it.")
    check_save_target(folder, overwrite=overwrite)


def save(estimator: Any, folder: Path) -> tuple[Path, Exception | None]:
    """Save a trained model to its folder, or to another one where that fails.

    Returns
    -------
    where : Path
        The folder that the model is in.
    error : Exception or None
        What went wrong with the folder that was asked for.
    """
    from ceiba.errors import StorageError
    from ceiba.io import save_or_rescue

    errors: list[Exception] = []

    def attempt(target: Path) -> None:
        try:
            estimator.save(target)
        except Exception as error:  # whatever it is, the model must not be lost before every folder was tried
            errors.append(error)
            if isinstance(error, (OSError, InputError)):
                raise
            raise StorageError(f"No model can be saved to {target}: {error}") from error

    where = save_or_rescue(attempt, folder)
    return where, errors[0] if errors else None


def report_rescue(folder: Path, where: Path, error: Exception) -> None:
    """Tell people that a model is not where it should be."""
    from ceiba.cli.output import say

    say(f"error: the model could not be saved to {folder} ({error}). It is safe in {where}")


def folder_size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    from ceiba.io import expand

    return sum(path.stat().st_size for path in expand(folder).rglob("*") if path.is_file())
