"""A service under mixed requests for minutes: valid, hostile and cut-off ones, new generations, killed workers.

    python -m benchmarks.soak [--minutes 20]

Small models are trained here, so that every answer can be compared with the model that must have given it. Ends with
an error where an answer is wrong, a 500 is seen, or memory grows.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import ceiba

_WORDS = [f"word{i}" for i in range(60)]
LABELS = [f"label {i}" for i in range(30)]
_HOSTILE: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("POST", "/v1/predict", b"{", {"content-type": "application/json"}),
    ("POST", "/v1/predict", b'{"texts": ["\\ud800"]}', {"content-type": "application/json"}),
    ("POST", "/v1/predict", b"[" * 50_000, {"content-type": "application/json"}),
    ("POST", "/v1/predict", b"\xff" * 1000, {"content-type": "text/plain"}),
    ("POST", "/v1/predict", b'{"texts": ["a"], "k": 1e400}', {"content-type": "application/json"}),
    ("POST", "/v1/predict", b'{"texts": ["a"], "denied": ["<script>"]}', {"content-type": "application/json"}),
    ("GET", "/static/..%2f..%2fetc/passwd", b"", {}),
    ("GET", "/v1/labels?query=%00%ff%0a&limit=99999", b"", {"x-forwarded-for": "\x7f" * 100}),
    ("DELETE", "/v1/models", b"", {}),
    ("POST", "/v1/predict.ndjson", b'{"text": 5}\n\xff\n"word1"\n', {"content-type": "application/x-ndjson"}),
]


def corpus(seed: int) -> tuple[list[str], list[list[str]]]:
    """Return texts of a few words, and two labels of each."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(_WORDS, k=6)) for _ in range(300)]
    return texts, [rng.sample(LABELS, 2) for _ in texts]


def train(seed: int) -> ceiba.XRLinear:
    texts, labels = corpus(seed)
    return ceiba.XRLinear(max_leaf_size=5, branching_factor=3, n_jobs=1, random_state=seed).fit(texts, labels)


class Soak:
    """Asks from several threads, and counts what came back."""

    def __init__(self, port: int, expected: list[dict[str, list[str]]]):
        self.port, self.expected = port, expected
        self.counts: Counter[str] = Counter()
        self.wrong: list[Any] = []
        self.stop = threading.Event()

    def run(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.stop.is_set():
            try:
                kind = rng.random()
                if kind < 0.7:
                    self.valid(rng)
                elif kind < 0.9:
                    self.hostile(rng)
                else:
                    self.cut_off(rng)
            except (OSError, http.client.HTTPException):
                self.counts["connection lost"] += 1  # with a worker that was killed
                time.sleep(0.02)
            except Exception as error:
                self.wrong.append(repr(error))

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.counts[str(answer.status)] += 1
        if answer.status == 500:
            self.wrong.append((path, body[:100], content[:300]))
        return answer.status, content

    def valid(self, rng: random.Random) -> None:
        texts = rng.sample(list(self.expected[0]), rng.choice((1, 1, 5, 64)))
        body = json.dumps({"texts": texts, "k": 3}).encode()
        status, content = self.ask("POST", "/v1/predict", body, {"content-type": "application/json"})
        if status == 200:
            found = [[label["id"] for label in row["labels"]] for row in json.loads(content)["results"]]
            if not any(found == [model[text] for text in texts] for model in self.expected):
                self.wrong.append(("not of one model", texts[:3], found[:3]))
        elif status != 503:
            self.wrong.append((status, content[:300]))

    def hostile(self, rng: random.Random) -> None:
        status, content = self.ask(*rng.choice(_HOSTILE))
        plain = status == 400 and content.startswith(b"Invalid HTTP")  # the parser's own, before the service
        if status >= 400 and not plain and json.loads(content)["status"] != status:
            self.wrong.append((status, content[:300]))

    def cut_off(self, rng: random.Random) -> None:
        whole = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        whole += b'Content-Length: 23\r\n\r\n{"texts": ["word1 w2"]}'
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(whole[: rng.randrange(len(whole))])
        self.counts["cut off"] += 1


def workers_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "spawn_main" in line]


def megabytes(pids: list[int]) -> float:
    total = 0.0
    for pid in pids:
        try:
            found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        except OSError:
            continue
        total += int(found[1]) / 1024 if found else 0.0
    return total / max(1, len(pids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    minutes = parser.parse_args().minutes
    rng = random.Random(0)
    texts = [" ".join(rng.choices(_WORDS, k=5)) for _ in range(300)]
    models = [train(seed) for seed in range(3)]
    expected = [dict(zip(texts, model.predict_topk(texts, k=3)[0].tolist(), strict=True)) for model in models]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "model")
        models[0].save(folder)
        command = [sys.executable, "-m", "ceiba", "serve", str(folder), "--port", "0", "--workers", "2"]
        log = Path(scratch, "log")
        with log.open("w") as file:
            service = subprocess.Popen(command, stderr=file)
        while not (found := re.search(r":(\d+)/", log.read_text())):
            time.sleep(0.2)
        soak = Soak(int(found[1]), expected)
        time.sleep(15)
        threads = [threading.Thread(target=soak.run, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 60 * minutes
        sizes: list[float] = []
        killed = reloads = 0
        while time.monotonic() < end and not soak.wrong:
            time.sleep(10)
            reloads += 1
            models[reloads % 3].save(folder)
            if reloads % 6 == 0 and (pids := workers_of(service.pid)):
                os.kill(random.choice(pids), signal.SIGKILL)
                killed += 1
            elif reloads % 6 == 5:  # the workers have answered for a minute
                sizes.append(megabytes(workers_of(service.pid)))
        time.sleep(15)
        alive = len(workers_of(service.pid))
        soak.stop.set()
        for thread in threads:
            thread.join()
        service.send_signal(signal.SIGTERM)
        code = service.wait(60)
        said = log.read_text()
    print(dict(soak.counts), f"reloads {reloads}, killed {killed}, workers at the end {alive}, exit {code}")
    print("private megabytes of a worker, each minute:", [round(size, 1) for size in sizes])
    if soak.wrong or "Traceback" in said or alive != 2:
        raise SystemExit(f"wrong: {soak.wrong[:3]}\n{said[-2000:]}")


if __name__ == "__main__":
    main()
