"""JSON files that carry a checksum over themselves: one changed character is found, wherever it is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ceiba._params import Constraint, describe
from ceiba.errors import ModelFormatError
from ceiba.io.layout import FORMAT_VERSION, OLDEST_READ, OLDEST_SEALED

_FORMAT = "ceiba"
_SEAL = re.compile(rb',\n "checksum": "([0-9a-f]{64})"\n}\n\Z')


class Fields:
    """The fields of a JSON object, each of a declared kind.

    Parameters
    ----------
    values : dict
    path : Path
        The file they are from, which errors name.
    """

    def __init__(self, values: Mapping[str, Any], path: Path):
        self.values, self.path = values, path

    def get(self, name: str, *kinds: Constraint) -> Any:
        """Return a field; ModelFormatError where it is missing or of none of the kinds."""
        if name not in self.values:
            raise ModelFormatError(f"{self.path} lacks the field {name!r}.")
        value = self.values[name]
        if not any(kind.accepts(value) for kind in kinds):
            shown = repr(value) if len(repr(value)) < 80 else f"{repr(value)[:77]}..."
            raise ModelFormatError(f"{self.path}: the field {name!r} must be {describe(kinds)}. Got {shown} instead.")
        return value

    def within(self, name: str) -> Fields:
        """Return the fields of a field that is an object itself."""
        return Fields(self.get(name, OBJECT), self.path)


class _OfType(Constraint):
    """Values of one JSON type."""

    def __init__(self, kind: type, words: str):
        self._kind, self._words = kind, words

    def accepts(self, value: Any) -> bool:
        return type(value) is self._kind

    def __str__(self) -> str:
        return self._words


OBJECT, LIST, STRING = _OfType(dict, "an object"), _OfType(list, "a list"), _OfType(str, "a string")


def dump_json(content: Any, *, indent: int | None = None) -> bytes:
    """Return JSON as UTF-8. Python's texts may hold half a surrogate pair, which strict UTF-8 cannot write."""
    separators = (",", ":") if indent is None else None
    return json.dumps(content, ensure_ascii=False, indent=indent, separators=separators).encode(
        "utf-8", "surrogatepass"
    )


def parse_json(content: bytes, path: Path) -> Any:
    """Read JSON; ModelFormatError naming the file where it is none."""
    try:
        return json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is damaged: {error}") from error


def seal(content: Mapping[str, Any]) -> bytes:
    """Return the text of a JSON object with format, version and the checksum of all that stands before it."""
    names = ("format", "format_version", "checksum")
    head = {"format": _FORMAT, "format_version": FORMAT_VERSION}
    text = dump_json({**head, **{name: value for name, value in content.items() if name not in names}}, indent=1)
    body = text.removesuffix(b"\n}")
    return body + b',\n "checksum": "' + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


def unseal(content: bytes, path: Path, *, versions: Sequence[int] = range(OLDEST_READ, FORMAT_VERSION + 1)) -> Fields:
    """Read what `seal` made, or a manifest of format 2, which had no checksum.

    Raises
    ------
    ModelFormatError
        When the text is damaged, of something else, or of a version that this Ceiba does not read.
    """
    values = parse_json(content, path)
    if not isinstance(values, dict) or values.get("format") != _FORMAT:
        raise ModelFormatError(f"{path} is not of a model that ceiba saved.")
    version = values.get("format_version")
    if type(version) is not int or version < 1:
        raise ModelFormatError(f"{path} has no valid format_version.")
    if version < OLDEST_READ:
        raise ModelFormatError(
            f"{path} has format version {version}, this ceiba reads {OLDEST_READ} and later: train the model again."
        )
    found = _SEAL.search(content)
    if found is not None or OLDEST_SEALED <= version <= FORMAT_VERSION or "checksum" in values:
        body = content[: found.start()] if found is not None else b""
        if found is None or hashlib.sha256(body).hexdigest().encode() != found[1]:
            raise ModelFormatError(f"{path} is damaged: its content is not what was saved.")
    if version not in versions:
        raise ModelFormatError(
            f"{path} has format version {version}, this ceiba reads up to {FORMAT_VERSION}: a newer ceiba is needed."
        )
    return Fields(values, path)
