"""What schemathesis must know of this service: bodies of lines. `benchmarks.fuzz` loads it."""

from __future__ import annotations

import json
from typing import Any

import schemathesis

from benchmarks.soak import LABELS

_NDJSON = "application/x-ndjson"
_KNOWN = {"label": LABELS, "model": ["linear", "hybrid"], "project_id": ["linear", "hybrid"]}


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Describe a body of lines as a list, and name labels and models, so that more requests reach one."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            bodies = [operation.get("requestBody", {}), *operation.get("responses", {}).values()]
            for content in (body.get("content", {}) for body in bodies):
                if _NDJSON in content:
                    content[_NDJSON] = {"schema": {"type": "array", "items": content[_NDJSON]["x-itemSchema"]}}
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _often_known(parameter["name"], parameter["schema"])
    bodies = raw_schema["components"]["schemas"]
    explain, predict = bodies["ExplainRequest"]["properties"], bodies["PredictRequest"]["properties"]
    for name in ("label", "model"):
        explain[name] = {"enum": _KNOWN[name]}
    predict["model"] = _often_known("model", predict["model"])
    for name in ("allowed", "denied"):
        predict[name] = {"anyOf": [{"type": "array", "items": {"enum": LABELS}}, predict[name]]}


def _often_known(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"enum": _KNOWN[name]}, schema]} if name in _KNOWN else schema


@schemathesis.serializer(_NDJSON)
def as_lines(context: Any, value: Any) -> bytes:
    """Return a list as lines, and any other value, which should be refused, as one line."""
    lines = value if isinstance(value, list) else [value]
    return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.deserializer(_NDJSON)
def of_lines(context: Any, response: Any) -> Any:
    """Return the lines of an answer as a list."""
    return [json.loads(line) for line in response.content.splitlines()]
