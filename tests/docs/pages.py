"""The code of a page of the documentation, in the order in which a reader meets it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Hidden code that makes the files a page talks of, a reason not to run the block that follows, or a fence.
_PART = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->|^<!-- not run: (?P<reason>.+?) -->|^(?P<fence>`{3,})(?P<language>[\w-]*)\n"
    r"(?P<code>.*?)^(?P=fence)[ ]*$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One block: its language, its code, the line it begins at, and why it is not run, if so."""

    language: str
    code: str
    line: int
    reason: str = ""


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page; the code of ``<!-- setup`` counts as Python."""
    text = page.read_text(encoding="utf-8")
    found, reason = [], ""
    for part in _PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if part["setup"] is not None:
            found.append(Block("python", part["setup"], line))
        elif part["reason"] is not None:
            reason = part["reason"]
        else:
            found.append(Block(part["language"], part["code"], line, reason))
            reason = ""
    return found


def commands(block: Block) -> list[str]:
    """Return the lines of a shell block that begin with ``ceiba``, or feed it; continued lines are joined."""
    lines = re.sub(r"\\\n\s*", " ", block.code).splitlines()
    return [line.strip() for line in lines if re.match(r"\s*(ceiba\b|[^#|]*\|\s*ceiba\b)", line)]


def is_run(block: Block) -> bool:
    """Tell whether a block has something that the tests run."""
    if block.reason:
        return False
    return block.language == "python" or (block.language in ("sh", "bash") and bool(commands(block)))
