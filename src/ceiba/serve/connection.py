"""Connections with limits: headers that are slow or endless, and clients that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import termios
from array import array
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ceiba.serve.errors import PROBLEM, problem

_MOST_HEADERS = 64 << 10  # bytes of a request's line and headers


class BoundedConnection(HttpToolsProtocol):
    """A connection of uvicorn's that ends where headers take too long or too much, or where nobody reads answers.

    uvicorn itself waits without end for headers, keeps them all in memory, and waits for a client to read.

    Parameters
    ----------
    *args, **options : Any
        What uvicorn gives every connection.
    seconds : float
        For the headers of a request. Also the time within which a client must read something of an answer.
    """

    def __init__(self, *args: Any, seconds: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seconds = seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._headers_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._in_message = False
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all clocks."""
        self._headers_came()
        self._stop_read_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; refuse headers without end."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._headers_timer is not None:
            self._size += len(data)
            if self._size > _MOST_HEADERS:
                self._end(431, f"The headers have more than {_MOST_HEADERS} bytes.")
        elif not self._in_message and (self.cycle is None or self.cycle.response_complete):
            self._await_headers()  # bytes between two requests

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_message = True
        if self._headers_timer is None:
            self._await_headers()

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        self._headers_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request's body."""
        self._in_message = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._stop_read_timer()
        super().resume_writing()

    def _await_headers(self) -> None:
        self._size = 0
        self._headers_timer = self.loop.call_later(self._seconds, self._end, 408, "The headers came too slowly.")

    def _headers_came(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _await_reading(self) -> None:
        self._stop_read_timer()
        self._read_timer = self.loop.call_later(self._seconds, self._end_unless_read, self._unread())

    def _end_unless_read(self, before: int) -> None:
        if self._unread() < before:
            self._await_reading()
        else:
            self.transport.abort()

    def _unread(self) -> int:
        """Return the bytes of answers that the client has not taken: those here and, where it tells, the system's."""
        size = array("i", [0])
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, size)
        return self.transport.get_write_buffer_size() + size[0]

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _end(self, status: int, detail: str) -> None:
        """Answer with an error and close the connection."""
        self._headers_came()
        content: Any = problem(status, detail, "headers")
        body = json.dumps(content).encode()
        head = f"HTTP/1.1 {status} {content['title']}\r\nContent-Type: {PROBLEM}\r\nContent-Length: {len(body)}\r\n"
        if self.cycle is None or self.cycle.response_complete:  # else an earlier answer is on its way
            self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        self.transport.close()
