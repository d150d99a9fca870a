"""Debian packages: from the name and the description of a package to what it needs, its section and its tags."""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.sets.building import SetInfo, one_line, split_and_count, write

_NEEDS = ("Pre-Depends", "Depends", "Recommends")
_OPENERS = {".gz": gzip.open, ".xz": lzma.open}


def build(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """Build the set from files of the archive, or from the index of this machine where none are given.

    Files called ``Translation-en`` have the long descriptions; all others are ``Packages`` files.
    """
    contents = [_read(path) for path in files if not _is_translation(path)] if files else [_apt("dumpavail")]
    longer = [_read(path) for path in files if _is_translation(path)] if files else _translations()
    described = {
        fields["Description-md5"]: fields["Description-en"]
        for text in longer
        for fields in _stanzas(text)
        if "Description-md5" in fields and "Description-en" in fields
    }
    documents: dict[str, set[str]] = {}
    for content in contents:
        for fields in _stanzas(content):
            if "Package" in fields:
                description = described.get(fields.get("Description-md5", ""), fields.get("Description", ""))
                text = one_line(f"{fields['Package'].replace('-', ' ')}. {description}")
                documents.setdefault(text, set()).update(_labels(fields))
    train, test, known = split_and_count(documents, test_share=0.15, least=2)
    names = {label: label.split(":", 1)[1].replace("-", " ").replace("::", " ") for label in known}
    return write(folder, train, test, names)


def _labels(fields: dict[str, str]) -> Iterator[str]:
    for field in _NEEDS:
        for alternative in re.split(r"[,|]", fields.get(field, "")):
            name = re.split(r"[ :(]", alternative.strip(), maxsplit=1)[0]
            if name:
                yield f"dep:{name}"
    yield from (f"tag:{tag.strip()}" for tag in fields.get("Tag", "").replace("\n", " ").split(",") if tag.strip())
    if "Section" in fields:
        yield f"section:{fields['Section']}"


def _stanzas(content: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each paragraph of a control file; an indented line goes on with the field above."""
    for block in content.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in block.split("\n"):
            if line.startswith(" ") and name:
                part = line[1:]
                fields[name] += "\n" + ("" if part == "." and name == "Description-en" else part)
            elif ":" in line:
                name, value = line.split(":", 1)
                fields[name] = value.strip()
        yield fields


def _is_translation(path: Path) -> bool:
    return "Translation-en" in path.name


def _read(path: Path) -> str:
    if path.suffix == ".lz4":
        return _run(["lz4cat", str(path)])
    with _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8") as file:
        return file.read()


def _apt(command: str) -> str:
    return _run(["apt-cache", command])


def _translations() -> list[str]:
    """Return the long descriptions that apt has fetched (``apt-get update -o Acquire::Languages=en``)."""
    given = ["-o", "Acquire::Languages=en", "indextargets", "--format", "$(FILENAME)", "Created-By: Translations"]
    return [_read(Path(name)) for name in _run(["apt-get", *given]).split() if Path(name).exists()]


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise SystemExit(f"{command[0]} is not installed: give the Packages and Translation-en files") from None


INFO = SetInfo(
    name="debian",
    source="the package index of Debian (https://www.debian.org/distrib/packages; old ones: https://snapshot.debian.org)",
    licence="descriptions have the licences of their packages, all of them free; tags are of https://debtags.debian.org",
    files="none on Debian (after apt-get update -o Acquire::Languages=en), else its Packages and Translation-en files",
    digests={
        "train": "0a7a5532d7f9e8c0a9e203952a81b75fb6a62c4c376cbc8c19b222d90ca0844c",
        "test": "9abf526ff96827c9a5fbe87503949d70a40f3fa8e9efaf518ef321c4c763cfb4",
        "labels": "fa24efcc89f7252b228bb1d41f53fd4b41fa0e6eda0a9a8de3d36bc010bc429f",
    },
    build=build,
)
