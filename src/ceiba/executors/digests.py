"""Digests of what a piece of work depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp

from ceiba.errors import InputTypeError

# fields of settings that change no byte of a result
_IRRELEVANT = frozenset({"n_threads"})
_PLAIN_DTYPES = "biufcmMSUV?"  # of arrays whose bytes are their values


class Digests:
    """Digests of values, equal for equal values only; those of large objects that do not change are kept.

    A value is made of numbers, texts, arrays, sparse matrices, and sequences, mappings, named tuples and dataclasses of
    these. Of a dataclass the fields count that take part in its comparison (``field(compare=True)``).
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Any, bytes] = WeakKeyDictionary()

    def digest(self, value: Any) -> bytes:
        """Return the digest of a value.

        Raises
        ------
        InputTypeError
            When the value, or a part of it, is of another kind, so that equal ones cannot be told.
        """
        digest = hashlib.sha256()
        self._add(digest, value)
        return digest.digest()

    def _add(self, digest: Any, value: Any) -> None:
        """Add a value to a digest, each part after its kind and its length."""
        kind = type(value)
        digest.update(f"{kind.__module__}.{kind.__qualname__}:".encode())
        if value is None or isinstance(value, (bool, int, float, np.generic)):
            digest.update(f"{value!r},".encode("utf-8", "surrogatepass"))
        elif isinstance(value, str):
            self._add_bytes(digest, value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, bytes):
            self._add_bytes(digest, value)
        elif isinstance(value, np.ndarray) and value.dtype.kind in _PLAIN_DTYPES:
            digest.update(f"{value.dtype.descr}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        elif sp.issparse(value):
            matrix: Any = value
            rows = matrix.tocsr()
            self._add(digest, (rows.shape, rows.indptr, rows.indices, rows.data))
        elif isinstance(value, Mapping):
            self._add_mapping(digest, value.items())
        elif isinstance(value, tuple) and kind is not tuple:
            self._add_record(digest, zip(_names_of(value), value, strict=True))
        elif is_dataclass(value) and not isinstance(value, type):
            digest.update(self._of_object(value))
        elif isinstance(value, (list, tuple, np.ndarray)):
            self._add_sequence(digest, value)
        else:
            raise InputTypeError(
                f"work_dir: what a piece of work depends on holds a {kind.__qualname__}, and nothing tells whether two "
                "of these are equal. Leave work_dir out."
            )

    def _add_bytes(self, digest: Any, content: bytes) -> None:
        digest.update(f"{len(content)},".encode())
        digest.update(content)

    def _add_sequence(self, digest: Any, values: Any) -> None:
        digest.update(f"{len(values)},".encode())
        if all(type(each) is str for each in values):  # many, as texts are
            digest.update(b"texts")
            for each in values:
                self._add_bytes(digest, each.encode("utf-8", "surrogatepass"))
            return
        for each in values:
            self._add(digest, each)

    def _add_mapping(self, digest: Any, items: Iterable[tuple[Any, Any]]) -> None:
        """Add pairs in an order of their own: keys of several types have none."""
        entries = sorted((self.digest(name), value) for name, value in items)
        digest.update(f"{len(entries)},".encode())
        for name, value in entries:
            digest.update(name)
            self._add(digest, value)

    def _add_record(self, digest: Any, items: Iterable[tuple[str, Any]]) -> None:
        self._add_mapping(digest, [(name, value) for name, value in items if name not in _IRRELEVANT])

    def _of_object(self, value: Any) -> bytes:
        """Return the digest of a dataclass by its fields; computed once for what is large and does not change."""
        try:
            return self._known[value]
        except (KeyError, TypeError):
            pass
        own = hashlib.sha256()
        self._add_record(own, [(each.name, getattr(value, each.name)) for each in fields(value) if each.compare])
        with suppress(TypeError):  # cannot be hashed, or not be referred to weakly
            self._known[value] = own.digest()
        return own.digest()


def _names_of(record: Any) -> tuple[str, ...]:
    """Return the fields of a named tuple; no names of another subclass of tuple, which is then refused."""
    names = getattr(record, "_fields", None)
    if names is None:
        raise InputTypeError(f"work_dir: what a piece of work depends on holds a {type(record).__qualname__}.")
    return names
