"""What every request passes first: the token, limits of its body, and headers of safety."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import ClientDisconnect

from ceiba.serve.errors import CLIENT_GONE, ServiceError, overloaded
from ceiba.serve.settings import ServeSettings, is_loopback

logger = logging.getLogger("ceiba.serve")

_HEALTH = frozenset({"/healthz", "/readyz"})  # a busy service lives; who ends it then ends its answers
_OPEN = frozenset({"/", *_HEALTH})  # a load balancer has no token; the page asks for one
_STATIC = "/static/"
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]
_NO_STORE = (b"cache-control", b"no-store")
_REVALIDATE = (b"cache-control", b"no-cache")


class Guard:
    """ASGI middleware: refuses requests without the token, bodies that are too large, and those that come too slowly.

    Parameters
    ----------
    app : ASGI application
    settings : ServeSettings
    streamed : frozenset of str
        Paths whose bodies are written to disk as they come. They may be as large as ``settings.max_upload``.
    queued : frozenset of str
        Paths whose requests wait in a queue.
    full : callable
        Whether every queue is full. A request that would wait is then refused here, where that costs least.
    """

    def __init__(
        self,
        app: Any,
        *,
        settings: ServeSettings,
        streamed: frozenset[str] = frozenset(),
        queued: frozenset[str] = frozenset(),
        full: Callable[[], bool] = lambda: False,
    ):
        self._app, self._settings, self._streamed = app, settings, streamed
        self._queued, self._full = queued, full
        self._expected = None if settings.token is None else settings.token.encode()
        # A page from elsewhere can give its own name the address of this machine, and then read what it asks for.
        self._only_local_names = settings.token is None and is_loopback(settings.host)
        self._active = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_static = path == "/" or path.startswith(_STATIC)
        started = False

        async def send_safely(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                cache = _REVALIDATE if is_static else _NO_STORE
                message = {**message, "headers": [*message["headers"], *_HEADERS, cache]}
            await send(message)

        self._active += 1
        try:
            headers = dict(scope["headers"])
            if path not in _HEALTH and self._active > self._settings.max_requests:
                raise overloaded()
            if path in self._queued and self._full():
                raise overloaded()
            _check_headers(scope["headers"])
            if not (is_static or path in _OPEN):
                self._check_token(headers)
            if self._only_local_names and not _is_local(headers.get(b"host", b"localhost")):
                raise ServiceError(403, "Without a token the service answers to names of this machine only.", "host")
            body = self._settings.max_upload if path in self._streamed else self._settings.max_body
            length = headers.get(b"content-length", b"0")
            if length.isdigit() and int(length) > body:
                raise _too_large(body)
            await self._app(scope, self._limited(receive, body, idle=path in self._streamed), send_safely)
        except ServiceError as error:
            if started:
                raise
            await error.response()(scope, receive, send_safely)
        except ClientDisconnect:
            if not started:
                await ServiceError(CLIENT_GONE, "The client has gone.").response()(scope, receive, send_safely)
        except Exception as error:
            logger.exception("a request of %s %.200r failed: %s", scope["method"], path, type(error).__name__)
            if started:
                raise
            await ServiceError(500, "The service failed. Its log says why.").response()(scope, receive, send_safely)
        finally:
            self._active -= 1

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        if self._expected is None:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._expected):
            raise ServiceError(
                401,
                "Send the token of this service as 'Authorization: Bearer TOKEN'.",
                None,
                {"WWW-Authenticate": "Bearer"},
            )

    def _limited(self, receive: Any, most: int, *, idle: bool) -> Callable[[], Awaitable[Any]]:
        """Return a `receive` that counts the body's bytes and seconds; those of each part where `idle`."""
        size, complete = 0, False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.timeout

        async def limited() -> Any:
            nonlocal size, complete
            if complete:  # all that can come is the client's end
                return await receive()
            try:
                async with asyncio.timeout_at(loop.time() + self._settings.timeout if idle else deadline):
                    message = await receive()
            except TimeoutError:
                raise ServiceError(408, "The body came too slowly.") from None
            size += len(message.get("body", b""))
            if size > most:
                raise _too_large(most)
            complete = not message.get("more_body", False)
            return message

        return limited


def _check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse what would be read in two ways, or in none.

    Raises
    ------
    ServiceError
        400 or 415.
    """
    if sum(name == b"host" for name, _ in headers) > 1:
        raise ServiceError(400, "A request has one Host header.", "host")
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise ServiceError(
                415, "Send the body as it is, without Content-Encoding.", "content-encoding", {"Accept-Encoding": ""}
            )


def _is_local(host: bytes) -> bool:
    name = host.decode("latin-1")
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    return is_loopback(name) or name.endswith(".localhost")


def _too_large(most: int) -> ServiceError:
    return ServiceError(413, f"The body has more than {most} bytes.")
