"""A row that cannot be used is named by its file and its line (or row), whichever command meets it."""

import io
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from ceiba import XRLinear
from ceiba.errors import InputError

N, AT = 40, 33  # rows, and the number of the poisoned one, from 0
LINE = AT + 3  # below a blank line and a comment, counted from 1


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A model of 20 features, and files whose row 33 holds a value that is too large or a feature too many."""
    folder = tmp_path_factory.mktemp("features")
    X = sp.random(N, 20, 0.3, format="csr", random_state=0, dtype=np.float32)
    X = sp.csr_array(X + sp.csr_array((np.ones(N, np.float32), (range(N), [19] * N)), shape=(N, 20)))
    Y = sp.csr_array((np.ones(N, np.float32), np.arange(N) % 4, np.arange(N + 1)))
    XRLinear(random_state=0).fit(X, Y).save(folder / "m")
    large = X.copy()
    large.data[large.indptr[AT]] = 3e38
    for name, matrix in (("good", X), ("large", large)):
        write_svmlight(folder / f"{name}.svm", matrix)
        (folder / f"{name}-npz").mkdir()
        sp.save_npz(folder / f"{name}-npz" / "X.trn.npz", matrix)
        sp.save_npz(folder / f"{name}-npz" / "Y.trn.npz", Y)
        rows = [f"{i % 4} {tokens(matrix, i, 0)}" for i in range(N)]
        (folder / f"{name}.txt").write_text("\n".join([f"{N} 20 4", *rows]) + "\n")
    write_svmlight(folder / "wide.svm", X, poison="2 20:1 4000:2")
    write_svmlight(folder / "twice.svm", X, poison="2 3:3e38 3:3e38 20:1")
    return folder


def tokens(matrix, row, base):
    of = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return " ".join(f"{j + base}:{v}" for j, v in zip(matrix.indices[of], matrix.data[of], strict=True))


def write_svmlight(path, matrix, poison=None):
    rows = [f"{i % 4} {tokens(matrix, i, 1)}" for i in range(N)]
    if poison is not None:
        rows[AT] = poison
    path.write_text("\n".join(["# made by hand", rows[0], "", *rows[1:]]) + "\n")


FILES = {"large.svm": f"line {LINE}", "large-npz/X.trn.npz": f"row {AT + 1}", "large.txt": f"line {AT + 2}"}
COMMANDS = ("predict", "evaluate", "train", "train hybrid", "train --dry-run")


def ask(run, command, model, path, tmp_path):
    if command.startswith("train"):
        kind = "hybrid" if command.endswith("hybrid") else "xr-linear"
        more = ["--dry-run"] if command.endswith("run") else []
        return run("train", path, "--model", kind, "--model-dir", tmp_path / "new", "--threads", 1, "--json", *more)
    more = ["-o", tmp_path / "out.jsonl"] if command == "predict" else ["--json"]
    return run(command, model, path, *more)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_a_value_too_large_is_named_with_its_place(run, features, tmp_path, command, name):
    found = ask(run, command, features / "m", features / name, tmp_path)
    assert found.code == 2
    assert f"{features / name}, {FILES[name]}:" in found.err
    assert len(found.err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_feature_that_the_model_lacks_is_named_with_its_line(run, features, tmp_path, command):
    found = ask(run, command, features / "m", features / "wide.svm", tmp_path)
    assert found.code == 2
    assert f"wide.svm, line {LINE}:" in found.err
    assert "4000" in found.err


def test_a_sum_that_is_infinite_is_named_with_its_line(run, features, tmp_path):
    found = ask(run, "predict", features / "m", features / "twice.svm", tmp_path)
    assert found.code == 2
    assert f"twice.svm, line {LINE}:" in found.err


@pytest.mark.parametrize(
    "container", [sp.csr_array, sp.csc_array, np.ascontiguousarray, lambda X: X.astype(np.float64)]
)
@pytest.mark.parametrize("value", [3e38, np.nan, np.inf])
def test_an_array_of_features_names_the_row(container, value):
    X = np.ones((N, 5), np.float32)
    X[AT, 2] = value
    with pytest.raises(InputError, match=rf"(?i)row {AT}\b"):
        XRLinear().fit(container(X), [[i % 4] for i in range(N)])


TEXTS = [f"the {word} harbour" for word in ["old", "new", "near"] * 14][:N]


def table(path, texts):
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": texts, "labels": [["harbour"]] * len(texts)}), path, row_group_size=7)
    elif path.suffix == ".csv":
        path.write_text("text,labels\n" + "".join(f"{text},harbour\n" for text in texts))
    else:
        rows = [f'{{"text": "{text}", "labels": ["harbour"]}}\n' for text in texts]
        path.write_text("".join([rows[0], "\n \n", *rows[1:]]))
    return path


PLACES = {"t.jsonl": f"line {AT + 3}", "t.csv": f"row {AT + 2}", "t.parquet": f"row {AT + 1}"}


@pytest.fixture
def refusing(monkeypatch):
    """Let every linear model refuse texts that hold a word."""
    own = XRLinear.predict_topk

    def predict_topk(self, X, *args, **more):
        if any("poison" in text for text in X):
            raise RuntimeError("the text cannot be read")
        return own(self, X, *args, **more)

    monkeypatch.setattr(XRLinear, "predict_topk", predict_topk)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("name", PLACES)
def test_a_text_that_cannot_be_answered_is_named_with_its_place(run, model, tmp_path, refusing, command, name):
    path = table(tmp_path / name, TEXTS[:AT] + ["a poisoned text"] + TEXTS[AT + 1 :])
    found = ask(run, command, model, path, tmp_path)
    assert found.code == 2
    assert f"{path}, {PLACES[name]}: the text cannot be read" in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_line_of_standard_input_is_named(run, model, monkeypatch, refusing):
    lines = "\n".join([*TEXTS[:AT], "a poisoned text", *TEXTS[AT + 1 :]])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    found = run("predict", model, "-")
    assert found.code == 2
    assert f"line {AT + 1}: the text cannot be read" in found.err


def test_what_is_no_fault_of_a_row_names_none(run, model, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise InputError("nothing works today.")

    monkeypatch.setattr(XRLinear, "predict_topk", refuse)
    found = ask(run, "predict", model, table(tmp_path / "t.jsonl", TEXTS), tmp_path)
    assert found.code == 2
    assert "nothing works today" in found.err
    assert "t.jsonl, line" not in found.err


@pytest.mark.parametrize("command", COMMANDS[:3])
def test_parquet_that_is_not_utf8_names_the_row(run, model, tmp_path, command):
    raw = [text.encode() for text in TEXTS]
    raw[AT] = b"\xff\xfe harbour"
    texts = pa.Array.from_buffers(pa.string(), N, pa.array(raw, pa.binary()).buffers())
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": texts, "labels": [["harbour"]] * N}), path, row_group_size=7)
    found = ask(run, command, model, path, tmp_path)
    assert found.code == 2
    assert f"t.parquet, row {AT + 1}:" in found.err
    assert "UTF-8" in found.err
