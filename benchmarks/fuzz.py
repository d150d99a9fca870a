"""The service under requests that schemathesis makes of its OpenAPI description, NDJSON included.

    python -m benchmarks.fuzz [--requests 10000] [--seed 0]

Two small models are trained here, of which one is hybrid. Ends with an error where an answer is a 500 or outside the
description. Needs schemathesis.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import ceiba
from benchmarks.serve import served
from benchmarks.soak import LABELS, corpus

_OPERATIONS = 7  # that take so much that there are enough different requests
_CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)


def train(folder: Path) -> list[Path]:
    """Train and save the models; return their folders."""
    texts, labels = corpus(0)
    names = {label: f"<b>{label}</b> = {i}" for i, label in enumerate(LABELS)}
    linear = ceiba.XRLinear(max_leaf_size=5, branching_factor=3, n_jobs=1).fit(texts, labels)
    hybrid = ceiba.HybridClassifier(fusion="logistic", n_jobs=1, include_training_texts=True)
    hybrid.fit(texts, labels, label_texts=names)
    for name, model in (("linear", linear), ("hybrid", hybrid)):
        model.save(folder / name)
    return [folder / "linear", folder / "hybrid"]


def answers(port: int) -> dict[str, int]:
    """Return how many answers of each status the service has counted."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    found: dict[str, int] = {}
    for status, count in re.findall(r'^ceiba_requests_total{.*status="(\d+)"} ([\d.e+]+)$', page, re.MULTILINE):
        found[status] = found.get(status, 0) + int(float(count))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        first, *others = train(Path(scratch))
        with served(first, *map(str, others)) as (_, port):
            command = [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                "--phases",
                "examples,coverage,fuzzing",
            ]
            command += ["--max-examples", str(-(-given.requests // _OPERATIONS)), "--seed", str(given.seed)]
            command += ["--checks", _CHECKS, "--continue-on-failure", "--suppress-health-check", "all"]
            command += ["--generation-database", "none", f"http://127.0.0.1:{port}/openapi.json"]
            done = subprocess.run(command, env={**os.environ, "SCHEMATHESIS_HOOKS": "benchmarks.fuzz_hooks"})
            found = answers(port)
    print(f"{sum(found.values())} answers by status: {dict(sorted(found.items()))}")
    if done.returncode or sum(found.values()) < given.requests or any(status >= "500" for status in found):
        raise SystemExit("wrong: see above")


if __name__ == "__main__":
    main()
