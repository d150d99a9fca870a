"""Where a model is saved to: whether that will work is settled before training, and a trained model is never lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ceiba.errors import InputError, StorageError
from ceiba.io.layout import OWN_PREFIX, expand, foreign_content, holds_model

_PROBE_BYTES = 4096  # a full disk still makes empty files


def resolve(folder: str | Path) -> Path:
    """Return the folder that a path stands for: ``~`` expanded, symbolic links followed, also those to nothing yet."""
    return Path(os.path.realpath(expand(folder)))


def check_save_target(folder: str | Path, *, overwrite: bool = True) -> None:
    """Raise an error unless a model can be saved to a folder; to be called before training.

    All that a save needs is tried: folders are made, a file is written, synced and removed. Afterwards everything is as
    it was. A save can still fail later, where the disk fills up meanwhile; see `save_or_rescue`.

    Parameters
    ----------
    folder : str or Path
        Where the model is to go: a new folder, an empty one (``.`` or a mount point too), or that of an older model.
    overwrite : bool, default=True
        Whether an older model may be replaced.

    Raises
    ------
    InputError
        When the path is a file, the folder holds something else, or a model that must not be replaced.
    StorageError
        When the folder cannot be made or written to. It is an OSError too; ``errno`` and ``filename`` say more.
    """
    target = resolve(folder)
    try:
        check_content(target, shown=str(folder))
        if not overwrite and target.is_dir() and holds_model(target):
            raise InputError(f"{folder} holds a model already.")
        with _made(target):
            _write_probe(target)
    except OSError as error:
        raise cannot_save(folder, error) from error


def check_content(target: Path, *, shown: str) -> None:
    """Raise InputError where a path is a file, or a folder of something else than a model."""
    if target.is_dir():
        other = foreign_content(target)
        if other is not None:
            raise InputError(
                f"{shown} holds other files and no model ({other!r} for one); give another folder for the model."
            )
    elif os.path.lexists(target):
        raise InputError(f"{shown} is a file; a model is saved to a folder.")


def cannot_save(folder: str | Path, error: OSError) -> StorageError:
    """Return the error that says why a model cannot be saved to a folder."""
    return StorageError(f"No model can be saved to {folder}", error)


def rescue_folder(folder: str | Path) -> Path:
    """Return a new folder for a model that could not be saved where it should be.

    Parameters
    ----------
    folder : str or Path
        Where the model should have gone.

    Returns
    -------
    Path
        ``<folder>-rescued`` beside it, or in the temporary folder where that does not work. It does not exist yet, but
        has passed `check_save_target`.

    Raises
    ------
    StorageError
        When neither can be written to.
    """
    for candidate in _rescue_folders(resolve(folder)):
        try:
            check_save_target(candidate, overwrite=False)
        except (StorageError, InputError):
            continue
        return candidate
    raise StorageError(f"No folder for the model was found beside {folder} or in {tempfile.gettempdir()}.")


def save_or_rescue(save: Callable[[Path], object], folder: str | Path) -> Path:
    """Save a freshly trained model; where that fails, save it to another folder.

    Parameters
    ----------
    save : callable
        Saves the model to the folder it is called with: ``model.save``.
    folder : str or Path
        Where the model should go.

    Returns
    -------
    Path
        Where it went: `folder`, or else a folder as `rescue_folder` finds it. The caller tells the user.

    Raises
    ------
    OSError, InputError
        The error of the first attempt, when no other folder worked either.
    """
    try:
        save(Path(folder))
    except (OSError, InputError) as error:
        for candidate in _rescue_folders(resolve(folder)):
            try:
                check_save_target(candidate, overwrite=False)
                save(candidate)
            except (OSError, InputError):
                continue
            return candidate
        raise error
    return Path(folder)


def _rescue_folders(target: Path) -> Iterator[Path]:
    for above in (target.parent, Path(tempfile.gettempdir())):
        number = 1
        name = f"{target.name or 'model'}-rescued"
        while os.path.lexists(above / (name if number == 1 else f"{name}-{number}")):
            number += 1
        yield above / (name if number == 1 else f"{name}-{number}")


class _made:
    """Makes a folder and those above it for the length of a block; removes again what it made."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._own: list[Path] = []

    def __enter__(self) -> None:
        missing = []
        above = self._folder
        while not above.is_dir() and above != above.parent:
            missing.append(above)
            above = above.parent
        try:
            for each in reversed(missing):
                each.mkdir()
                self._own.append(each)
        except OSError:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._own):
            try:
                each.rmdir()
            except OSError:  # somebody else uses it now
                return


def _write_probe(folder: Path) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f"{OWN_PREFIX}probe-", dir=folder)
    try:
        try:
            os.write(descriptor, bytes(_PROBE_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(name, f"{name}-renamed")
        name = f"{name}-renamed"
    finally:
        os.unlink(name)
