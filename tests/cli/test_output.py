"""`ceiba predict -o`: regular files are replaced whole, everything else is written into, inputs are left alone."""

from __future__ import annotations

import gzip
import json
import os
import socket
import stat
import threading

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ceiba.data import read


@pytest.fixture
def data(tmp_path, write_jsonl):
    rows = [{"text": "harbour violin"}, {"text": 'the "old",\nbakery'}, {"text": "glacier meadow"}]
    return write_jsonl(tmp_path / "input.jsonl", rows)


@pytest.fixture
def expected(run, model, data):
    return run("predict", model, data, "-k", "2").lines


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# what is no regular file


@pytest.fixture
def null_device(tmp_path):
    """A null device that may be broken: one of this test's own for root, else the machine's."""
    if os.geteuid():
        return "/dev/null"
    path = tmp_path / "null"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        path.write_bytes(b"")
    except PermissionError:
        pytest.skip("no devices can be made here")
    return str(path)


def test_device_is_written_into(run, model, data, null_device, tmp_path):
    (tmp_path / "sink").symlink_to(null_device)
    before = os.stat(null_device)
    for name in (null_device, tmp_path / "sink"):
        result = run("predict", model, data, "-o", name)
        assert (result.code, result.out) == (0, "")
    after = os.stat(null_device)
    assert (before.st_ino, before.st_mode, before.st_rdev) == (after.st_ino, after.st_mode, after.st_rdev)
    assert (tmp_path / "sink").is_symlink()


def test_fifo_is_written_into(run, model, data, expected, tmp_path):
    fifo = tmp_path / "answers.jsonl"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()), daemon=True)
    reader.start()
    assert run("predict", model, data, "-k", "2", "-o", fifo).code == 0
    reader.join(timeout=30)
    assert [json.loads(line) for line in got[0].splitlines()] == expected
    assert fifo.is_fifo()


