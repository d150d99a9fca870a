"""The field's public sets, in the layouts of the Extreme Classification Repository and of the archives of PECOS."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import scipy.sparse as sp

from benchmarks import data as data_files
from benchmarks.runner import PROPENSITY, Environments, run_in_turn
from ceiba.data import list_datasets, read
from ceiba.data.datasets import FOLDER_VARIABLE
from ceiba.data.layouts import data_file
from ceiba.errors import CeibaError

_FEATURES = "tfidf-attnxml"  # where the archives of PECOS have theirs
# A and B as the repository's evaluation and AttentionXML choose them, by the beginning of a set's name
_PROPENSITIES = {
    "amazoncat": (0.55, 1.5),
    "wiki10": (0.55, 1.5),
    "amazon": (0.6, 2.6),
    "lfamazon": (0.6, 2.6),
    "wiki": (0.5, 0.4),
    "lfwiki": (0.5, 0.4),
}


def run_public(
    folder: Path | None, names: list[str] | None, systems: list[str], out: Path, environments: Environments, *,
    repeats: int, threads: int, time_limit: float,
) -> None:  # fmt: skip
    """Run every system on the sets of a folder, or on some of them."""
    home = folder or Path(os.environ.get(FOLDER_VARIABLE) or "~/.cache/ceiba/datasets").expanduser()
    found = find_sets(home)
    if names is not None:
        missing = [name for name in names if name not in found]
        if missing:
            raise SystemExit(f"{home} has no {', '.join(missing)}; it has: {', '.join(found) or 'no set'}")
        found = {name: found[name] for name in names}
    if not found:
        known = ", ".join(info.name for info in list_datasets())
        raise SystemExit(f"{home} has no public set. `ceiba datasets get NAME` fetches one of: {known}")
    for name, place in found.items():
        with tempfile.TemporaryDirectory() as work:
            features = Path(work) / "features"
            facts = {"public": True, **write_set(name, place, features, threads)}
            run_in_turn({name: features}, systems, out, environments, repeats, threads, time_limit, facts)


def find_sets(home: Path) -> dict[str, Path]:
    """Return the folders that hold training and test data, by name."""
    if not home.is_dir():
        return {}
    found = {}
    for place in sorted(path for path in home.iterdir() if path.is_dir()):
        inner = place / _FEATURES
        place = inner if inner.is_dir() else place
        try:
            for split in ("train", "test"):
                data_file(place, split)
        except CeibaError:
            continue
        found[place.parent.name if place.name == _FEATURES else place.name] = place
    return found


def write_set(name: str, place: Path, to: Path, threads: int) -> dict[str, Any]:
    """Write a set's features and labels for the systems; return its sizes and its propensities."""
    train, test = (read(place, split=split, labels=True) for split in ("train", "test"))
    if train.X is None:
        from ceiba import TfidfVectorizer

        vectorizer = TfidfVectorizer(n_jobs=threads, **data_files.FEATURES)
        X, X_test = vectorizer.fit_transform(train.texts), vectorizer.transform(test.texts)
    else:
        X, X_test = train.X, test.X
    matrices = [*_same_width(X, X_test), *_same_width(train.Y, test.Y)]
    X, X_test, Y, Y_test = (sp.csr_matrix(each) for each in matrices)
    data_files.write(to, X, X_test, Y, Y_test)
    A, B = propensities(name)
    (to / PROPENSITY).write_text(json.dumps([A, B]))
    sizes = {"documents": X.shape[0], "test_documents": X_test.shape[0], "columns": X.shape[1], "labels": Y.shape[1]}
    return {**sizes, "A": A, "B": B}


def propensities(name: str) -> tuple[float, float]:
    """Return A and B of a set."""
    plain = "".join(sign for sign in name.lower() if sign.isalnum())
    return next((given for begin, given in _PROPENSITIES.items() if plain.startswith(begin)), (0.55, 1.5))


def _same_width(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two matrices with the columns of the wider one: some formats do not say how many there are."""
    width = max(a.shape[1], b.shape[1])
    return tuple(sp.csr_array((each.data, each.indices, each.indptr), shape=(each.shape[0], width)) for each in (a, b))
