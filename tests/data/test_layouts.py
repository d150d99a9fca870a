"""Folders and file pairs as the public data sets have them: PECOS archives, the XMC repository's raw text."""

import gzip
import json

import numpy as np
import pytest
from scipy import sparse

from ceiba.data import read
from ceiba.errors import DataFormatError, InputError


def write_json(path, rows):
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


ROWS = [
    {
        "uid": "a",
        "title": "A kettle",
        "content": "Boils water.",
        "target_ind": [2, 0],
        "target_rel": [1.0, 1.0],
    },
    {"uid": "b", "title": "A pot", "content": "", "target_ind": [], "target_rel": []},
    {"uid": "c", "title": "A lid", "content": None, "target_ind": [1, 1], "target_rel": [1, 0.5]},
]
TEXTS = ["A kettle Boils water.", "A pot", "A lid"]


@pytest.fixture(params=[".gz", ""])
def raw_set(tmp_path, request):
    write_json(tmp_path / f"trn.json{request.param}", ROWS)
    write_json(tmp_path / f"tst.json{request.param}", ROWS[:1])
    write_json(tmp_path / f"lbl.json{request.param}", [{"uid": f"l{i}", "title": f"label {i}"} for i in range(5)])
    return tmp_path


def test_xmc_raw_text(raw_set):
    data = read(raw_set)
    assert data.format == "xmc-json"
    assert list(data.texts) == list(data.texts) == TEXTS
    assert data.label_names is None
    assert data.classes.tolist() == [0, 1, 2, 3, 4]
    assert data.Y.toarray().tolist() == [[1, 0, 1, 0, 0], [0] * 5, [0, 1, 0, 0, 0]]
    assert data.label_texts == [f"label {i}" for i in range(5)]
    test = read(raw_set, split="test")
    assert (test.n, test.Y.shape) == (1, (1, 5))


def test_xmc_raw_text_options(raw_set):
    path = next(raw_set.glob("trn.json*"))
    assert read(path, labels=False).Y is None
    assert list(read(path, labels=False).texts) == TEXTS
    assert read(path, label_names=list("abcde")).label_names == list("abcde")
    assert read(path, n_labels=5).Y.shape == (3, 5)
    with pytest.raises(DataFormatError, match=r"n_labels.*4.*5"):
        read(path, n_labels=4)
    named = read(path, text_column="title", label_column="target_ind")
    assert (named.format, named.label_names) == ("jsonl", [0, 1, 2])


def test_xmc_raw_text_without_its_labels_file(tmp_path):
    write_json(tmp_path / "trn.json.gz", ROWS)
    data = read(tmp_path)
    assert data.Y.shape == (3, 3)
    assert data.label_texts is None
    assert read(tmp_path, n_labels=7).Y.shape == (3, 7)


def test_a_relevance_of_zero_is_no_positive(tmp_path):
    rows = [
        *ROWS,
        {"title": "x", "target_ind": [0, 1, 2], "target_rel": [0, 0.0, 3]},
        {"title": "y", "target_ind": [1]},
    ]
    write_json(tmp_path / "trn.json", rows)
    assert read(tmp_path).Y.toarray().tolist()[3:] == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"title": "x", "target_ind": [5]}, r"'target_ind'.*0 to 4.*\[5\]"),
        ({"title": "x", "target_ind": [-1]}, "'target_ind'.*0 to 4"),
        ({"title": "x", "target_ind": ["a"]}, "'target_ind'"),
        ({"title": "x", "target_ind": 3}, "'target_ind'"),
        ({"title": "x"}, "'target_ind'.*None"),
        ({"title": "x", "target_ind": [1], "target_rel": [1, 1]}, "'target_rel'"),
        ({"title": "x", "target_ind": [1], "target_rel": ["a"]}, "'target_rel'"),
        ({"title": 3, "target_ind": []}, "'title'"),
    ],
)
def test_bad_xmc_raw_text_names_the_line(raw_set, row, message):
    path = next(raw_set.glob("trn.json*"))
    write_json(path, [*ROWS, row])
    with pytest.raises(DataFormatError, match=f"trn.json.*, line 4: .*{message}"):
        read(path)


def pecos_set(folder, n=6, n_labels=4):
    """Lay out a data set as in the archives that the PECOS examples use."""
    rng = np.random.default_rng(0)
    (folder / "tfidf-attnxml").mkdir()
    for split, size in (("trn", n), ("tst", n - 2)):
        texts = "".join(f"text {i} of {split}\n" for i in range(size))
        (folder / f"X.{split}.txt").write_text(texts)
        X = sparse.random_array((size, 9), density=0.5, rng=rng, format="csr", dtype=np.float32)
        Y = sparse.csr_matrix(rng.integers(0, 2, (size, n_labels)).astype(np.float32))
        sparse.save_npz(folder / "tfidf-attnxml" / f"X.{split}.npz", sparse.csr_matrix(X))
        sparse.save_npz(folder / f"Y.{split}.npz", Y)
    (folder / "output-items.txt").write_text("".join(f"item {i % 3}\n" for i in range(n_labels)))
    return folder


