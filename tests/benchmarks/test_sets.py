"""The builders of data sets and the public sets, on small sources of the same form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from benchmarks.__main__ import app
from benchmarks.public import find_sets, propensities
from benchmarks.sets import SETS
from typer.testing import CliRunner

from ceiba.data import read


def rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def built(name, files, folder):
    result = CliRunner().invoke(app, ["build", name, *map(str, files), "--to", str(folder)])
    assert result.exit_code == 0, result.output
    return rows(folder / "train.jsonl.gz"), rows(folder / "test.jsonl.gz"), rows(folder / "labels.jsonl.gz")


def test_every_set_has_a_source_a_licence_and_digests():
    text = CliRunner().invoke(app, ["sets"]).output
    for info in SETS.values():
        assert info.name in text
        assert info.source in text
        assert info.licence in text
        assert all(len(digest) == 64 for digest in info.digests.values())


def test_debian(tmp_path):
    packages = "\n".join(
        f"Package: tool-{i}\nDepends: libc6 (>= 2.3) | musl, python3:any\nSection: utils\n"
        f"Tag: role::program,\n use::edit\nDescription: short {i}\nDescription-md5: m{i}\n"
        for i in range(60)
    )
    (tmp_path / "Packages").write_text(packages, encoding="utf-8")
    longer = "Package: tool-3\nDescription-md5: m3\nDescription-en: short 3\n A longer text.\n .\n End.\n"
    with gzip.open(tmp_path / "Translation-en.gz", "wt", encoding="utf-8") as file:
        file.write(longer)
    train, test, labels = built("debian", [tmp_path / "Packages", tmp_path / "Translation-en.gz"], tmp_path / "out")
    assert len(train) + len(test) == 60
    assert 0 < len(test) < 25
    texts = {row["text"]: row["labels"] for row in train + test}
    assert texts["tool 3. short 3 A longer text. End."] == texts["tool 5. short 5"]
    assert texts["tool 5. short 5"] == [
        *("dep:libc6", "dep:musl", "dep:python3", "section:utils"),
        *("tag:role::program", "tag:use::edit"),
    ]
    assert {"label": "tag:use::edit", "text": "use edit"} in labels


def test_yso(tmp_path):
    pytest.importorskip("rdflib")
    skos = "@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n"
    concept = '<http://www.yso.fi/onto/yso/p{}> a skos:Concept ; skos:prefLabel "heading {}"@en, "asia"@fi .\n'
    (tmp_path / "yso-skos.ttl").write_text(skos + "".join(concept.format(i, i) for i in range(3)), encoding="utf-8")
    lines = [f"title  {i}\t<http://www.yso.fi/onto/yso/p{i % 3}> <http://www.yso.fi/onto/yso/p99>\n" for i in range(80)]
    lines.append("title 0\t<http://www.yso.fi/onto/yso/p2>\n")
    with gzip.open(tmp_path / "yso-finna-en-01.tsv.gz", "wt", encoding="utf-8") as file:
        file.writelines(lines)
    sources = [tmp_path / "yso-finna-en-01.tsv.gz", tmp_path / "yso-skos.ttl"]
    train, test, labels = built("yso-en", sources, tmp_path / "out")
    assert len(train) + len(test) == 80
    assert {row["text"]: row["labels"] for row in train + test}["title 0"] == ["p0", "p2"]
    assert labels == [{"label": f"p{i}", "text": f"heading {i}"} for i in range(3)]


def test_gnd(tmp_path):
    lines = [f"Title {i} ¤ Abstract\t<http://d-nb.info/gnd/{i % 4}>\n" for i in range(40)]
    (tmp_path / "en.tsv").write_text("".join(lines), encoding="utf-8")
    names = [f"<http://d-nb.info/gnd/{i}>\tname {i}\n" for i in range(3)]
    (tmp_path / "labels.tsv").write_text("".join(names).replace("<", "").replace(">", ""), encoding="utf-8")
    train, test, labels = built("gnd-core", [tmp_path / "en.tsv", tmp_path / "labels.tsv"], tmp_path / "out")
    assert len(train) + len(test) == 30
    assert train[0]["text"].endswith(". Abstract")
    assert len(labels) == 3


def test_a_set_or_a_file_that_is_not_there(tmp_path):
    for words, named in ((["build", "none"], "gnd-core"), (["build", "gnd-core", "none.tsv"], "none.tsv")):
        result = CliRunner().invoke(app, [*words, "--to", str(tmp_path)])
        assert result.exit_code != 0
        assert named in result.output + str(result.exception)


def matrices():
    random = np.random.default_rng(0)
    Y = sp.csr_matrix(np.eye(3)[random.integers(3, size=120)], dtype=np.float32)
    X = sp.hstack([Y, sp.random_array((120, 5), density=0.3, random_state=random)]).tocsr().astype(np.float32)
    return sp.csr_matrix(X), Y


@pytest.fixture
def home(tmp_path):
    """A set in the layout of PECOS's archives, and one in that of the repository."""
    X, Y = matrices()
    pecos, repository = tmp_path / "eurlex-4k" / "tfidf-attnxml", tmp_path / "Amazon-670K"
    pecos.mkdir(parents=True)
    repository.mkdir()
    for short, long, part in (("trn", "train", slice(0, 90)), ("tst", "test", slice(90, 120))):
        sp.save_npz(pecos / f"X.{short}.npz", X[part])
        sp.save_npz(pecos.parent / f"Y.{short}.npz", Y[part])
        lines = [f"{part.stop - part.start} {X.shape[1]} 3"]
        for row in range(part.start, part.stop):
            features = " ".join(f"{j}:{v}" for j, v in zip(X[row].indices, X[row].data, strict=True))
            lines.append(f"{','.join(map(str, Y[row].indices))} {features}")
        (repository / f"{long}.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_public_sets_are_found(home):
    assert set(find_sets(home)) == {"eurlex-4k", "Amazon-670K"}
    assert read(home / "Amazon-670K").format == "xmc"


@pytest.mark.slow
def test_public_sets_are_run(home, tmp_path):
    out = tmp_path / "rows.jsonl"
    arguments = ["public", "--folder", str(home), "--json", str(out), "--systems", "ceiba", "--threads", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = {row["data"]: row for row in map(json.loads, out.read_text().splitlines())}
    for name, row in found.items():
        assert row["P@1"] > 90, name
        assert (row["documents"], row["test_documents"], row["labels"]) == (90, 30, 3)
    assert (found["eurlex-4k"]["A"], found["Amazon-670K"]["A"]) == (0.55, 0.6)


def test_public_sets_that_are_not_there(home):
    base = ["public", "--json", str(home / "rows.jsonl"), "--folder"]
    result = CliRunner().invoke(app, [*base, str(home), "--sets", "Wiki-500K"])
    assert "Wiki-500K" in result.output + str(result.exception)
    result = CliRunner().invoke(app, [*base, str(home / "notes")])
    assert "Eurlex-4K" in result.output + str(result.exception)


@pytest.mark.parametrize(
    ("name", "A"), [("AmazonCat-13K", 0.55), ("Wiki10-31K", 0.55), ("Wiki-500K", 0.5), ("LF-AmazonTitles-131K", 0.6)]
)
def test_propensities(name, A):
    assert propensities(name)[0] == A


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yso-en", "gnd-core"])
def test_the_sets_of_the_tables_come_out_again(name, tmp_path):
    """From files of the source's form made of the set itself, where it lies beside the repository."""
    kept = Path(__file__).parents[3] / "shared" / "data" / name
    if not kept.is_dir():
        pytest.skip("the data sets are not beside the repository")
    with open(tmp_path / "all.tsv", "w", encoding="utf-8") as file:
        for part in ("train", "test"):
            for row in rows(kept / f"{part}.jsonl.gz"):
                file.write(f"{row['text']}\t{' '.join(f'<http://x/{label}>' for label in row['labels'])}\n")
    labels = rows(kept / "labels.jsonl.gz")
    if name == "yso-en":
        names = tmp_path / "labels.jsonl"
        names.write_text("".join(json.dumps(row) + "\n" for row in labels), encoding="utf-8")
    else:
        names = tmp_path / "labels.tsv"
        names.write_text("".join(f"http://x/{row['label']}\t{row['text']}\n" for row in labels), encoding="utf-8")
    assert SETS[name].build([tmp_path / "all.tsv", names], tmp_path / "out") == SETS[name].digests
