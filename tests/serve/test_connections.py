"""Connections that are slow, endless or not read cost the service nothing that lasts."""

import contextlib
import json
import os
import re
import socket
import time
from pathlib import Path

import pytest
from tests.serve.tools import process

pytest.importorskip("httptools", reason="another parser has limits of its own")

SECONDS = 1.0


@pytest.fixture(scope="module")
def address(folder):
    with process(folder, settings={"timeout": SECONDS, "max_requests": 4}) as (running, url):
        yield running.pid, ("127.0.0.1", int(url.rsplit(":", 1)[1]))


def closed(connection: socket.socket, within: float = 10) -> bytes:
    """Return what comes until the service closes the connection."""
    connection.settimeout(within)
    found = b""
    try:
        while part := connection.recv(1 << 16):
            found += part
    except ConnectionError:
        pass
    return found


def status(address) -> int:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return int(closed(connection)[9:12])


@pytest.mark.slow
@pytest.mark.parametrize(
    "begin",
    [b"", b"G", b"GET /v1/models HTTP/1.1\r\nHost: loc", b"\r\n" * 3]
    + [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + more
        for more in (b"GET /v1", b"\r\n", b"GET / HTTP/1.1\r\nA: b")
    ],
)
def test_headers_that_come_slowly_end(address, begin):
    _, where = address
    with socket.create_connection(where, timeout=10) as connection:
        connection.sendall(begin)
        started = time.monotonic()
        drip = 0
        while drip < 60:  # a byte now and then, so that the connection is never idle
            time.sleep(0.2)
            drip += 1
            try:
                connection.sendall(b"\n" if begin.endswith(b"\n") or not begin else b"a")
                connection.settimeout(0.01)
                if connection.recv(1 << 16) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - started < 10
    assert status(where) == 200


@pytest.mark.parametrize("kept_alive", [False, True])
@pytest.mark.parametrize("piece", [b"X: " + b"a" * 997 + b"\r\n", b"a" * 1000])
def test_endless_headers_are_refused(address, kept_alive, piece):
    pid, where = address
    before = resident(pid)
    with socket.create_connection(where, timeout=10) as connection:
        if kept_alive:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        sent = 0
        try:
            while sent < 64 << 20:
                connection.sendall(piece)
                sent += len(piece)
            answer = closed(connection)
        except ConnectionError:
            answer = b""
        assert sent < 8 << 20
        if answer:
            assert answer.startswith(b"HTTP/1.1 431")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 431
    assert resident(pid) - before < 32
    assert status(where) == 200


def test_large_headers_of_an_honest_client_are_read(address):
    _, where = address
    with socket.create_connection(where, timeout=10) as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"a" * 30_000 + b"\r\n\r\n"
        )
        assert closed(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_clients_that_do_not_read_hold_no_place(address):
    """Each of them fills its connection; there are places for four requests."""
    _, where = address
    lines = b"".join(b'{"id": "%s", "text": "violin"}\n' % (b"x" * 200) for _ in range(15_000))
    head = b"POST /v1/predict.ndjson?k=10 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(lines)
    connections = []
    try:
        for _ in range(6):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(30)
            connection.connect(where)
            connections.append(connection)
            with contextlib.suppress(ConnectionError):  # refused, as there is no place
                connection.sendall(head + lines)
        end = time.monotonic() + 30
        while status(where) != 200:
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.slow
def test_a_client_that_reads_slowly_gets_all(address):
    _, where = address
    lines = b'"violin"\n' * 6000
    with socket.create_connection(where, timeout=30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = b"POST /v1/predict.ndjson?k=10 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        connection.sendall(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(lines) + lines)
        found = b""
        while part := connection.recv(1 << 18):
            found += part
            time.sleep(0.02)
    assert found.count(b'"labels"') == 6000


def resident(pid: int) -> float:
    """Return the resident megabytes of a process."""
    if not os.path.exists("/proc"):
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024
