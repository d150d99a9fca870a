"""A small model with texts of its labels, and the service on it, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

import ceiba
from ceiba.features.tfidf import TfidfVectorizer
from ceiba.serve.app import create_app
from ceiba.serve.settings import ServeSettings

SUBJECTS = ("harbour", "orchard", "glacier", "violin", "bakery", "lantern", "meadow", "railway", "pottery", "falcon")
HOSTILE = "<img src=x onerror=alert(1)>"


def corpus(n: int = 120, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Return texts about two subjects each, and the subjects; one label is hostile."""
    rng = random.Random(seed)
    texts, labels = [], []
    for _ in range(n):
        chosen = rng.sample([*SUBJECTS, HOSTILE], 2)
        words = [*chosen, *chosen, *rng.choices(("old", "new", "and", "the"), k=4)]
        words = ["trick" if word == HOSTILE else word for word in words]
        rng.shuffle(words)
        texts.append(" ".join(words))
        labels.append(chosen)
    return texts, labels


def label_texts() -> dict[str, str]:
    return {**{name: f"The {name}s of old" for name in SUBJECTS}, HOSTILE: "A <b>bold</b> name\nof two lines"}


def fit(seed: int = 0, **parameters) -> ceiba.XRLinear:
    model = ceiba.XRLinear(
        vectorizer=TfidfVectorizer(word_ngrams=(1, 2), char_ngrams=(3, 4)),
        max_leaf_size=4,
        branching_factor=2,
        n_jobs=1,
        random_state=seed,
        **parameters,
    )
    return model.fit(*corpus(seed=seed), label_texts=label_texts())


@contextmanager
def serving(*folders: Path, **settings):
    """Give a client of the service on models, in this process."""
    app = create_app(list(folders), ServeSettings(**settings))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def problem(response, status: int) -> dict:
    """Return the problem details that every error must be."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content = response.json()
    assert set(content) == {"status", "code", "title", "detail", "field"}
    assert content["status"] == status
    assert content["detail"]
    assert response.headers["x-content-type-options"] == "nosniff"
    return content


_WITH_SETTINGS = """
import json, sys
from pathlib import Path
from ceiba.serve.run import run
from ceiba.serve.settings import ServeSettings

settings = ServeSettings(port=0, **json.loads(sys.argv[1]))
run([Path(sys.argv[2])], settings, started=lambda url: print(url, file=sys.stderr, flush=True))
"""


@contextmanager
def process(*words, port: str | int = 0, settings: dict | None = None):
    """Run ``ceiba serve`` as a process of its own, and give it and its address once it answers.

    With settings, the service of one model folder is run with these, for which there are no options.
    """
    import httpx2

    source = str(Path(ceiba.__file__).parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "ceiba", "serve", *map(str, words), "--port", str(port)]
    if settings is not None:
        command = [sys.executable, "-c", _WITH_SETTINGS, json.dumps(settings), *map(str, words)]
    running = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
    try:
        line = running.stderr.readline()
        assert "http://" in line, line + running.stderr.read()
        url = next(word for word in line.split() if word.startswith("http://")).rstrip("/")
        end = time.monotonic() + 60
        while True:
            try:
                if httpx2.get(f"{url}/readyz", timeout=5).status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            assert running.poll() is None, running.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield running, url
    finally:
        if running.poll() is None:
            running.terminate()
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
        running.wait()
        running.stderr.close()
