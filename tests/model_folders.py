"""Tools for tests that look into the folder of a model, or change what is in there."""

from __future__ import annotations

import hashlib
import json

from ceiba.io import current_generation
from ceiba.io.generations import write_manifest
from ceiba.io.layout import MODEL_FILE, POINTER_FILE
from ceiba.io.sealed import seal

DROPPED = object()
LABELS, QUERIES, TREES = ("model", "labels"), ("model", "queries"), ("model", "generators", 0)


def read_json(path):
    return json.loads(path.read_text())


def change_manifest(folder, *, within=(), **fields):
    """Change fields of a model's manifest, or of an object in it, and all checksums that this changes.

    A field that is DROPPED is removed.
    """
    path = current_generation(folder) / MODEL_FILE
    content = read_json(path)
    at = content
    for name in within:
        at = at[name]
    at.update(fields)
    for name in [name for name, value in fields.items() if value is DROPPED]:
        del at[name]
    path.write_bytes(seal(content))
    renew_pointer(folder)


def renew_manifest(generation):
    """Bring a manifest's checksums to what the files are now."""
    path = generation / MODEL_FILE
    content = {name: value for name, value in read_json(path).items() if name != "files"}
    path.unlink()
    write_manifest(generation, content)


def renew_pointer(folder):
    generation = current_generation(folder)
    digest = hashlib.sha256((generation / MODEL_FILE).read_bytes()).hexdigest()
    (folder / POINTER_FILE).write_bytes(seal({"generation": generation.name, "manifest_sha256": digest}))


def reseal(folder):
    """Make all checksums fit the files again."""
    renew_manifest(current_generation(folder))
    renew_pointer(folder)
