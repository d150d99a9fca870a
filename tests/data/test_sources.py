"""What is no plain file of a known format: pipes are read, archives and office files are called by their names."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import lzma
import os
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba.data import read, read_filter
from ceiba.data.reader import FORMATS, detect
from ceiba.errors import CeibaError, DataFormatError, DataWarning, InputError

JSONL = b'{"text": "a red fox", "labels": ["fox"]}\n{"text": "two seals", "labels": ["seal", "fox"]}\n'
CSV = b"text,labels\na red fox,fox\ntwo seals,seal;fox\n"
XMC = b"2 3 2\n0,1 0:1 2:0.5\n1 1:1\n"
SVM = b"0,2 1:1 3:0.5\n2 2:1\n"
TEXT = b"a red fox\ntwo seals\n"


def pipe(path: Path, content: bytes) -> Path:
    """Make a FIFO that something writes once."""
    os.mkfifo(path)
    threading.Thread(target=lambda: path.write_bytes(content), daemon=True).start()
    return path


# pipes


@pytest.mark.parametrize(
    ("name", "content", "options", "format"),
    [
        ("fifo", JSONL, {}, "jsonl"),
        ("fifo.jsonl", JSONL, {}, "jsonl"),
        ("fifo", gzip.compress(JSONL, mtime=0), {}, "jsonl"),
        ("fifo.jsonl.gz", gzip.compress(JSONL, mtime=0), {}, "jsonl"),
        ("fifo.csv", CSV, {}, "csv"),
        ("fifo", CSV, {"format": "csv"}, "csv"),
        ("fifo", XMC, {}, "xmc"),
        ("fifo", SVM, {}, "svmlight"),
        ("fifo", TEXT, {}, "text"),
    ],
)
def test_fifo_is_read(tmp_path, name, content, options, format):
    (tmp_path / "plain").mkdir()
    data = read(pipe(tmp_path / name, content), **options)
    plain = tmp_path / "plain" / name
    plain.write_bytes(content)
    expected = read(plain, format=format)
    assert (data.format, data.n, data.path) == (format, expected.n, tmp_path / name)
    assert np.array_equal(data.classes, expected.classes)
    if expected.texts is not None:
        texts = data.texts
        del data
        gc.collect()
        assert list(texts) == list(texts) == list(expected.texts)
    else:
        assert np.array_equal(data.X.toarray(), expected.X.toarray())
        assert np.array_equal(data.Y.toarray(), expected.Y.toarray())


def test_descriptor_is_read():
    inner, outer = os.pipe()
    threading.Thread(target=lambda: os.fdopen(outer, "wb").write(JSONL), daemon=True).start()
    try:
        assert list(read(f"/dev/fd/{inner}").texts) == ["a red fox", "two seals"]
    finally:
        os.close(inner)


def test_pipe_that_nothing_writes_to_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr("ceiba.data.sources.PATIENCE", 0.05)
    os.mkfifo(tmp_path / "fifo")
    timer = threading.Timer(0.5, (tmp_path / "fifo").write_bytes, [JSONL])
    timer.start()
    with pytest.warns(DataWarning, match="waiting"):
        data = read(tmp_path / "fifo")
    assert data.n == 2
    timer.join()


@pytest.mark.parametrize("pieces", [[], [b""], [JSONL[:20], JSONL[20:]]])
def test_writer_that_takes_its_time(tmp_path, pieces):
    os.mkfifo(tmp_path / "fifo")

    def write():
        with (tmp_path / "fifo").open("wb", buffering=0) as file:
            for piece in pieces:
                time.sleep(0.1)
                file.write(piece)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    if any(pieces):
        assert read(tmp_path / "fifo").n == 2
    else:
        with pytest.raises(DataFormatError, match="is empty"):
            read(tmp_path / "fifo")
    thread.join()


def test_fault_in_a_pipe_names_it(tmp_path):
    path = pipe(tmp_path / "fifo", JSONL + b'{"text": 3}\n')
    with pytest.raises(DataFormatError, match="line 3") as error:
        read(path)
    assert str(path) in str(error.value)


def test_numpy_matrix_through_a_pipe(tmp_path):
    file = io.BytesIO()
    sp.save_npz(file, sp.csr_array(np.eye(3, dtype=np.float32)))
    assert np.array_equal(read(pipe(tmp_path / "fifo", file.getvalue())).X.toarray(), np.eye(3))


def test_filter_through_a_pipe(tmp_path):
    assert read_filter(pipe(tmp_path / "fifo", b"0 1\n"), 2).nnz == 1


def test_standard_input_with_labels(monkeypatch):
    class Input:
        buffer = io.BytesIO(JSONL)

    monkeypatch.setattr("sys.stdin", Input())
    data = read("-", labels=True)
    assert data.classes.tolist() == ["fox", "seal"]
    assert list(data.texts) == ["a red fox", "two seals"]


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_devices_are_named(name):
    with pytest.raises(CeibaError, match=name):
        read(name)


def test_socket_is_named(tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(InputError, match="socket"):
            read(tmp_path / "s")


@pytest.mark.parametrize("name", ["file/inside", "loop", "x" * 300, "null\0byte"])
def test_paths_that_lead_nowhere(tmp_path, name):
    (tmp_path / "file").write_bytes(JSONL)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError):
        read(tmp_path / name)


def test_json_lines_are_known_without_a_suffix(tmp_path):
    (tmp_path / "part-00000").write_bytes(JSONL)
    assert detect(tmp_path / "part-00000") == "jsonl"
    (tmp_path / "text").write_bytes(b"{braces} are text\nhere\n")
    assert detect(tmp_path / "text") == "text"


# empty files


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.svm", "a.txt", "a.parquet", "a.npz", "a"])
@pytest.mark.parametrize("options", [{}, {"labels": True}])
def test_empty_file_is_called_empty(tmp_path, name, options):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataFormatError, match="is empty") as error:
        read(tmp_path / name, **options)
    assert name in str(error.value)


@pytest.mark.parametrize("format", FORMATS)
def test_empty_file_of_a_given_format(tmp_path, format):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DataFormatError, match="is empty"):
        read(tmp_path / "a", format=format)


@pytest.mark.parametrize("content", [b"\n\n", b"  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_json_lines_without_rows(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataFormatError, match="holds no rows"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("pack", [gzip.compress])
def test_empty_below_the_compression(tmp_path, pack):
    (tmp_path / "a.jsonl.gz").write_bytes(pack(b""))
    with pytest.raises(DataFormatError, match="is empty"):
        read(tmp_path / "a.jsonl.gz")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.zst", "a.txt.zstd"])
def test_file_of_no_bytes_is_empty_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataFormatError, match="is empty") as error:
        read(tmp_path / name)
    assert name in str(error.value)
    assert read_filter(tmp_path / name, n_rows=2, n_labels=3).nnz == 0


@pytest.mark.parametrize("name", ["labels.jsonl", "lbl.json"])
def test_empty_file_of_label_texts(tmp_path, name):
    row = '{"text": "a", "labels": ["x"]}' if name == "labels.jsonl" else '{"title": "a", "target_ind": [0]}'
    (tmp_path / "train.json").write_text(row + "\n")
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataFormatError, match=f"{name}: holds no rows"):
        _ = read(tmp_path / "train.json").label_texts


# archives and files of other programs


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(("member", "content"), [("train.jsonl", JSONL), ("d/train.csv", CSV)])
def test_zip_of_one_file_is_read(tmp_path, member, content):
    data = read(zipped(tmp_path / "a.zip", **{member: content}), labels=True)
    assert list(data.texts) == ["a red fox", "two seals"]
    assert data.classes.tolist() == ["fox", "seal"]
    assert data.path == tmp_path / "a.zip"


def test_zip_of_several_files_names_them(tmp_path):
    path = zipped(tmp_path / "a.zip", **{"train.jsonl": JSONL, "test.jsonl": JSONL})
    with pytest.raises(DataFormatError, match="zip archive") as error:
        read(path)
    assert "train.jsonl" in str(error.value)
    assert "npack" in str(error.value)


@pytest.mark.parametrize(
    "beside",
    [
        ["__MACOSX/._train.jsonl"],
        [".DS_Store", "__MACOSX/._.DS_Store"],
        ["data/.DS_Store"],
        ["data/._train.jsonl", "data/__MACOSX/x"],
        ["Thumbs.db", "data/desktop.ini"],
        ["__MACOSX/._labels.npy"],  # no matrix
    ],
)
def test_what_desktops_put_into_zip_archives_does_not_count(tmp_path, beside):
    path = zipped(tmp_path / "a.zip", **{"train.jsonl": JSONL, **dict.fromkeys(beside, b"x")})
    assert read(path).n == 2


def test_zip_of_such_files_alone_holds_none(tmp_path):
    with pytest.raises(DataFormatError, match=r"zip.*0 files"):
        read(zipped(tmp_path / "a.zip", **{".DS_Store": b"x", "__MACOSX/._a": b"x"}))


def tar(content: bytes, mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        info = tarfile.TarInfo("train.jsonl")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


OFFICE = {"[Content_Types].xml": b"<Types/>"}


@pytest.mark.parametrize("format", [None, "csv", "jsonl"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", "", ".xlsx"])
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: zipped(path, **OFFICE, **{"xl/workbook.xml": b"<x/>"}), "Excel"),
        (lambda path: zipped(path, **OFFICE, **{"word/document.xml": b"<x/>"}), "Word"),
        (lambda path: zipped(path, mimetype=b"application/vnd.oasis.opendocument.spreadsheet"), "OpenDocument"),
        (lambda path: zipped(path), "zip"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(40)), "zip"),
        (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)), "Office"),
        (lambda path: path.write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(40)), "7z"),
        (lambda path: path.write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(40)), "rar"),
        (lambda path: path.write_bytes(lzma.compress(JSONL)), "xz"),
        (lambda path: path.write_bytes(bz2.compress(JSONL)), "bzip2"),
        (lambda path: path.write_bytes(tar(JSONL)), "tar"),
        (lambda path: path.write_bytes(tar(JSONL, "w:gz")), "tar"),
        (lambda path: path.write_bytes(b"%PDF-1.7\n" + bytes(40)), "PDF"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(90)), "SQLite"),
        (lambda path: path.write_bytes("text,labels\n".encode("utf-16")), "UTF-16"),
    ],
)
def test_foreign_files_are_named_with_a_cure(tmp_path, make, named, suffix, format):
    path = tmp_path / f"a{suffix}"
    make(path)
    with pytest.raises(DataFormatError, match=named) as error:
        read(path, format=format, labels=True)
    assert path.name in str(error.value)
    assert "is not valid UTF-8" not in str(error.value)


def test_matrix_is_still_told_by_its_content(tmp_path):
    sp.save_npz(tmp_path / "X.npz", sp.csr_array(np.eye(2, dtype=np.float32)))
    (tmp_path / "X.npz").rename(tmp_path / "matrix")
    assert read(tmp_path / "matrix").format == "npz"


# spellings of sparse text


@pytest.mark.parametrize("labels", ["0, 2", "0 ,2", "0 , 2", "0,  2", "0,\t2", "+0,2", "0,+2", "+0, +2"])
@pytest.mark.parametrize("features", ["0:1 2:0.5", ""])
def test_spellings_of_labels_in_xmc_text(tmp_path, labels, features):
    path = tmp_path / "train.txt"
    path.write_text(f"3 3 3\n{labels} {features}\n 1:1\n1, 2 1:+2e+0\n")
    data = read(path)
    assert data.format == "xmc"
    assert data.Y.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]
    first = [1, 0, 0.5] if features else [0, 0, 0]
    assert data.X.toarray().tolist() == [first, [0, 1, 0], [0, 2, 0]]


@pytest.mark.parametrize("name", ["a.svm", "a.txt", "a"])
@pytest.mark.parametrize(
    ("label", "names"),
    [("+1", [1]), ("-1", [-1]), ("+1,-1", [-1, 1]), ("1.0", [1]), ("+1.000", [1]), ("3, +1", [1, 3]), ("01", [1])],
)
def test_spellings_of_labels_in_svmlight(tmp_path, name, label, names):
    path = tmp_path / name
    path.write_text(f"{label} 1:1 3:0.5\n{label} 2:1 # a comment, +1 more\n")
    data = read(path)
    assert (data.format, data.label_names) == ("svmlight", names)
    assert data.X.toarray().tolist() == [[1, 0, 0.5], [0, 1, 0]]


@pytest.mark.parametrize("label", ["++1", "1.5", "+", "1+", "a", "1e1", "0,,1", "+-1"])
def test_labels_that_are_no_numbers(tmp_path, label):
    (tmp_path / "a.svm").write_text(f"0 1:1\n{label} 1:1\n")
    with pytest.raises(DataFormatError, match="line 2"):
        read(tmp_path / "a.svm")
