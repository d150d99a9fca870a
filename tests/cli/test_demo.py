"""`ceiba demo` on a small stand-in for the classification, and `ceiba datasets`."""

from __future__ import annotations

import io
import os

import pytest

from ceiba.cli import icd_demo
from ceiba.data import datasets, icd
from ceiba.errors import MissingExtraError

ANIMALS = ("turtle", "cat", "dog", "horse", "goat", "parrot", "snake", "rat")
EVENTS = ("Struck by", "Bitten by", "Contact with")


def small_coding() -> icd.IcdCoding:
    descriptions = {}
    for i, animal in enumerate(ANIMALS):
        descriptions[f"W{50 + i}"] = f"Accidents with {animal}"
        descriptions.update({f"W{50 + i}.{j}": f"{event} {animal}" for j, event in enumerate(EVENTS)})
    labels = [[code] if "." not in code else [code, code.split(".")[0]] for code in descriptions]
    test = [f"A person {description.lower()}" for description in descriptions.values()]
    return icd.IcdCoding(list(descriptions.values()), labels, test, labels, descriptions, 0)


@pytest.fixture
def coding(monkeypatch, tmp_path):
    coding = small_coding()
    monkeypatch.setattr(icd, "load_icd10cm", lambda: coding)
    monkeypatch.chdir(tmp_path)
    return coding


def test_demo_trains_measures_answers_and_saves(run, coding, tmp_path):
    result = run("demo", "--threads", "1")
    assert (result.code, result.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines() if line.split()}
    assert all(len(rows[name]) == 3 and float(rows[name][0]) > 0 for name in ("P", "R", "nDCG", "PSP"))
    for question in icd_demo.QUESTIONS:
        assert f"\n{question}\n" in result.out
    after = result.out.split("\nstruck by turtle\n")[1].splitlines()
    assert {"Struck by turtle"} <= {line.split(maxsplit=2)[2] for line in after[:5]}
    assert "ceiba demo --ask\n" in result.out
    assert "ceiba predict ceiba-icd10cm -" in result.out
    assert [path.name for path in tmp_path.iterdir()] == ["ceiba-icd10cm"]
    # its own folder is replaced without being asked, any other is not
    assert run("demo", "--threads", "1").code == 0
    assert "--overwrite" in run("demo", "--model-dir", "ceiba-icd10cm").error()


def test_demo_serves_its_model_with_names_of_codes(run, coding, tmp_path, monkeypatch):
    pytest.importorskip("fastapi", reason="the extra ceiba[serve] is not installed")
    import ceiba

    served = []
    monkeypatch.setattr("ceiba.serve.run.run", lambda folders, settings, started: served.append((folders, settings)))
    assert run("demo", "--serve", "--port", "0", "--threads", "1").code == 0
    ((folders, settings),) = served
    assert (settings.host, settings.port, settings.token) == ("127.0.0.1", 0, None)
    model = ceiba.load(folders[0])
    assert dict(zip(model.classes_, model.label_texts_, strict=True)) == coding.descriptions
    before = (tmp_path / "ceiba-icd10cm").stat().st_mtime_ns
    assert run("demo", "--serve").code == 0  # there is one now
    assert (tmp_path / "ceiba-icd10cm").stat().st_mtime_ns == before
    assert "--ask" in run("demo", "--serve", "--ask").error()


def test_demo_as_json(run, coding):
    report = run("demo", "--json", "--seed", "3", "--model-dir", "elsewhere").json
    assert (report["train"], report["test"], report["labels"]) == (32, 32, 32)
    assert report["metrics"]["P@1"] > 50
    best = report["answers"]["struck by turtle"]
    assert {"W50", "W50.0"} == {answer["code"] for answer in best[:2]}
    assert all(answer["description"] == coding.descriptions[answer["code"]] for answer in best)


def test_ask_trains_only_where_there_is_no_model(run, coding, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("bitten by a goat\n\n   \nparrot"))
    first = run("demo", "--ask", "--threads", "1")
    assert first.code == 0
    assert "training" in first.err
    saved = os.stat("ceiba-icd10cm").st_ino
    monkeypatch.setattr("sys.stdin", io.StringIO("bitten by a goat\n\n   \nparrot"))
    second = run("demo", "--ask", "--threads", "1")
    assert (second.code, second.err) == (0, "")
    assert os.stat("ceiba-icd10cm").st_ino == saved
    assert second.out.count("\n\n") == 2, "two answers, none for the empty lines"
    assert "Bitten by goat" in second.out.split("\n\n")[0]
    assert first.out.endswith(second.out)


def test_ask_gives_no_json(run, coding):
    assert "--ask" in run("demo", "--ask", "--json").error()


def test_missing_extra_names_the_command(run, coding, monkeypatch, tmp_path):
    def missing():
        raise MissingExtraError("simple-icd-10-cm", "demo", "Medical coding with ICD-10-CM")

    monkeypatch.setattr(icd, "load_icd10cm", missing)
    assert "pip install 'ceiba[demo]'" in run("demo").error()
    assert list(tmp_path.iterdir()) == []


def test_datasets_list(run):
    listed = run("datasets", "list", "--json").json
    assert listed["Eurlex-4K"]["n_labels"] == 3956
    assert "Amazon-3M" in run("datasets", "list").out


def test_datasets_get(run, monkeypatch, tmp_path):
    calls = []

    def fetch(name, folder, url, progress):
        progress("download", 1, 2)
        calls.append((name, folder, url))
        return tmp_path / "eurlex-4k"

    monkeypatch.setattr(datasets, "get_dataset", fetch)
    words = ["datasets", "get", "Eurlex-4K", "--folder", tmp_path, "--url", "http://localhost/mirror"]
    assert run(*words).out == f"{tmp_path / 'eurlex-4k'}\n"
    assert run(*words, "--json").json == {"folder": str(tmp_path / "eurlex-4k")}
    assert calls == [("Eurlex-4K", tmp_path, "http://localhost/mirror")] * 2


def test_datasets_get_of_an_unknown_name(run, tmp_path):
    assert "Wiki10-31K" in run("datasets", "get", "Eurlex", "--folder", tmp_path).error()
