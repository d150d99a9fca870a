"""Tools for tests that look into the folder of a model, or change what is in there."""

from __future__ import annotations

import hashlib
import json

from ceiba.io import current_generation
from ceiba.io.generations import write_manifest
from ceiba.io.layout import MODEL_FILE, POINTER_FILE
from ceiba.io.sealed import seal


def read_json(path):
    return json.loads(path.read_text())


def change_manifest(folder, *, part="", **fields):
    """Change fields of a model's manifest, and all checksums that this changes."""
    path = current_generation(folder) / part / MODEL_FILE
    path.write_bytes(seal({**read_json(path), **fields}))
    if part:
        renew_manifest(current_generation(folder))
    renew_pointer(folder)


def renew_manifest(generation):
    """Bring a manifest's checksums to what the files are now, those of a model inside first."""
    for path in (generation / "ranker" / MODEL_FILE, generation / MODEL_FILE):
        if path.exists():
            content = {name: value for name, value in read_json(path).items() if name != "files"}
            path.unlink()
            write_manifest(path.parent, content)


def renew_pointer(folder):
    generation = current_generation(folder)
    digest = hashlib.sha256((generation / MODEL_FILE).read_bytes()).hexdigest()
    (folder / POINTER_FILE).write_bytes(seal({"generation": generation.name, "manifest_sha256": digest}))


def reseal(folder):
    """Make all checksums fit the files again."""
    renew_manifest(current_generation(folder))
    renew_pointer(folder)
