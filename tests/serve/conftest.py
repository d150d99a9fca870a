"""Fixtures of the service's tests. They import when they are used, so that tests are skipped without the extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


def pytest_pycollect_makemodule(module_path, parent):
    """Skip these tests where what they import is not installed."""
    for name in ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "httpx2"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is missing: install the extras ceiba[serve,dev]", allow_module_level=True)


@pytest.fixture(scope="session")
def model():
    from tests.serve.tools import fit

    return fit(n_trees=2)


@pytest.fixture(scope="session")
def folder(model, tmp_path_factory) -> Path:
    """The folder of the model; tests must not change it."""
    path = tmp_path_factory.mktemp("models") / "subjects"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def client(folder):
    from tests.serve.tools import serving

    with serving(folder) as client:
        yield client
