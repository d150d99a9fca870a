"""What the benchmark writes for Annif and reads of it; Annif itself is not needed."""

import configparser
import gzip
import json
import sys

import pytest
from benchmarks.annif import run_annif
from benchmarks.systems.annif import Annif, label_of, uri_of

# Answers as Annif's command does: "index" ranks all labels in the order of the vocabulary, at most 100.
STUB = r"""#!{python}
import json, sys
from pathlib import Path
command, *rest = sys.argv[1:]
if command == "hyperopt":
    print("---\nsources=mllm:0.25,bonsai:0.75\n---")
if command == "index":
    out, documents = Path(rest[rest.index("--output") + 1]), Path(rest[-1])
    uris = [line.split(">")[0][1:] for line in Path("labels.tsv").read_text(encoding="utf-8").splitlines()]
    with out.open("w", encoding="utf-8") as file:
        for line in documents.read_text(encoding="utf-8").splitlines():
            assert list(json.loads(line)) == ["text"], "Annif skips a document whose subjects are an empty list"
            found = [{{"uri": uri, "score": 1 / (1 + i)}} for i, uri in enumerate(uris)]
            file.write(json.dumps({{"results": found}}) + "\n")
"""


@pytest.fixture
def env(tmp_path):
    """Return an environment whose commands are stubs."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    for name, code in (("annif", STUB.format(python=sys.executable)), ("python", f"#!{sys.executable}\nprint('{{}}')")):
        (folder / name).write_text(code, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder.parent


@pytest.mark.parametrize("label", ["4187713-5", "a b/c", "größe", "x#y?z%20"])
def test_a_label_has_one_uri_and_comes_back(label):
    assert label_of(uri_of(label)) == label
    assert not set(uri_of(label)) & set(' <>"')


@pytest.mark.skipif(sys.platform == "win32", reason="the stubs are scripts")
def test_projects_have_the_weights_that_were_found(env, tmp_path):
    annif = Annif(env, tmp_path / "work")
    annif.configure()
    annif.configure(annif.weights(tmp_path / "none"))
    config = configparser.ConfigParser()
    config.read(tmp_path / "work" / "projects.cfg")
    assert config["ensemble"]["sources"] == config["nn_ensemble"]["sources"] == "mllm:0.25,bonsai:0.75"
    assert config["bonsai"]["backend"] == "omikuji"
    assert annif.read_weights() == {"mllm": 0.25, "bonsai": 0.75}


@pytest.mark.skipif(sys.platform == "win32", reason="the stubs are scripts")
def test_figures_by_hand(env, tmp_path):
    labels = [f"l{i}" for i in range(8)]
    files = {
        "train": [{"text": f"text {i}", "labels": [labels[i % 4]]} for i in range(8)],
        "test": [
            {"text": "one", "labels": ["l0"]},
            {"text": "two", "labels": ["l1", "l7"]},
            {"text": "", "labels": ["?"]},
        ],
        "labels": [{"label": label, "text": f"name of {label}"} for label in labels],
    }
    for name, rows in files.items():
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    options = {"train": 0, "test": 0, "held_out": 2, "neural": True, "threads": 1}
    run_annif(tmp_path, tmp_path / "rows.jsonl", env=env, keep=tmp_path / "work", **options)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["system"] for row in rows] == ["annif-mllm", "annif-bonsai", "annif-ensemble", "annif-nn_ensemble"]
    for row in rows:  # the ranking is l0, l1, ... for every text; the text with an unknown label is left out
        assert (row["test"], row["labels"]) == (2, 8)
        assert (row["P@1"], row["P@3"], row["P@5"]) == (50.0, 33.3333, 20.0)
        assert row["F1@5"] == round((2 / 6 + 2 / 7) / 2, 4)
        assert row["unseen R@50"] == 1.0  # l7 has no training text
    assert rows[2]["settings"]["weights"] == {"mllm": 0.25, "bonsai": 0.75}


def test_an_environment_without_annif_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"annif_env\.sh"):
        Annif(tmp_path, tmp_path / "work")
