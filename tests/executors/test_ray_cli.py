"""``--engine ray``: the answers and figures of one process, and a folder that a stopped prediction goes on with."""

import json

import pyarrow.parquet as pq
import pytest

from ceiba.cli import main

pytest.importorskip("ray")


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


@pytest.fixture(scope="module")
def trained(small_corpus, tmp_path_factory):
    """Train a model on 90 texts; return its folder, the file, and a folder for more."""
    folder = tmp_path_factory.mktemp("trained")
    texts, labels = small_corpus
    rows = [json.dumps({"text": text, "labels": row}) for text, row in zip(texts, labels, strict=True)]
    (folder / "t.jsonl").write_text("\n".join(rows))
    assert run("train", folder / "t.jsonl", "--model", "xr-linear", "--model-dir", folder / "m", "--json") == 0
    return folder / "m", folder / "t.jsonl", folder


def test_a_command_trains_the_same_bytes_and_cleans_up(ray_executor, trained, tmp_path):
    _, data, _ = trained
    ask = ["train", data, "--model", "xr-linear", "--engine", "ray", "--set", "n_trees=2", "--json"]
    assert run(*ask, "--model-dir", tmp_path / "a", "--work-dir", tmp_path / "work") == 0
    assert run("train", data, "--model", "xr-linear", "--set", "n_trees=2", "--model-dir", tmp_path / "b") == 0
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert not (tmp_path / "work").exists()


def table(path):
    return pq.read_table(path).to_pylist()


def test_shards_hold_every_row_once_and_go_on(ray_executor, trained, capsys):
    model, data, folder = trained
    assert run("predict", model, data, "-o", folder / "one.parquet", "--with-text") == 0
    ask = ["predict", model, data, "-o", folder / "many", "--with-text", "--engine", "ray", "--rows-per-file", 20]
    assert run(*ask, "--json") == 0
    shards = sorted((folder / "many").glob("part-*.parquet"))
    assert [pq.read_metadata(shard).num_rows for shard in shards] == [20, 20, 20, 20, 10]
    assert [row for shard in shards for row in table(shard)] == table(folder / "one.parquet")
    assert (folder / "many" / "_SUCCESS").exists()

    assert run(*ask) == 2
    assert "--resume" in capsys.readouterr().err
    kept = {shard.name: shard.stat().st_mtime_ns for shard in shards}
    shards[2].unlink()
    assert run(*ask, "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 20
    now = {shard.name: shard.stat().st_mtime_ns for shard in shards}
    assert [name for name in kept if kept[name] != now[name]] == [shards[2].name]
    assert [row for shard in shards for row in table(shard)] == table(folder / "one.parquet")
    assert run(*ask, "--resume", "-k", 3) == 2
    assert "k" in capsys.readouterr().err


def test_figures_are_those_of_one_process(ray_executor, trained, capsys):
    model, data, _ = trained
    figures = []
    for engine in ("local", "ray"):
        assert run("evaluate", model, data, "--json", "--engine", engine) == 0
        figures.append(json.loads(capsys.readouterr().out))
        del figures[-1]["seconds"]
    assert figures[0] == figures[1]


@pytest.mark.parametrize("command", ["predict", "evaluate", "train"])
def test_a_row_at_fault_is_named_with_its_line(ray_executor, tmp_path, capsys, command):
    rows = [f"{row % 4} {row % 4 + 1}:1 9:{1 + row}" for row in range(40)]
    (tmp_path / "good.svm").write_text("\n".join(rows))
    ask = ["train", tmp_path / "good.svm", "--model", "xr-linear", "--model-dir", tmp_path / "m", "--json"]
    assert run(*ask) == 0
    rows[33] = "1 2:3e38 9:1"
    (tmp_path / "bad.svm").write_text("\n".join([rows[0], "", "# a comment", *rows[1:]]))
    words = {
        "predict": [tmp_path / "m", tmp_path / "bad.svm", "-o", tmp_path / "out", "--rows-per-file", 10],
        "evaluate": [tmp_path / "m", tmp_path / "bad.svm"],
        "train": [tmp_path / "bad.svm", "--model-dir", tmp_path / "new"],
    }
    assert run(command, *words[command], "--engine", "ray") == 2
    assert "bad.svm, line 36: holds a value" in capsys.readouterr().err
