"""JSON bodies: read once, checked by pydantic, described in OpenAPI."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from ceiba.serve.errors import ServiceError, of_validation

JSON, NDJSON = "application/json", "application/x-ndjson"

T = TypeVar("T", bound=BaseModel)


def check_media_type(request: Request, expected: str) -> None:
    """Refuse a body of another type.

    Raises
    ------
    ServiceError
        415.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != expected:
        raise ServiceError(415, f"Send the body as {expected}.", "content-type")


async def read_json(request: Request, schema: type[T]) -> T:
    """Return the body of a request as an object of a schema.

    pydantic parses the bytes itself. This is several times as fast as parsing and checking in turn, and half a
    surrogate pair is refused here.

    Raises
    ------
    ServiceError
        415 or 422.
    """
    check_media_type(request, JSON)
    body = await request.body()
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise of_validation(error.errors(include_url=False, include_input=False)) from None


def described(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the part of OpenAPI that describes a JSON body."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": _reference(schema)}}}}


def lines_of(line: type[BaseModel], *, example: str, or_string: bool = False) -> dict[str, Any]:
    """Return the part of OpenAPI that describes an NDJSON body.

    OpenAPI 3.1 has no word for the schema of a line; 3.2 calls it itemSchema.
    """
    schema: dict[str, Any] = _reference(line)
    if or_string:
        schema = {"anyOf": [schema, {"type": "string"}]}
    return {NDJSON: {"schema": {"type": "string"}, "x-itemSchema": schema, "example": example}}


def schemas_of(*schemas: type[BaseModel]) -> dict[str, Any]:
    """Return OpenAPI's components for the schemas of bodies, and for the schemas inside them."""
    found: dict[str, Any] = {}
    for schema in schemas:
        content = schema.model_json_schema(ref_template="#/components/schemas/{model}")
        found.update(content.pop("$defs", {}))
        found[schema.__name__] = content
    return found


def _reference(schema: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema.__name__}"}
