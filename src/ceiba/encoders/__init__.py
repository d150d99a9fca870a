"""Texts to dense embeddings: encoders, their tokens, and what comes out of them. Needs the extra ceiba[transformer]."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["FROZEN", "Encoder", "TokenRows", "load_encoder"]

FROZEN = "frozen:"  # before the name of an encoder that is used as it is

# Loaded on first use: torch takes seconds to import.
_HOMES = {
    "Encoder": "ceiba.encoders.encoder",
    "TokenRows": "ceiba.encoders.tokens",
    "load_encoder": "ceiba.encoders.load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ceiba.encoders' has no attribute {name!r}")
