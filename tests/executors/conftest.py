"""What tests of executors share: a folder's content, and a local Ray of two processors."""

import os
from pathlib import Path

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def saved_bytes(tmp_path_factory):
    """Return the function that saves a model and reads back every file of its folder."""

    def save(model) -> dict[str, bytes]:
        folder = tmp_path_factory.mktemp("saved") / "model"
        model.save(folder)
        return _content(folder)

    return save


@pytest.fixture(scope="module")
def ray_executor():
    """Connect to a Ray of this machine alone."""
    pytest.importorskip("ray")
    from ceiba.executors import RayExecutor

    with RayExecutor(
        "local", n_workers=2, threads_per_worker=1, object_store_memory=300_000_000, connect_timeout=300
    ) as executor:
        yield executor
