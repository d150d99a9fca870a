"""Errors that travel from a worker to the caller."""

from __future__ import annotations

from ceiba import errors
from ceiba.errors import CeibaError, InputError


class Failure:
    """What a piece raised, in a form that can travel: errors of Ceiba alone, by class and message."""

    def __init__(self, error: CeibaError):
        self.kind, self.message = type(error).__name__, str(error)

    def error(self) -> CeibaError:
        """Return the error again."""
        kind = getattr(errors, self.kind, InputError)
        return kind(self.message) if kind is not errors.MissingExtraError else InputError(self.message)
