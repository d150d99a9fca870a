"""Makes pictures of the page: ``python -m tests.browser.picture FILE [MODEL] [--states]``.

FILE becomes the picture of the README. MODEL is a model folder, that of ``ceiba demo`` by default. With --states the
folder of FILE gets a picture of every state: desktop, phone, light, dark.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.conftest import chromium
from tests.serve.tools import process

TEXT = "Type 2 diabetes with kidney disease"


def opened(browser: Browser, url: str, *, width: int, height: int, dark: bool = False, scale: float = 1.0) -> Page:
    scheme = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=scale)
    page.goto(url)
    page.wait_for_selector("#model:not(:empty)")
    page.wait_for_timeout(500)
    return page


def explain(page: Page, text: str = TEXT) -> None:
    page.fill("#text", text)
    page.wait_for_selector("#results li")
    page.click("#results .label >> nth=0")
    page.wait_for_selector(".why .path")
    page.mouse.move(0, 0)
    page.wait_for_timeout(200)


def states(browser: Browser, url: str, folder: Path) -> None:
    for name, width, height in (("desktop", 1280, 900), ("phone", 375, 780)):
        for dark in (False, True):
            stem = f"{name}-{'dark' if dark else 'light'}"
            page = opened(browser, url, width=width, height=height, dark=dark)
            page.screenshot(path=folder / f"{stem}-empty.png")
            explain(page)
            page.screenshot(path=folder / f"{stem}-why.png", full_page=True)
            page.click("#results .plain >> nth=1")
            page.fill("#filter-query", "burn")
            page.wait_for_selector("#filter-found li")
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{stem}-filters.png", full_page=True)
            page.click("#tab-batch")
            rows = "".join(f"{i},{text}\n" for i, text in enumerate(["broken wrist", "bitten by a cat", TEXT] * 9))
            page.set_input_files(
                "#batch-file", {"name": "notes.csv", "mimeType": "text/csv", "buffer": f"id,text\n{rows}".encode()}
            )
            page.click("#batch-start")
            page.wait_for_selector("#batch-done:not([hidden])")
            page.screenshot(path=folder / f"{stem}-batch.png", full_page=True)
            page.click("#tab-labels")
            page.wait_for_selector("#label-found li")
            page.click("#tree summary >> nth=0")
            page.wait_for_timeout(400)
            page.screenshot(path=folder / f"{stem}-labels.png")
            page.route("**/v1/predict", lambda route: route.fulfill(status=503, body="{}"))
            page.click("#tab-text")
            page.fill("#text", "another text")
            page.wait_for_selector("#problem:not([hidden])")
            page.screenshot(path=folder / f"{stem}-error.png")
            page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make pictures of the page.")
    parser.add_argument("file", type=Path)
    parser.add_argument("model", type=Path, nargs="?", default=Path("ceiba-icd10cm"))
    parser.add_argument("--states", action="store_true")
    given = parser.parse_args()
    given.file.parent.mkdir(parents=True, exist_ok=True)
    with process(given.model) as (_, url), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        if given.states:
            states(browser, url, given.file.parent)
        page = opened(browser, url, width=1120, height=760)
        explain(page)
        page.screenshot(path=given.file)
        browser.close()
    with Image.open(given.file) as picture:  # a third of the bytes, with no difference to see
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(given.file, optimize=True)


if __name__ == "__main__":
    main()