def test_pecos_archive(tmp_path):
    pecos_set(tmp_path)
    Y = sparse.load_npz(tmp_path / "Y.tst.npz").toarray()
    texts = read(tmp_path, split="test")
    assert (texts.path.name, texts.format) == ("X.tst.txt", "text")
    assert list(texts.texts) == [f"text {i} of tst" for i in range(4)]
    assert np.array_equal(texts.Y.toarray(), Y)
    assert texts.label_texts == ["item 0", "item 1", "item 2", "item 0"]
    features = read(tmp_path / "tfidf-attnxml", split="test")
    assert features.X.shape == (4, 9)
    assert np.array_equal(features.Y.toarray(), Y)
    assert features.label_texts == texts.label_texts
    assert read(tmp_path).n == 6


def test_pecos_archive_with_parts_that_disagree(tmp_path):
    pecos_set(tmp_path)
    (tmp_path / "output-items.txt").write_text("one\n")
    data = read(tmp_path)  # some archives have a damaged list; only who asks for it is concerned
    with pytest.raises(DataFormatError, match=r"4 labels.*1 label texts"):
        _ = data.label_texts
    with (tmp_path / "X.trn.txt").open("a") as file:
        file.write("one more\n")
    with pytest.raises(DataFormatError, match=r"Y.trn.npz.*6.*X.trn.txt.*7"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz", "trn.json", "Train.JSONL"])
def test_a_folder_with_one_training_file(tmp_path, name):
    write_json(tmp_path / name, [{"text": "a", "labels": ["x"]}])
    write_json(tmp_path / "labels.jsonl", [{"label": "x", "text": "the x"}])
    assert read(tmp_path).path.name == name
    with pytest.raises(DataFormatError, match=f"test data.*{name}"):
        read(tmp_path, split="test")


def test_a_folder_with_several_candidates_or_none(tmp_path):
    with pytest.raises(DataFormatError, match=r"train data.*none"):
        read(tmp_path)
    write_json(tmp_path / "train.jsonl", [{"text": "a"}])
    (tmp_path / "train.txt").write_text("1 1 1\n0 0:1\n")
    with pytest.raises(DataFormatError, match=r"train data.*train.jsonl, train.txt"):
        read(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "nowhere")


def test_texts_of_named_labels(tmp_path):
    write_json(tmp_path / "train.jsonl", [{"text": "a", "labels": ["y", "x", "w"]}])
    assert read(tmp_path).label_texts is None
    write_json(tmp_path / "labels.jsonl.gz", [{"label": "x", "text": "the x"}, {"label": "w", "text": "a w"}])
    assert read(tmp_path).label_texts == ["a w", "the x", "y"]
    write_json(tmp_path / "labels.jsonl.gz", [{"label": "x", "text": "the x"}, {"label": None, "text": "a w"}])
    with pytest.raises(DataFormatError, match=r"labels.jsonl.gz, line 2:.*'label'.*None"):
        _ = read(tmp_path).label_texts
    write_json(tmp_path / "labels.jsonl.gz", [{"name": "x", "text": "the x"}])
    with pytest.raises(DataFormatError, match=r"'name', 'text'"):
        _ = read(tmp_path).label_texts


def test_filter_and_label_files_are_not_taken_for_data(tmp_path):
    (tmp_path / "train.txt").write_text("1 1 1\n0 0:1\n")
    (tmp_path / "filter_labels_train.txt").write_text("0 0\n")
    (tmp_path / "Y.trn.npz").write_bytes(b"")
    assert read(tmp_path).path.name == "train.txt"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("3 4 5\nThe year 2001.\n", "text"),
        ("5 12:30 lunch\n", "text"),
        ("{not json\n", "text"),
        ("1 2 3\n0,1 0:1\n", "xmc"),
        ("1 2 3\n 0:1\n", "xmc"),
        ("1 2\n0:1\n", "xmc-matrix"),
        ("3 1:0.5 2:1e-3\n", "svmlight"),
    ],
)
def test_txt_files_are_told_apart_by_content(tmp_path, content, expected):
    from ceiba.data.reader import detect

    (tmp_path / "a.txt").write_text(content)
    assert detect(tmp_path / "a.txt") == expected


def test_json_under_an_unknown_name_is_recognised(tmp_path):
    write_json(tmp_path / "part-00000.data", [{"text": "a", "labels": ["x"]}])
    assert read(tmp_path / "part-00000.data").format == "jsonl"


def test_repr_says_what_was_read(tmp_path):
    data = read(pecos_set(tmp_path))
    assert repr(data).endswith("X.trn.txt (text): 6 rows, texts, 4 labels>")
    assert "6 texts from" in repr(data.texts)
