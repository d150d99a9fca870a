"""A real browser on the page of a real service. Needs playwright and Chromium; see `make test-browser`."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest


def pytest_pycollect_makemodule(module_path, parent):
    """Skip these tests where what they import is not installed."""
    for name in ("playwright", "fastapi", "httpx2"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is missing: see `make test-browser`", allow_module_level=True)


def chromium() -> str:
    """Return the path of Chromium; CEIBA_CHROMIUM says another."""
    found = os.environ.get("CEIBA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("needs Chromium: apt install chromium, or CEIBA_CHROMIUM=PATH")
    return found


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    from tests.serve.tools import fit

    folder = tmp_path_factory.mktemp("models") / "subjects"
    fit(n_trees=2).save(folder)
    return folder


@pytest.fixture(scope="session")
def address(model_folder):
    from tests.serve.tools import process

    with process(model_folder) as (_, url):
        yield url


@pytest.fixture
def open_page(browser):
    """Open a page; the test fails where the page logs an error or asks for something from elsewhere."""
    contexts, wrong = [], []

    def open_url(url: str, *, expected: tuple[str, ...] = (), **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "console",
            lambda message: (
                wrong.append(message.text)
                if message.type == "error" and not any(part in message.text for part in expected)
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                wrong.append(request.url)
                if not request.url.startswith((url.partition("#")[0], "data:", "blob:"))
                else None
            ),
        )
        page.goto(url)
        return page

    yield open_url
    for context in contexts:
        context.close()
    assert not wrong
