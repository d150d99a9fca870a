"""The page's files: all there, all served, nothing from elsewhere, no markup made of strings."""

import re
from pathlib import Path

import pytest

import ceiba.serve

STATIC = Path(ceiba.serve.__file__).parent / "static"
FILES = sorted(STATIC.iterdir())
TYPES = {".html": "text/html", ".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_are_served_with_their_type(client, file):
    answer = client.get(f"/static/{file.name}")
    assert answer.status_code == 200
    assert TYPES[file.suffix] in answer.headers["content-type"]
    assert answer.content == file.read_bytes()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_files_name_is_there(file):
    content = file.read_text("utf-8")
    named = re.findall(r'(?:href|src)="static/([^"]+)"', content) + re.findall(r'from "\./([^"]+)"', content)
    assert {STATIC / name for name in named} <= set(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_text_is_never_markup_and_nothing_is_from_elsewhere(file):
    content = file.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", content)
    assert not re.search(r"(?:href|src|url|fetch|import)\W{1,3}(?:https?:)?//", content)
    assert not re.search(r"<[^>]+ (?:on\w+|style)=", content)  # the content security policy would refuse them


def test_the_page_is_at_the_root(client):
    answer = client.get("/")
    assert answer.text == (STATIC / "index.html").read_text("utf-8")
