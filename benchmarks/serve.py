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


async def open_loop(port: int, bodies: list[bytes], rate: float, seconds: float) -> Outcome:
    """Send requests at a rate, whether earlier ones were answered or not."""
    outcome, free = Outcome(), list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
    started = time.perf_counter()

    async def ask(body: bytes, due: float) -> None:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: application/json"
        try:
            connection = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
            reader, writer = connection
            sent = time.perf_counter()
            outcome.late.append(1000 * (sent - due))
            writer.write(head.encode() + b"\r\n\r\n" + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer, re.I)
            assert length is not None
            await reader.readexactly(int(length[1]))
        except (OSError, asyncio.IncompleteReadError):
            outcome.failed += 1
            return
        free.append(connection)
        status = int(answer[9:12])
        taken = 1000 * (time.perf_counter() - sent)
        if status in (200, 503):
            (outcome.accepted if status == 200 else outcome.refused).append(taken)
        else:
            outcome.failed += 1

    tasks = []
    for number, body in zip(range(int(rate * seconds)), cycle(bodies), strict=False):
        due = started + number / rate
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        tasks.append(asyncio.create_task(ask(body, due)))
    await asyncio.gather(*tasks)
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
    """Yield rows of 16 clients, with batches and without."""
    bodies = bodies_of(texts, 1)
    for name, options in (("batches", ()), ("no batches", ("--max-batch", "1", "--max-wait-ms", "0"))):
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
