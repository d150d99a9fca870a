"""The service as a process: sockets, signals, workers, clients that go or never finish."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress

import pytest
from tests.serve.tools import process

from ceiba.cli import main

httpx2 = pytest.importorskip("httpx2")


def raw(url: str, content: bytes, *, read: bool = True) -> bytes:
    """Send bytes as they are, and return what comes back."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(content)
        if not read:
            return b""
        found = b""
        with suppress(TimeoutError):
            while part := connection.recv(65536):
                found += part
        return found


def post(path: str, kind: str, body: bytes) -> bytes:
    """Return the head of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def test_one_process(folder, tmp_path):
    with process(folder) as (running, url):
        answer = httpx2.post(f"{url}/v1/predict", json={"texts": ["violin"], "k": 1})
        assert answer.json()["results"][0]["labels"][0]["id"] == "violin"
        assert "server" not in answer.headers

        body = json.dumps({"texts": ["violin"]}).encode()
        head = post("/v1/predict", "application/json", body)
        for _ in range(5):  # cut off in the body, and before the answer
            raw(url, head + body[:10], read=False)
            raw(url, head + body, read=False)
        assert b"400" in raw(url, b"NONSENSE\r\n\r\n")
        assert b"400" in raw(url, b"GET / HTTP/1.1\r\nBad Header\r\n\r\n")
        assert httpx2.get(f"{url}/healthz").status_code == 200

        # a client that sends everything before it reads anything, far more than connections buffer
        lines = b"".join(json.dumps({"id": i, "text": f"violin {i}"}).encode() + b"\n" for i in range(20_000))
        answers = raw(url, post("/v1/predict.ndjson", "application/x-ndjson", lines) + lines)
        assert answers.count(b'"labels"') == 20_000
        assert '_total{route="/v1/predict",status="500"}' not in httpx2.get(f"{url}/metrics").text

        # a signal lets what is under way end
        results = []
        content = json.dumps({"texts": ["violin harbour " * 2000] * 100}).encode()

        def ask():
            results.append(
                httpx2.post(
                    f"{url}/v1/predict", content=content, headers={"content-type": "application/json"}, timeout=60
                )
            )

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        asking.join()
        assert results[0].status_code == 200
        assert len(results[0].json()["results"]) == 100
        assert running.wait(30) in (0, -signal.SIGTERM)
        assert "Traceback" not in running.stderr.read()


@pytest.mark.slow
def test_workers_count_together_and_come_back(folder):
    with process(folder, "--workers", 2) as (running, url):
        for _ in range(40):  # a connection each, so that both workers get some
            answer = httpx2.post(f"{url}/v1/predict", json={"texts": ["violin"]})
            assert answer.status_code == 200
        counts = [httpx2.get(f"{url}/metrics").text for _ in range(4)]
        assert all('ceiba_requests_total{route="/v1/predict",status="200"} 40.0' in text for text in counts)
        found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(running.pid)], capture_output=True, text=True)
        pids = [int(line.split()[0]) for line in found.stdout.splitlines() if "spawn_main" in line]
        if not pids:
            pytest.skip("ps shows no child processes here")
        os.kill(pids[0], signal.SIGKILL)
        end = time.monotonic() + 60
        good = 0
        while good < 20:
            try:
                good += httpx2.post(f"{url}/v1/predict", json={"texts": ["violin"]}, timeout=10).status_code == 200
            except httpx2.TransportError:  # was with the worker that died
                good = 0
            assert time.monotonic() < end
        running.send_signal(signal.SIGTERM)
        assert running.wait(40) in (0, -signal.SIGTERM)


def test_what_cannot_be_served_is_one_line(folder, tmp_path, capsys):
    def error(*words):
        with pytest.raises(SystemExit) as end:
            main(["serve", *map(str, words)])
        assert end.value.code == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: ")
        assert shown.count("\n") == 1
        return shown

    assert "--token" in error(folder, "--host", "0.0.0.0")
    assert "none" in error(tmp_path / "none")
    assert "token" in error(folder, "--token", tmp_path / "token")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in error(folder, "--port", port)
