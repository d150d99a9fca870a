"""The errors Ceiba raises for what a user gave it; each names the argument, file or line at fault."""

from __future__ import annotations

from typing import Any


class CeibaError(Exception):
    """Base class of Ceiba's own errors; the command line prints one as a single line."""

    def __reduce__(self) -> tuple[Any, ...]:
        # by its attributes: the arguments of an error's class are not those of the exception
        return _restored, (type(self), self.args), self._state()

    def _state(self) -> dict[str, Any]:
        return dict(self.__dict__)


def _restored(kind: type[CeibaError], args: tuple[Any, ...]) -> CeibaError:
    """Return an error as it was, without a call of its class."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class InputError(CeibaError, ValueError):
    """An argument or an array has a value that cannot be used."""


class RowError(InputError):
    """A row of an argument has a value that cannot be used.

    Parameters
    ----------
    message : str
        The whole message.
    argument : str
        The argument, such as "X".
    row : int
        The number of the row, from 0.
    reason : str
        What is wrong with it, without the argument and the row.
    """

    def __init__(self, message: str, *, argument: str, row: int, reason: str):
        super().__init__(message)
        self.argument, self.row, self.reason = argument, row, reason


class InputTypeError(CeibaError, TypeError):
    """An argument has a type that cannot be used."""


class DataFormatError(CeibaError, ValueError):
    """A data file is damaged, of an unknown format, or lacks what was asked for."""


class ModelFormatError(CeibaError, ValueError):
    """A model folder is damaged, truncated, foreign, or of a newer format."""


class StorageError(CeibaError, OSError):
    """A file or folder cannot be read or written.

    Parameters
    ----------
    message : str
        What cannot be done, with the path.
    cause : OSError or None, default=None
        The system's error: its words end the message, its ``errno`` and ``filename`` are taken over.
    cure : str, default=""
        What the user can do about it.
    """

    def __init__(self, message: str, cause: OSError | None = None, cure: str = ""):
        if cause is not None:
            message = f"{message}: {cause.strerror or cause}"
            message = f"{message} ({cause.filename})." if cause.filename else f"{message}."
        super().__init__(f"{message} {cure}".strip())
        if cause is not None:
            self.errno, self.filename = cause.errno, cause.filename

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would print the number in place of the message

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "errno": self.errno, "filename": self.filename}


class MissingExtraError(CeibaError, ImportError):
    """An optional dependency is not installed; the message gives the pip command.

    Parameters
    ----------
    package : str
        The package that is missing.
    extra : str
        The extra of Ceiba that installs it.
    purpose : str
        What needs it, as the subject of a sentence.
    """

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'ceiba[{extra}]'")


class ClusterError(CeibaError, RuntimeError):
    """A cluster cannot be reached, its nodes do not fit together, or it has too little room for the work."""


class HubError(CeibaError):
    """The Hugging Face Hub refused a call, lacks what was asked for, or cannot be reached."""


class DataWarning(UserWarning):
    """A data file was read, but probably not as it is meant."""


class CalibrationWarning(UserWarning):
    """Scores of a model that was not calibrated are given where probabilities were asked for."""


class ForkError(CeibaError, RuntimeError):
    """The process was forked from one whose threads the work would wait for; the message says how to start it."""


class CollapseWarning(UserWarning):
    """Fine-tuning makes the embeddings of all texts alike."""
