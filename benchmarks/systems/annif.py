"""Annif's backends through its own command line, in an environment of its own: see annif_env.sh.

The settings are those of Annif's documentation: "bonsai" is its example for the omikuji backend, others have their
defaults. "limit" is how many labels a project returns, and 100 is also what each source of an ensemble gives.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

LIMIT = 100
SOURCES = ("mllm", "bonsai")
_URI = "http://example.org/"
_BACKENDS = {
    "mllm": {"backend": "mllm"},
    "bonsai": {"backend": "omikuji", "cluster_balanced": False, "cluster_k": 100, "max_depth": 3},
    "ensemble": {"backend": "ensemble"},
    "nn_ensemble": {"backend": "nn_ensemble"},
}


class Annif:
    """A folder with a vocabulary and projects, and the commands that work on it."""

    def __init__(self, env: Path, folder: Path, threads: int = 2) -> None:
        self.env = env.absolute()
        self.folder = folder.absolute()
        self.threads = threads
        if not (self.env / "bin/annif").exists():
            raise SystemExit(
                f"{self.env}/bin/annif is not there: make it with benchmarks/annif_env.sh, or name another."
            )
        self.folder.mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """Return the environment of Annif's processes."""
        return os.environ | {
            "ANNIF_PROJECTS": str(self.folder / "projects.cfg"),
            "ANNIF_DATADIR": str(self.folder / "data"),
            "OMP_NUM_THREADS": str(self.threads),
            "TF_NUM_INTRAOP_THREADS": str(self.threads),
        }

    def run(self, *arguments: str | Path) -> str:
        """Run one command of Annif, and return what it printed."""
        command = [self.env / "bin/annif", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"annif {arguments[0]} failed: {done.stderr[-2000:]}")
        return done.stdout

    def served_by(self, project: str, port: int, workers: int) -> subprocess.Popen[bytes]:
        """Start Annif's service, as its documentation says, with one project and what that is made of."""
        self.configure(self.read_weights(), [*SOURCES, project] if "ensemble" in project else [project], "served.cfg")
        command = [self.env / "bin/gunicorn", "annif:create_app()", "--bind", f"127.0.0.1:{port}"]
        command += ["--workers", str(workers), "--worker-class", "uvicorn.workers.UvicornWorker", "--timeout", "600"]
        env = self.environment() | {"ANNIF_PROJECTS": str(self.folder / "served.cfg")}
        return subprocess.Popen(command, cwd=self.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def read_weights(self) -> dict[str, float]:
        """Return the weights that projects.cfg gives the sources."""
        return _weights((self.folder / "projects.cfg").read_text("utf-8"))

    def configure(
        self, weights: dict[str, float] | None = None, wanted: Iterable[str] = _BACKENDS, name: str = "projects.cfg"
    ) -> None:
        """Write a file of projects, with weights of the sources of both ensembles."""
        sources = ",".join(f"{source}:{(weights or {}).get(source, 1)}" for source in SOURCES)
        lines = []
        for project in dict.fromkeys(wanted):
            settings = {"name": project, "language": "en", "vocab": "labels", "limit": LIMIT, **_BACKENDS[project]}
            settings |= {"sources": sources} if "ensemble" in project else {"analyzer": "snowball(english)"}
            lines += [f"[{project}]", *(f"{key}={value}" for key, value in settings.items()), ""]
        (self.folder / name).write_text("\n".join(lines), "utf-8")

    def load_labels(self, texts: dict[str, str]) -> None:
        """Make the vocabulary of labels and their texts."""
        path = self.folder / "labels.tsv"
        rows = (f"<{uri_of(label)}>\t{' '.join(text.split())}\n" for label, text in texts.items())
        path.write_text("".join(rows), "utf-8")
        self.run("load-vocab", "labels", "--language", "en", "--force", path)

    def documents(self, name: str, rows: Iterable[dict]) -> Path:
        """Write rows of texts and labels as Annif's JSON lines; without labels, a document is one to index."""
        path = self.folder / f"{name}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for row in rows:
                labels = [{"uri": uri_of(label)} for label in row["labels"]]
                file.write(json.dumps({"text": row["text"], **({"subjects": labels} if labels else {})}) + "\n")
        return path

    def train(self, project: str, documents: Path) -> None:
        """Train a project anew."""
        self.run("train", project, "--jobs", str(self.threads), documents)

    def weights(self, documents: Path, trials: int = 20) -> dict[str, float]:
        """Return the weights of the sources that rank documents best, by Annif's own search."""
        found = self.run("hyperopt", "ensemble", "--trials", str(trials), "--metric", "NDCG", documents)
        return _weights(found)

    def rank(self, project: str, documents: Path) -> list[list[tuple[str, float]]]:
        """Return the labels and scores of each document, best first."""
        out = self.folder / f"{project}.results.jsonl"
        options = ("--limit", str(LIMIT), "--no-include-doc", "--force", "--output", str(out))
        self.run("index", project, *options, documents)
        with out.open(encoding="utf-8") as file:
            return [[(label_of(one["uri"]), one["score"]) for one in json.loads(line)["results"]] for line in file]

    def versions(self) -> dict[str, str]:
        """Return the versions of Annif and what does its work."""
        code = (
            "import json; from importlib.metadata import version\n"
            "print(json.dumps({name: version(name) for name in ('annif', 'omikuji', 'scikit-learn', 'nltk')}))"
        )
        out = subprocess.run([self.env / "bin/python", "-c", code], capture_output=True, text=True, check=True).stdout
        return json.loads(out)


def _weights(text: str) -> dict[str, float]:
    line = re.search(r"^sources=(.*)$", text, re.M)
    if line is None:
        raise SystemExit(f"there is no line of sources in: {text[-2000:]}")
    return {name: float(weight) for name, weight in (part.split(":") for part in line[1].split(","))}


def uri_of(label: str) -> str:
    """Return the URI that stands for a label."""
    return _URI + quote(label, safe="")


def label_of(uri: str) -> str:
    """Return the label of a URI."""
    return unquote(uri.removeprefix(_URI))
