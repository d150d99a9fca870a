"""The service under load: closed loops with wrk, an open loop above its capacity with a client of our own.

    python -m benchmarks.serve MODEL TEXTS [--seconds 10] [--json rows.jsonl]

MODEL is a folder; TEXTS is a file of JSON lines with "text", gzipped or not. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

_LUA = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local at = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "%s"
function request() at = at %% #bodies + 1; return wrk.format(nil, "%s", nil, bodies[at]) end
"""
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@contextmanager
def served(model: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Run the service, and yield its process and port once it answers."""
    command = [sys.executable, "-m", "ceiba", "serve", str(model), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = int(re.search(r":(\d+)/", line).group(1))  # type: ignore[union-attr]
        time.sleep(2)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def texts_of(path: Path, n: int) -> list[str]:
    """Return the first n texts of a file."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in islice(file, n)]


def bodies_of(texts: list[str], per_request: int) -> list[bytes]:
    """Return the bodies of requests."""
    parts = [texts[i : i + per_request] for i in range(0, len(texts) - per_request + 1, per_request)]
    return [json.dumps({"texts": part, "k": 5}).encode() for part in parts]


def closed_loop(
    port: int,
    bodies: list[bytes],
    clients: int,
    seconds: int,
    path: str = "/v1/predict",
    kind: str = "application/json",
) -> dict[str, float]:
    """Let clients ask again and again; each waits for its answer."""
    with tempfile.TemporaryDirectory() as folder:
        lines, script = Path(folder, "bodies"), Path(folder, "post.lua")
        lines.write_bytes(b"\n".join(bodies) + b"\n")
        script.write_text(_LUA % (lines, kind, path))
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", str(script)]
        out = subprocess.run([*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise SystemExit(out)

    def share(percent: str) -> float:
        found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", out)
        assert found is not None
        return float(found[1]) * _UNITS[found[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert rate is not None
    return {"requests_per_second": float(rate[1]), "p50_ms": share("50"), "p99_ms": share("99")}


@dataclass
class Outcome:
    """What came of an open loop: milliseconds from sending to the answer, and how late each request was sent."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    failed: int = 0
    waiting: int = 0


class _Connection(asyncio.Protocol):
    """Sends a request at a time. Plain, since a client that is late measures itself."""

    def __init__(self, free: list[_Connection], outcome: Outcome):
        self._free, self._outcome = free, outcome
        self._answer, self._sent, self._whole = bytearray(), 0.0, 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        self._answer.clear()
        self._whole = 0
        self._sent = time.perf_counter()
        self._outcome.late.append(1000 * (self._sent - due))
        self._outcome.waiting += 1
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._whole and (head := self._answer.find(b"\r\n\r\n")) >= 0:
            found = re.search(rb"content-length: (\d+)", self._answer[:head], re.I)
            assert found is not None
            self._whole = head + 4 + int(found[1])
        if not self._whole or len(self._answer) < self._whole:
            return
        taken = 1000 * (time.perf_counter() - self._sent)
        status = int(self._answer[9:12])
        kind = {200: self._outcome.accepted, 503: self._outcome.refused}.get(status)
        if kind is None:
            self._outcome.failed += 1
        else:
            kind.append(taken)
        self._outcome.waiting -= 1
        self._free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._free:
            self._free.remove(self)
        else:
            self._outcome.waiting -= 1
            self._outcome.failed += 1


async def open_loop(port: int, bodies: list[bytes], rate: float, seconds: float) -> Outcome:
    """Send requests at a rate, whether earlier ones were answered or not."""
    loop = asyncio.get_running_loop()
    outcome, free = Outcome(), list[_Connection]()
    head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    requests = cycle([f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies])
    started = time.perf_counter()
    for number, request in zip(range(int(rate * seconds)), requests, strict=False):
        due = started + number / rate
        if (left := due - time.perf_counter()) > 0 or number % 16 == 0:
            await asyncio.sleep(max(0.0, left))  # answers are read meanwhile
        try:
            if free:
                connection = free.pop()
            else:
                _, connection = await loop.create_connection(lambda: _Connection(free, outcome), "127.0.0.1", port)
        except OSError:
            outcome.failed += 1
            continue
        connection.ask(request, due)
    while outcome.waiting:
        await asyncio.sleep(0.01)
    return outcome


def memory(pid: int) -> float:
    """Return the resident megabytes of a process."""
    pages = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", pages)
    assert found is not None
    return int(found[1]) / 1024


def measure(model: Path, texts: list[str], seconds: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each measurement."""
    with served(model) as (pid, port):
        one, many = bodies_of(texts, 1), bodies_of(texts, 64)
        closed_loop(port, one, 1, 1)
        for clients in (1, 4):
            yield {"what": f"1 text a request, {clients} clients", **closed_loop(port, one, clients, seconds)}
        found = closed_loop(port, many, 2, seconds)
        yield {"what": "64 texts a request, 2 clients", **found, "texts_per_second": 64 * found["requests_per_second"]}
        before = memory(pid)
        rate = 4 * found["requests_per_second"]
        asyncio.run(open_loop(port, many, rate, 1))
        outcome = asyncio.run(open_loop(port, many, rate, seconds))
        after = memory(pid)
        asyncio.run(open_loop(port, many, rate, seconds))
        yield {
            "what": "open loop, 64 texts, four times the capacity",
            "requests_per_second": len(outcome.accepted) / seconds,
            "p50_ms": float(np.percentile(outcome.accepted or [np.nan], 50)),
            "p99_ms": float(np.percentile(outcome.accepted or [np.nan], 99)),
            "refused_per_second": len(outcome.refused) / seconds,
            "refused_p99_ms": float(np.percentile(outcome.refused or [np.nan], 99)),
            "sent_late_p99_ms": float(np.percentile(outcome.late, 99)),
            "failed": outcome.failed,
            "megabytes": [round(before), round(after), round(memory(pid))],
        }


def clients_of_encoder(model: Path, texts: list[str], seconds: int) -> Iterator[dict[str, Any]]:
    """Yield rows of 16 clients, with batches and without, with one thread that computes and with one a processor."""
    bodies, single = bodies_of(texts, 1), ("--max-batch", "1", "--max-wait-ms", "0")
    for name, options in (
        ("no batches, 1 thread", (*single, "--threads", "1")),
        ("no batches, 2 threads", (*single, "--threads", "2")),
        ("batches, 1 thread", ("--threads", "1")),
        ("batches, 2 threads", ("--threads", "2")),
    ):
        with served(model, *options) as (_, port):
            closed_loop(port, bodies, 1, 1)
            yield {"what": f"encoder, 1 client, {name}", **closed_loop(port, bodies, 1, seconds)}
            yield {"what": f"encoder, 16 clients, {name}", **closed_loop(port, bodies, 16, seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--encoder", action="store_true", help="measure 16 clients with and without batches")
    parser.add_argument("--json", type=Path, help="JSON lines to append the rows to")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed.")
    texts = texts_of(given.texts, 6400)
    print("| what | requests/s | p50 ms | p99 ms | |\n| --- | ---: | ---: | ---: | --- |", flush=True)
    for row in (clients_of_encoder if given.encoder else measure)(given.model, texts, given.seconds):
        known = ("what", "requests_per_second", "p50_ms", "p99_ms")
        more = "; ".join(f"{name} {value}" for name, value in row.items() if name not in known)
        what, rate, p50, p99 = (row[name] for name in known)
        print(f"| {what} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {more} |", flush=True)
        if given.json:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
