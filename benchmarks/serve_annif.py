"""Ceiba's service beside Annif's: the same texts, the same requests of Annif's protocol, the same closed loops.

    python -m benchmarks annif --data FOLDER --annif-env ENV --keep ANNIF --json rows.jsonl
    python -m benchmarks.serve_annif MODEL ... --annif ANNIF --annif-env ENV --texts FILE --json rows.jsonl

MODEL is a folder of a model trained on the same records; ANNIF is what the first command kept. Both services run two
processes. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.runner import machine
from benchmarks.serve import closed_loop, served, texts_of
from benchmarks.systems.annif import Annif

FORM = "application/x-www-form-urlencoded"
LIMIT = 5


@contextmanager
def annif_served(annif: Annif, project: str, workers: int) -> Iterator[int]:
    """Run Annif's service, and yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = annif.served_by(project, port, workers)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


def wait_until_up(port: int, seconds: float = 120) -> None:
    """Wait until a service lists its projects."""
    for _ in range(int(5 * seconds)):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/projects", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"nothing answers after {seconds} s")


def suggested(port: int, path: str, body: bytes) -> int:
    """Return how many labels one request brings."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": FORM})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return len(json.load(answer)["results"])


def loops(port: int, project: str, bodies: list[bytes], seconds: int, clients: list[int]) -> Iterator[dict[str, Any]]:
    """Yield a row for each number of clients."""
    path = f"/v1/projects/{project}/suggest"
    wait_until_up(port)
    found = sum(suggested(port, path, body) for body in bodies[:20])
    if not found:
        raise SystemExit(f"{project} suggests nothing")
    closed_loop(port, bodies, clients[-1], 2, path, FORM)  # both processes have their pages and caches
    for n in clients:
        yield {"clients": n, **closed_loop(port, bodies, n, seconds, path, FORM)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--annif", type=Path, required=True, help="folder of Annif's projects")
    parser.add_argument("--annif-env", type=Path, default=Path(".annif-env"))
    parser.add_argument("--projects", default="bonsai", help="Annif's projects, separated by commas")
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with texts")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--clients", default="1,4", help="numbers of clients, separated by commas")
    parser.add_argument("--workers", type=int, default=2, help="processes of each service")
    parser.add_argument("--json", type=Path, help="JSON lines to append the rows to")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed.")
    bodies = [urlencode({"text": text, "limit": LIMIT}).encode() for text in texts_of(given.texts, 2000)]
    clients = [int(n) for n in given.clients.split(",")]
    print("| service | clients | requests/s | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: | ---: |", flush=True)

    def show(service: str, row: dict[str, Any]) -> None:
        rate, p50, p99 = (row[name] for name in ("requests_per_second", "p50_ms", "p99_ms"))
        print(f"| {service} | {row['clients']} | {rate:,.1f} | {p50:.1f} | {p99:.1f} |", flush=True)
        if given.json:
            about = {
                "service": service,
                "workers": given.workers,
                "texts": given.texts.parent.name,
                "machine": machine(),
            }
            with given.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**about, **row}) + "\n")

    annif = Annif(given.annif_env, given.annif)
    for project in given.projects.split(","):
        with annif_served(annif, project, given.workers) as port:
            for row in loops(port, project, bodies, given.seconds, clients):
                show(f"annif, {project}", row)
    for model in given.models:
        with served(model, "--workers", str(given.workers)) as (_, port):
            for row in loops(port, model.resolve().name, bodies, given.seconds, clients):
                show(f"ceiba, {model.resolve().name}", row)


if __name__ == "__main__":
    main()
