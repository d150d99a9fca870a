"""Every error of the service in one form: the problem details of RFC 9457, which Annif's clients read too."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from ceiba._shorten import shorten
from ceiba.errors import InputError, InputTypeError
from ceiba.serve.json_response import JsonResponse

logger = logging.getLogger("ceiba.serve")

CLIENT_GONE = 499  # nobody reads it; the counters show it
PROBLEM = "application/problem+json"

_TITLES = {
    400: ("bad_request", "Bad request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    408: ("timeout", "Request timeout"),
    413: ("too_large", "Content too large"),
    415: ("unsupported_media_type", "Unsupported media type"),
    422: ("invalid", "Invalid request"),
    431: ("headers_too_large", "Headers too large"),
    CLIENT_GONE: ("client_gone", "The client has gone"),
    500: ("internal_error", "Internal error"),
    503: ("overloaded", "Service unavailable"),
}
_LONGEST = 500  # characters of what an error quotes


class ServiceError(HTTPException):
    """An answer that is an error.

    Parameters
    ----------
    status : int
    detail : str
    field : str or None, default=None
        The part of the request at fault.
    headers : dict of str to str, or None, default=None
    """

    def __init__(self, status: int, detail: str, field: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(status, detail, headers)
        self.field = field

    def response(self) -> Response:
        """Return the answer to send."""
        return JsonResponse(self.problem(), self.status_code, self.headers, media_type=PROBLEM)

    def problem(self) -> dict[str, Any]:
        """Return the error's problem details."""
        return problem(self.status_code, self.detail, self.field)


def problem(status: int, detail: str, field: str | None = None) -> dict[str, Any]:
    """Return the problem details of an error."""
    code, title = _TITLES.get(status, ("error", "Error"))
    detail, field = shorten(detail, _LONGEST), field and shorten(field, _LONGEST)
    return {"status": status, "code": code, "title": title, "detail": detail, "field": field}


def overloaded(detail: str = "The service has more to do than it can. Ask again later.") -> ServiceError:
    """Return the error of a full queue."""
    return ServiceError(503, detail, headers={"Retry-After": "1"})


def of_validation(errors: Any) -> ServiceError:
    """Return the error for what pydantic found wrong first."""
    first = errors[0]
    where = first["loc"][1:] if first["loc"][:1] in (("body",), ("query",), ("path",)) else first["loc"]
    field = ".".join(map(str, where)) or None
    if first["type"] == "json_invalid":
        return ServiceError(
            422, f"The body is not valid JSON: {first.get('ctx', {}).get('error', 'it cannot be read')}."
        )
    return ServiceError(422, first["msg"], field)


def add_error_handlers(app: FastAPI) -> None:
    """Let an application answer all errors in one form."""

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if isinstance(error, ServiceError):
            return error.response()
        return ServiceError(error.status_code, str(error.detail), headers=dict(error.headers or {})).response()

    @app.exception_handler(InputError)
    @app.exception_handler(InputTypeError)
    async def input_error(request: Request, error: Exception) -> Response:
        return ServiceError(422, str(error)).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return of_validation(error.errors()).response()

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return ServiceError(CLIENT_GONE, "The client has gone.").response()
