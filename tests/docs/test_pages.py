"""Every example of the documentation runs: the blocks of a page in order, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, is_run

from ceiba.errors import CollapseWarning

ON_THE_HUB = "sentence-transformers/all-MiniLM-L6-v2"
QUICK = {"README.md", "docs/tutorials/first-steps.md", "docs/index.md"}  # the others are for `make test-docs`
SHELL_SIGNS = set("|<>&;$")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def pages() -> list:
    """Return the pages with something to run."""
    chosen = [page for page in PAGES if any(map(is_run, blocks(page)))]
    return [pytest.param(p, id=name(p), marks=[] if name(p) in QUICK else [pytest.mark.slow]) for p in chosen]


@pytest.fixture(scope="module")
def encoder_folder(tiny_encoder, tmp_path_factory):
    """Make a random encoder that reads as many tokens as the pages ask for."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("pages-encoder")
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("page", pages())
def test_every_block_runs(page, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}
    for block in filter(is_run, blocks(page)):
        if ON_THE_HUB in block.code:  # the one thing that is not as the page has it: tests do not reach the hub
            folder = str(request.getfixturevalue("encoder_folder"))
            block = Block(block.language, block.code.replace(ON_THE_HUB, folder), block.line)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            if block.language == "python":
                # blank lines before it, so that a traceback has the lines of the page
                exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
            else:
                for line in commands(block):
                    run(line, tmp_path, f"{name(page)}, line {block.line}")


def run(line: str, folder: Path, where: str) -> None:
    """Run one command line: in this process where no shell is needed."""
    from ceiba.cli import main

    words = shlex.split(line, comments=True)
    if not SHELL_SIGNS & set("".join(words)):
        with pytest.raises(SystemExit) as end:
            main(words[1:])
        assert end.value.code == 0, f"{where}: {line}"
        return
    if os.name == "nt":
        pytest.skip("the shell of this system reads other signs")
    code = f'ceiba() {{ {shlex.quote(sys.executable)} -m ceiba "$@"; }}\n{line}'
    # the shell's working folder is not on Python's path, so a file of the page cannot hide a module
    ended = subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, f"{where}: {line}\n{ended.stderr}"


def test_blocks_that_are_not_run_say_why():
    for page in PAGES:
        for block in blocks(page):
            assert not block.reason or len(block.reason.split()) >= 3, f"{name(page)}, line {block.line}"


def test_there_are_examples():
    assert sum(is_run(block) for page in PAGES for block in blocks(page)) >= 30


@pytest.mark.parametrize("page", [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"], ids=name)
def test_links_to_files_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    files = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in files if not (page.parent / link).exists()] == []


def test_every_question_of_a_new_user_is_linked_from_the_readme():
    asked = ["thresholds", "scores", "label-names", "use-data-frames", "allow-and-deny-labels", "add-a-label"]
    asked += ["resume-training", "threads-and-processes", "notebooks", "serve", "get-the-data", "choose-a-model"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page for page in asked if f"docs/how-to/{page}.md" not in text] == []
