"""Errors that travel from a worker to the caller."""

from __future__ import annotations

from dataclasses import dataclass

from ceiba.errors import CeibaError


@dataclass(frozen=True)
class Failure:
    """What a piece raised: an error of Ceiba, which is a result and no reason to do the piece again."""

    error: CeibaError
