"""GND-core: from English records of a technical library to headings of the Integrated Authority File (GND)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.sets.building import SetInfo, one_line, place, rows_of, write
from benchmarks.sets.yso import short

_TEST_SHARE = 1 / 3


def build(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """Build the set from records, and from the last file: lines of a URI, a tab and a name in English."""
    if len(files) < 2:
        raise SystemExit("gnd-core needs the records (.tsv) and, as the last file, the names of the headings")
    names = dict(_names(files[-1]))
    train, test = [], []
    for path in files[:-1]:
        for text, uris in rows_of(path, "annif"):
            own = sorted({short(uri) for uri in uris} & names.keys())
            if own:
                row = one_line(text.replace("¤", "."))
                (test if place(row) < _TEST_SHARE else train).append((row, own))
    return write(folder, train, test, names)


def _names(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    return [(short(uri), text) for uri, text in pairs if text]


INFO = SetInfo(
    name="gnd-core",
    source="https://github.com/NatLibFi/Annif-LLMs4Subjects, made for SemEval-2025 task 5 (LLMs4Subjects)",
    licence="CC BY 4.0 (records of TIBKAT); CC0 1.0 (GND and the translations of its labels)",
    files="the English records of the dev part (TIBKAT/tib-core-subjects/data/dev/*/en.tsv) and the English labels",
    digests={
        "train": "e17d9a0a3656a447d470419ea67d891bf3987fcdf53dcfd00301255d8f9f20e9",
        "test": "74726ed96719198f3bacc26256d217dc0b803b1142f897df94338de44d54e7e5",
        "labels": "6688525657c4b48bf226ddf08d9a33cc8160e32d414c4e98009cb8119436b069",
    },
    build=build,
)
