"""The pages on asking the service, against a real one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks
from tests.serve.tools import process

import ceiba

ON_PAGES = "localhost:8400"
ROWS = [("burned hand", "T23.0"), ("hot stove", "X15.0"), ("broken wrist", "S62.9"), ("bitten by a cat", "W55.0")]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / "model"
    texts, labels = zip(*ROWS * 10, strict=True)
    model = ceiba.XRLinear(n_jobs=1, label_documents=True)
    model.fit(list(texts), [[label] for label in labels], label_texts={label: text for text, label in ROWS})
    model.save(folder)
    with process(folder) as (_, url):
        yield url.removeprefix("http://")


def code_of(page: str, language: str) -> list[str]:
    found = [block.code for block in blocks(ROOT / "docs/how-to" / page) if block.language == language]
    assert found
    return found


@pytest.mark.slow
def test_from_python(address, capsys):
    names: dict = {}
    for code in code_of("call-from-python.md", "python"):
        exec(code.replace(ON_PAGES, address).replace("import httpx\n", "import httpx2 as httpx\n"), names)
    said = capsys.readouterr().out
    assert "X15.0 hot stove" in said
    assert said.count("'labels'") >= 5
    assert "'uri': 'X15.0'" in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_from_curl(address, tmp_path: Path):
    (tmp_path / "texts.jsonl").write_text('{"id": 7, "text": "hot stove"}\n"cat"\n')
    said = []
    for code in code_of("call-from-curl.md", "sh"):
        command = code.replace(ON_PAGES, address).replace("curl ", "curl --silent --fail-with-body ")
        said.append(subprocess.run(["bash", "-euc", command], cwd=tmp_path, capture_output=True, check=True).stdout)
    ranked, explained, found, _ = said
    assert {"X15.0", "T23.0"} <= {label["id"] for label in json.loads(ranked)["results"][0]["labels"]}
    assert json.loads(explained)["label"] == "X15.0"
    assert [label["id"] for label in json.loads(found)["labels"]] == ["X15.0"]
    lines = [json.loads(line) for line in (tmp_path / "ranked.jsonl").read_text().splitlines()]
    assert lines[0]["id"] == 7
    assert [line["labels"][0]["id"] for line in lines] == ["X15.0", "W55.0"]
