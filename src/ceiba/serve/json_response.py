"""JSON as bytes, for any string that Python can hold."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from starlette.responses import JSONResponse


def to_bytes(value: Any) -> bytes:
    """Return a value as JSON. Half a surrogate pair, which UTF-8 cannot hold, becomes an escape."""
    try:
        return to_json(value, inf_nan_mode="null")
    except (PydanticSerializationError, UnicodeEncodeError):
        return json.dumps(value, separators=(",", ":")).encode()


class JsonResponse(JSONResponse):
    """An answer in JSON."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return to_bytes(content)
