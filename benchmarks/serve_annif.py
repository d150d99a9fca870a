"""Ceiba's service beside Annif's: the same texts, the same requests of Annif's protocol, the same closed loops.

    python -m benchmarks annif --data FOLDER --annif-env ENV --keep ANNIF --json rows.jsonl
    python -m benchmarks.serve_annif MODEL ... --annif ANNIF --annif-env ENV --texts FILE --json rows.jsonl

MODEL is a folder of a model trained on the same records; ANNIF is what the first command kept. Both services run two
processes; all services are up, and one at a time is asked, in turn. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from statistics import median
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


def loop(port: int, project: str, bodies: list[bytes], clients: int, seconds: int) -> dict[str, Any]:
    """Return the figures of one closed loop."""
    return {"clients": clients, **closed_loop(port, bodies, clients, seconds, suggest_path(project), FORM)}


def suggest_path(project: str) -> str:
    """Return where a project suggests."""
    return f"/v1/projects/{project}/suggest"


def warm_up(port: int, project: str, bodies: list[bytes]) -> None:
    """Wait for a service, see that it suggests something, and let both processes have their pages and caches."""
    wait_until_up(port)
    if not sum(suggested(port, suggest_path(project), body) for body in bodies[:20]):
        raise SystemExit(f"{project} suggests nothing")
    closed_loop(port, bodies, 4, 2, suggest_path(project), FORM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--annif", type=Path, required=True, help="folder of Annif's projects")
    parser.add_argument("--annif-env", type=Path, default=Path(".annif-env"))
    parser.add_argument("--projects", default="bonsai", help="Annif's projects, separated by commas")
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with texts")
    parser.add_argument("--seconds", type=int, default=5, help="of one closed loop")
    parser.add_argument("--clients", default="1,4", help="numbers of clients, separated by commas")
    parser.add_argument("--rounds", type=int, default=3, help="times each service is measured, in turn")
    parser.add_argument("--workers", type=int, default=2, help="processes of each service")
    parser.add_argument("--json", type=Path, help="JSON lines to append the rows to")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed.")
    bodies = [urlencode({"text": text, "limit": LIMIT}).encode() for text in texts_of(given.texts, 2000)]
    clients = [int(n) for n in given.clients.split(",")]
    annif = Annif(given.annif_env, given.annif)
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with ExitStack() as running:
        services = {}
        for project in given.projects.split(","):
            port = running.enter_context(annif_served(annif, project, given.workers))
            services[f"annif, {project}"] = (port, project)
            warm_up(port, project, bodies)
        for model in given.models:
            _, port = running.enter_context(served(model, "--workers", str(given.workers)))
            services[f"ceiba, {model.resolve().name}"] = (port, model.resolve().name)
            warm_up(port, model.resolve().name, bodies)
        for number, (name, place), n in product(range(given.rounds), services.items(), clients):
            row = loop(*place, bodies, n, given.seconds)
            found.setdefault((name, n), []).append(row)
            if given.json:
                about = {"service": name, "round": number, "workers": given.workers, "data": given.texts.parent.name}
                with given.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**about, "machine": machine(), **row}) + "\n")
    print(f"Medians of {given.rounds} rounds, and the range of requests a second.\n")
    print("| service | clients | requests/s | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: | ---: |")
    for (name, n), rows in found.items():
        rates = sorted(row["requests_per_second"] for row in rows)
        p50, p99 = (median(row[key] for row in rows) for key in ("p50_ms", "p99_ms"))
        print(f"| {name} | {n} | {median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) | {p50:.1f} | {p99:.1f} |")


if __name__ == "__main__":
    main()