def test_socket_is_written_into(run, model, data, expected, tmp_path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.listen()
    got = []

    def serve():
        with server.accept()[0].makefile("rb") as file:
            got.append(file.read())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert run("predict", model, data, "-k", "2", "-o", tmp_path / "s").code == 0
    thread.join(timeout=30)
    server.close()
    assert [json.loads(line) for line in got[0].splitlines()] == expected
    assert (tmp_path / "s").is_socket()


@pytest.mark.parametrize(
    "name", ["/dev/stdout", *(pytest.param(name, marks=pytest.mark.slow) for name in ("/dev/fd/1", "/proc/self/fd/1"))]
)
def test_standard_output_by_name(start, model, data, expected, tmp_path, name):
    """It may be a pipe, or a file that others have written to and will go on writing to."""
    process = start("predict", model, data, "-k", "2", "-o", name)
    out, err = process.communicate(timeout=60)
    assert ([json.loads(line) for line in out.splitlines()], process.returncode) == (expected, 0), err
    with (tmp_path / "log.txt").open("wb") as log:
        log.write(b"before\n")
        log.flush()
        process = start("predict", model, data, "-k", "2", "-o", name, stdout=log)
        assert process.wait(timeout=60) == 0, process.stderr.read()
        log.write(b"after\n")
    written = (tmp_path / "log.txt").read_text().splitlines()
    assert (written[0], written[-1]) == ("before", "after")
    assert [json.loads(line) for line in written[1:-1]] == expected


def test_dash_is_standard_output(run, model, data, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("predict", model, data, "-k", "2", "-o", "-").lines == expected
    assert not (tmp_path / "-").exists()


# regular files, and links to them


def test_link_stays_and_its_target_is_replaced(run, model, data, expected, tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "answers.jsonl"
    target.write_text("old")
    (tmp_path / "one").symlink_to("real/answers.jsonl")
    (tmp_path / "two").symlink_to("one")
    assert run("predict", model, data, "-k", "2", "-o", tmp_path / "two").code == 0
    assert (tmp_path / "two").is_symlink()
    assert (tmp_path / "one").is_symlink()
    assert lines(target) == expected
    assert [path.name for path in target.parent.iterdir()] == ["answers.jsonl"]


def test_dangling_link_makes_its_target(run, model, data, expected, tmp_path):
    (tmp_path / "link.jsonl").symlink_to("new.jsonl")
    assert run("predict", model, data, "-k", "2", "-o", tmp_path / "link.jsonl").code == 0
    assert (tmp_path / "link.jsonl").is_symlink()
    assert lines(tmp_path / "new.jsonl") == expected


def test_permissions(run, model, data, tmp_path):
    old = tmp_path / "old.jsonl"
    old.write_text("")
    old.chmod(0o640)
    umask = os.umask(0o027)
    try:
        assert run("predict", model, data, "-o", old).code == 0
        assert run("predict", model, data, "-o", tmp_path / "new.jsonl").code == 0
    finally:
        os.umask(umask)
    assert old.stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "new.jsonl").stat().st_mode & 0o7777 == 0o640
    old.chmod(0o604)
    assert run("predict", model, data, "-o", old).code == 0
    assert old.stat().st_mode & 0o7777 == 0o604


def test_targets_that_cannot_be_written(run, model, data, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to_folder").symlink_to("folder")
    (tmp_path / "nowhere").symlink_to("missing/answers.jsonl")
    for name in ("loop", "folder", "to_folder", "nowhere", "missing/x.jsonl", "input.jsonl/x.jsonl"):
        assert name in run("predict", model, data, "-o", tmp_path / name).error()
    assert "missing" in run("predict", model, data, "-o", f"{tmp_path}/missing/").error()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "input.jsonl", "loop", "nowhere", "to_folder"]


def test_target_is_looked_at_before_the_model(run, data, tmp_path):
    assert "is a folder" in run("predict", tmp_path / "no-model", data, "-o", tmp_path).error()


# an output that is an input


def test_input_is_not_replaced_unless_asked(run, model, data, expected, tmp_path):
    before = data.read_bytes()
    (tmp_path / "link.jsonl").symlink_to("input.jsonl")
    os.link(data, tmp_path / "hard.jsonl")
    for name in ("input.jsonl", "link.jsonl", "hard.jsonl", "../" + tmp_path.name + "/input.jsonl"):
        assert "--overwrite" in run("predict", model, data, "-o", f"{tmp_path}/{name}").error()
    assert "--overwrite" in run("predict", model, tmp_path / "link.jsonl", "-o", data).error()
    assert data.read_bytes() == before
    assert run("predict", model, data, "-k", "2", "-o", tmp_path / "link.jsonl", "--overwrite").code == 0
    assert lines(data) == expected
    assert (tmp_path / "link.jsonl").is_symlink()


def test_standard_input_is_an_input(start, model, data, tmp_path):
    before = data.read_bytes()
    with data.open("rb") as file:
        process = start("predict", model, "-", "-o", data, stdin=file)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"--overwrite" in err
    assert data.read_bytes() == before


@pytest.mark.parametrize("more", [[], ["-o", "-"], ["-o", "/dev/stdout"], ["-o", "/dev/stdout", "--overwrite"]])
def test_standard_output_is_the_input(start, model, data, more):
    before = data.read_bytes()
    with data.open("ab") as file:
        process = start("predict", model, data, *more, stdout=file)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert data.name.encode() in err
    assert b"same file" in err
    assert data.read_bytes() == before


def test_home_of_nobody(run, model, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (
        ("predict", model, data, "-o", "~no-such-user/x.jsonl"),
        ("predict", "~no-such-user/m", data),
        ("train", data, "--model-dir", "~no-such-user/m"),
    ):
        message = run(*words).error()
        assert "~no-such-user" in message
        assert "no such user" in message
    assert not (tmp_path / "~no-such-user").exists()


def test_folder_of_the_data_set(run, model, data, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "test.jsonl").write_bytes(data.read_bytes())
    (folder / "train.jsonl").write_text("precious")
    for name in ("test.jsonl", "train.jsonl"):
        assert "--overwrite" in run("predict", model, folder, "-o", folder / name).error()
    assert (folder / "train.jsonl").read_text() == "precious"
    assert run("predict", model, folder, "-o", folder / "train.jsonl", "--overwrite").code == 0


def test_model_is_never_written_into(run, model, data):
    before = (model / "current.json").read_bytes()
    for name in ("current.json", "answers.jsonl"):
        assert "model" in run("predict", model, data, "-o", model / name, "--overwrite").error()
    assert (model / "current.json").read_bytes() == before
    assert not (model / "answers.jsonl").exists()


# formats


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.tab", "a.csv.gz", "a.TSV.zst", "a.parquet"])
def test_tables_are_read_back(run, model, data, expected, tmp_path, name):
    assert run("predict", model, data, "-k", "2", "-o", tmp_path / name, "--with-text").code == 0
    found = read(tmp_path / name)
    assert list(found.texts) == ["harbour violin", 'the "old",\nbakery', "glacier meadow"]
    names = found.classes
    rows = [set(names[row.indices]) for row in found.Y]
    assert rows == [set(answer["labels"]) for answer in expected]
    if name == "a.parquet":
        table = parquet.read_table(tmp_path / name)
        assert table.column("labels").to_pylist() == [answer["labels"] for answer in expected]
        scores = np.array(table.column("scores").to_pylist(), np.float32)
        assert np.array_equal(scores, np.array([answer["scores"] for answer in expected], np.float32))
        assert pa.types.is_list(table.schema.field("labels").type)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson", "plain", "a.JSONL"])
def test_json_lines(run, model, data, expected, tmp_path, name):
    assert run("predict", model, data, "-k", "2", "-o", tmp_path / name).code == 0
    assert lines(tmp_path / name) == expected


def test_compressed_json_lines(run, model, data, expected, tmp_path):
    assert run("predict", model, data, "-k", "2", "-o", tmp_path / "a.jsonl.gz").code == 0
    with gzip.open(tmp_path / "a.jsonl.gz", "rt") as file:
        assert [json.loads(line) for line in file] == expected


@pytest.mark.parametrize("name", ["a.xlsx", "a.txt", "a.npz", "a.parquet.gz", "a.jsonl.bz2"])
def test_unknown_formats_are_refused(run, model, data, tmp_path, name):
    message = run("predict", model, data, "-o", tmp_path / name).error()
    assert all(known in message for known in (".jsonl", ".csv", ".tsv", ".parquet"))
    assert not (tmp_path / name).exists()


def test_format_of_a_link_is_that_of_its_target(run, model, data, tmp_path):
    (tmp_path / "table.csv").write_text("")
    (tmp_path / "latest").symlink_to("table.csv")
    assert run("predict", model, data, "-o", tmp_path / "latest").code == 0
    assert (tmp_path / "table.csv").read_text().startswith("labels,scores\n")
    (tmp_path / "latest.jsonl").symlink_to("table.csv")
    assert "table.csv" in run("predict", model, data, "-o", tmp_path / "latest.jsonl").error()


def test_file_that_may_be_written_in_a_folder_that_may_not(run, model, data, expected, tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    target = tmp_path / "shared" / "a.jsonl"
    target.write_text("old")
    before, access = target.stat().st_ino, os.access

    def closed_folder(path, mode, **options):
        return os.fspath(path) != str(target.parent) and access(path, mode, **options)

    monkeypatch.setattr(os, "access", closed_folder)
    assert run("predict", model, data, "-k", "2", "-o", target).code == 0
    assert lines(target) == expected
    assert target.stat().st_ino == before
    assert "permission" in run("predict", model, data, "-o", target.parent / "new.jsonl").error()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_line_that_names_the_file(run, model, data):
    result = run("predict", model, data, "-o", "/dev/full")
    assert result.code == 1
    assert "/dev/full" in result.err
    assert len(result.err.splitlines()) == 1
