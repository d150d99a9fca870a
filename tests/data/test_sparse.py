"""The sparse text formats, .npz pairs and filter files: round trips, strictness, speed."""

import gzip
import io
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from ceiba.data import read, read_filter
from ceiba.errors import DataFormatError, InputError


def random_pair(n=40, d=30, n_labels=20, seed=0):
    rng = np.random.default_rng(seed)
    X = sparse.random_array((n, d), density=0.2, rng=rng, format="csr", dtype=np.float32)
    Y = sparse.random_array((n, n_labels), density=0.1, rng=rng, format="csr", dtype=np.float32)
    X.data[::7] *= -1
    Y.data[:] = 1
    return X, Y


def rows_of(M):
    return [
        [(int(j), v) for j, v in zip(M.indices[a:b], M.data[a:b], strict=True)]
        for a, b in zip(M.indptr[:-1], M.indptr[1:], strict=True)
    ]


def tokens(row):
    return " ".join(f"{j}:{v!r}" if isinstance(v, int) else f"{j}:{float(v)!r}" for j, v in row)


def write_xmc(path, X, Y, header=True, end="\n"):
    lines = [f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}"] if header else []
    for x, y in zip(rows_of(X), rows_of(Y), strict=True):
        lines.append(",".join(str(j) for j, _ in y) + " " + tokens(x))
    raw = (end.join(lines) + end).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def write_matrix(path, M, end="\n"):
    lines = [f"{M.shape[0]} {M.shape[1]}", *map(tokens, rows_of(M))]
    raw = (end.join(lines) + end).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def assert_same(a, b):
    assert a.shape == b.shape
    assert a.dtype == np.float32
    assert a.indices.dtype == a.indptr.dtype == np.int32
    assert a.has_canonical_format
    assert np.array_equal(a.toarray(), b.toarray())


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz", "anything"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_xmc_data_file(tmp_path, name, end):
    X, Y = random_pair()
    data = read(write_xmc(tmp_path / name, X, Y, end=end))
    assert data.format == "xmc"
    assert data.n == 40
    assert data.texts is None
    assert data.label_names is None
    assert data.classes.tolist() == list(range(20))
    assert_same(data.X, X)
    assert_same(data.Y, Y)


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
MATRICES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=5).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=FLOATS, fill=st.just(np.float32(0)))
)


@settings(max_examples=60, deadline=None)
@given(MATRICES, st.data())
def test_any_matrix_survives_every_format(tmp_path_factory, dense, draw):
    folder = tmp_path_factory.mktemp("sparse")
    n_labels = draw.draw(st.integers(1, 4))
    Y = draw.draw(hnp.arrays(bool, (dense.shape[0], n_labels)))
    X, Y = sparse.csr_array(dense), sparse.csr_array(Y.astype(np.float32))
    sparse.save_npz(folder / "X.npz", X)
    sparse.save_npz(folder / "Y.npz", Y)
    write_matrix(folder / "X_Xf.txt", X)
    write_matrix(folder / "X_Y.txt", Y)
    write_xmc(folder / "train.txt", X, Y)
    for name in ("X.npz", "X_Xf.txt", "train.txt"):
        data = read(folder / name)
        assert_same(data.X, X)
        assert_same(data.Y, Y)


@pytest.mark.parametrize("name", ["trn_X_Xf.txt", "tst_X_Xf.txt.gz", "X_Xf.txt"])
@pytest.mark.parametrize("y_end", ["", ".gz"])
def test_xmc_pair(tmp_path, name, y_end):
    X, Y = random_pair()
    write_matrix(tmp_path / name, X)
    write_matrix(tmp_path / (name.removesuffix(".gz").replace("Xf", "Y") + y_end), Y)
    data = read(tmp_path / name)
    assert data.format == "xmc-matrix"
    assert_same(data.X, X)
    assert_same(data.Y, Y)
    assert_same(read(tmp_path, split="test" if "tst" in name else "train").X, X)
    assert read(tmp_path / name, labels=False).Y is None


def test_explicit_zeros_are_no_positives(tmp_path):
    (tmp_path / "X_Xf.txt").write_text("2 3\n0:0 1:2\n\n")
    (tmp_path / "X_Y.txt").write_text("2 3\n0:1.0 1:0 2:0.0\n2:7\n")
    data = read(tmp_path / "X_Xf.txt")
    assert data.Y.toarray().tolist() == [[1, 0, 0], [0, 0, 1]]
    assert data.Y.nnz == 2


def test_rows_of_every_shape(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("7 4 3\n0,2 1:1 0:.5\n 3:1e-2\n1\n2 \n\n3:-1.\n0,0,1 1:1 1:2\n\n  \n")
    data = read(path)
    assert data.X.toarray() == pytest.approx(
        np.array([[0.5, 1, 0, 0], [0, 0, 0, 0.01], [0] * 4, [0] * 4, [0] * 4, [0, 0, 0, -1], [0, 3, 0, 0]])
    )
    assert data.Y.toarray().tolist() == [
        *([1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 1, 0]),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 4:1", "line 3: the column 4 is out of range, which is 0 to 3"),
        ("0 -1:1", "line 3: the column -1 is out of range"),
        ("3 1:1", "line 3: the label 3 is out of range, which is 0 to 2"),
        ("0,-1 1:1", "line 3: the label -1 is out of range"),
        ("0 1:nan", "line 3: the value of '1:nan' is not a finite number"),
        ("0 1:inf", "line 3: the value of '1:inf' is not a finite number"),
        ("0 1:1e39", "line 3: the value of '1:1e39' is not a finite number"),
        ("0 1:1e999", "line 3: the value of '1:1e999' is not a finite number"),
        ("0 1:0x10", "line 3: the value of '1:0x10' is not a finite number"),
        ("0 1:", "line 3: the value of '1:' is not"),
        ("0 :1", "line 3: the column '' is not a whole number"),
        ("0 1:1:1", "line 3: the value of '1:1:1' is not"),
        ("0 1:1 5", "line 3: expected column:value, found '5'"),
        ("0 1.0:1", "line 3: the column '1.0' is not a whole number"),
        ("0 0x1:1", "line 3: the column '0x1' is not a whole number"),
        ("0 99999999999999999999:1", "line 3: the column '99999999999999999999' is not a whole number"),
        ("0,,1 1:1", "line 3: the label '' is not a whole number"),
        ("0,1, 1:1", "line 3: the label '' is not a whole number"),
        ("0,, 1 1:1", "line 3: the label '' is not a whole number"),
        ("0.5 1:1", "line 3: the label '0.5' is not a whole number"),
        ("x 1:1", "line 3: the label 'x' is not a whole number"),
        ("0 1:1 # no", "line 3: expected column:value, found '#'"),
        ("0 1:1\r", "line 3: .*1:1"),
        ("0 1:\xa01", "line 3: the value of"),
        ("0 1:1\x0b2:1", "line 3: the value of"),
    ],
)
def test_bad_tokens_name_the_line(tmp_path, line, message):
    path = tmp_path / "train.txt"
    path.write_bytes(
        b"3 4 3\n0,1 0:1 2:2\n" + line.encode() + b"\n1 3:1\n"
        if "\r" not in line
        else b"3 4 3\n0 0:1\n0 1:1\r2:1\n1 3:1\n"
    )
    with pytest.raises(DataFormatError, match=f"train.txt, {message}"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("3 4 3\n0 1:1\n0 1:1\n", "the first line promises 3 rows, but there are 2"),
        ("2 4 3\n0 1:1\n\n0 1:1\n", "line 4: the first line promises 2 rows, but there are more"),
        ("3 4 3", "promises 3 rows, but there are 0"),
        ("0 4 3\n", "holds no rows"),
        ("1 99999999999 3\n0 1:1\n", "line 1: 99999999999 is too large"),
        ("1 4 3 2\n0 1:1\n", "line 1: expected 'N D L' .*, found '1 4 3 2'"),
        ("1 0 3\n0 0:1\n", "line 2: the column 0 is out of range"),
    ],
)
def test_bad_frames(tmp_path, content, message):
    path = tmp_path / "train.txt"
    path.write_text(content)
    with pytest.raises(DataFormatError, match=message):
        read(path, format="xmc")


def test_header_and_compression_damage(tmp_path):
    X, Y = random_pair()
    path = write_xmc(tmp_path / "train.txt.gz", X, Y)
    raw = path.read_bytes()
    path.write_bytes(raw[:-20])
    with pytest.raises(DataFormatError, match=r"train.txt.gz"):
        read(path)
    (tmp_path / "m.txt").write_text("1 2 3\n0:1\n")
    with pytest.raises(DataFormatError, match="line 1:"):
        read(tmp_path / "m.txt", format="xmc-matrix")


def test_the_line_is_right_beyond_the_first_block(tmp_path):
    lines = ["1 " + " ".join(f"{j}:0.25" for j in range(300))] * 3000
    lines[2500] = "1 7:x"
    (tmp_path / "train.txt").write_text("3000 300 2\n" + "\n".join(lines))
    assert (tmp_path / "train.txt").stat().st_size > 6e6
    with pytest.raises(DataFormatError, match=r"line 2502:.*'7:x'"):
        read(tmp_path / "train.txt")


def test_rows_of_pair_must_agree(tmp_path):
    X, Y = random_pair()
    write_matrix(tmp_path / "X_Xf.txt", X)
    write_matrix(tmp_path / "X_Y.txt", Y[:-1])
    with pytest.raises(DataFormatError, match=r"X_Y.txt.*39.*X_Xf.txt.*40"):
        read(tmp_path / "X_Xf.txt")
    (tmp_path / "X_Y.txt").write_text("40 3\n" + "0:-1\n" * 40)
    with pytest.raises(DataFormatError, match=r"X_Y.txt.*negative"):
        read(tmp_path / "X_Xf.txt")


def test_summed_features_stay_finite(tmp_path):
    (tmp_path / "train.txt").write_text("1 2 1\n0 1:3e38 1:3e38\n")
    with pytest.raises(DataFormatError, match="named twice"):
        read(tmp_path / "train.txt")


@pytest.mark.parametrize("zero_based", [True, False])
@pytest.mark.parametrize("name", ["a.svm", "a.svmlight", "a.libsvm", "a.txt"])
def test_svmlight_as_scikit_learn_writes_it(tmp_path, name, zero_based):
    X, Y = random_pair()
    X = sparse.csr_array(X + sparse.csr_array(([1.0], ([0], [0])), X.shape)).astype(np.float32)
    path = tmp_path / name
    with path.open("wb") as file:
        dump_svmlight_file(sparse.csr_matrix(X), Y.toarray().astype(int), file, multilabel=True, zero_based=zero_based)
    data = read(path)
    theirs, their_labels = load_svmlight_file(str(path), multilabel=True)
    assert data.format == "svmlight"
    assert_same(data.X, theirs.astype(np.float32))
    assert_same(data.X, X)
    names = sorted({int(label) for row in their_labels for label in row})
    assert data.label_names == names
    assert_same(data.Y, sparse.csr_array(Y[:, names]))
    assert_same(read(path, n_features=50, zero_based=zero_based).X[:, :30], X)
    assert read(path, labels=False).Y is None


def test_svmlight_details(tmp_path):
    path = tmp_path / "a.svm"
    path.write_text("# a comment\n3,-1 1:1 3:2 # more\n\n 2:1\n5\n2:5\n")
    data = read(path)
    assert data.X.toarray().tolist() == [[1, 0, 2], [0, 1, 0], [0, 0, 0], [0, 5, 0]]
    assert data.label_names == [-1, 3, 5]
    assert data.Y.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(DataFormatError, match=r"line 2:.*column 3.*0 to 2"):
        read(path, n_features=2)
    assert read(path, zero_based=True).X.shape == (4, 4)
    path.write_text("1 0:1\n1 3:1\n")
    with pytest.raises(DataFormatError, match=r"line 1:.*column 0"):
        read(path, zero_based=False)
    with pytest.raises(DataFormatError, match=r"column 0.*column 3.*n_features"):
        read(path, n_features=3)
    path.write_text("1 1:1\n\n1 2:1\n1 qid:3 1:1\n")
    with pytest.raises(DataFormatError, match=r"line 4:.*'qid'"):
        read(path)
    path.write_text("# nothing\n")
    with pytest.raises(DataFormatError, match="holds no rows"):
        read(path)


PAIRS = [
    ("X_trn.npz", "Y_trn.npz"),
    ("X.tst.npz", "Y.tst.npz"),
    ("trn_X.npz", "trn_Y.npz"),
    ("x.npz", "y.npz"),
]


@pytest.mark.parametrize("names", PAIRS)
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_npz_pairs(tmp_path, names, kind):
    X, Y = random_pair()
    sparse.save_npz(tmp_path / names[0], X.astype(np.float64).asformat(kind))
    sparse.save_npz(tmp_path / names[1], sparse.csr_matrix(Y).astype(np.int8).asformat(kind), compressed=False)
    data = read(tmp_path / names[0])
    assert data.format == "npz"
    assert_same(data.X, X)
    assert_same(data.Y, Y)
    assert_same(read(tmp_path, split="test" if "tst" in names[0] else "train").Y, Y)


def test_npz_labels_a_folder_above_and_none(tmp_path):
    X, Y = random_pair()
    (tmp_path / "tfidf-attnxml").mkdir()
    sparse.save_npz(tmp_path / "tfidf-attnxml" / "X.trn.npz", X)
    path = tmp_path / "tfidf-attnxml" / "X.trn.npz"
    assert read(path).Y is None
    with pytest.raises(DataFormatError, match="no labels beside it"):
        read(path, labels=True)
    sparse.save_npz(tmp_path / "Y.trn.npz", Y)
    assert_same(read(path).Y, Y)


def npz(path, **arrays):
    parts = {
        "format": b"csr",
        "shape": [2, 3],
        "data": np.ones(2),
        "indices": np.array([0, 2]),
        "indptr": np.array([0, 1, 2]),
        **arrays,
    }
    np.savez(path, **{name: np.asarray(part) for name, part in parts.items() if part is not None})
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"indices": [0, 3]}, "sparse matrix"),
        ({"indices": [0, -1]}, "sparse matrix"),
        ({"indices": [0, 2**40]}, "sparse matrix"),
        ({"indptr": [0, 5, 2]}, "sparse matrix"),
        ({"indptr": [0, 2]}, "sparse matrix"),
        ({"indptr": [1, 1, 2]}, "sparse matrix"),
        ({"shape": [2, 3, 4]}, "not of two axes"),
        ({"shape": [-2, 3]}, "not of two axes"),
        ({"shape": [10**12, 3]}, "sparse matrix"),
        ({"data": [1.0, np.nan]}, "row 2: a value is NaN"),
        ({"data": [1e300, 1]}, "row 1: a value is NaN, infinite or too large"),
        ({"data": np.array([None, 1])}, "damaged"),
        ({"data": np.array(["a", "b"])}, "holds values of type <U1"),
        ({"indices": [0.0, 1.0]}, "indices are of type float64"),
        ({"indptr": [0, 5, 0], "data": np.ones(0), "indices": np.ones(0, int)}, "indptr is not ascending"),
        ({"format": b"coo", "row": [0, 2], "col": [0, 0]}, "an index is outside 0 to 1"),
        ({"format": b"coo", "row": [0, 1], "col": [0, -1]}, "an index is outside 0 to 2"),
        ({"format": b"coo", "row": [0, 1], "col": [0]}, "2 values, but 1 indices"),
        ({"format": b"csc", "shape": [10**12, 2]}, "its shape is"),
        ({"data": np.ones((2, 1))}, "several axes"),
        ({"format": b"dia"}, "holds a matrix of format 'dia'; save a CSR"),
        ({"format": None}, "holds no sparse matrix"),
        ({"indptr": None}, "damaged"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    with pytest.raises(DataFormatError, match=message):
        read(npz(tmp_path / "X.npz", **arrays))


def test_damaged_npz(tmp_path):
    path = npz(tmp_path / "X.npz")
    raw = path.read_bytes()
    for damaged in (raw[:100], raw[:-30], b"PK\x03\x04" + bytes(100)):
        path.write_bytes(damaged)
        with pytest.raises(DataFormatError, match=r"X.npz"):
            read(path)
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(DataFormatError, match=r"\.npz"):
        read(path)


def test_an_npz_that_claims_to_be_huge(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    npz(tmp_path / "X.npz", data=None)
    with zipfile.ZipFile(tmp_path / "X.npz", "a") as archive:
        archive.writestr("data.npy", header.getvalue())
    with pytest.raises(DataFormatError, match="npz"):
        read(tmp_path / "X.npz")


def test_label_names_for_numbered_labels(tmp_path):
    X, Y = random_pair(n_labels=3)
    path = write_xmc(tmp_path / "train.txt", X, Y)
    (tmp_path / "names.txt").write_text("fox\nseal\nbat\n")
    assert read(path, label_names=["a", "b", "c"]).label_names == ["a", "b", "c"]
    data = read(path, label_names=tmp_path / "names.txt")
    assert data.classes.tolist() == ["fox", "seal", "bat"]
    with pytest.raises(InputError, match=r"3.*label_names.*2"):
        read(path, label_names=["a", "b"])
    with pytest.raises(InputError, match="more than once"):
        read(path, label_names=["a", "b", "a"])
    write_matrix(tmp_path / "X_Xf.txt", X)
    with pytest.raises(InputError, match="has no labels"):
        read(tmp_path / "X_Xf.txt", label_names=["a"])


@pytest.mark.parametrize("name", ["filter_labels_test.txt", "filter.txt.gz"])
def test_filter_pairs(tmp_path, name):
    raw = b"0 2\n3  1 \r\n\n0 2\n3\t0"
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    F = read_filter(tmp_path / name, n_rows=4, n_labels=5)
    assert_same(F, sparse.csr_array(([1.0, 1, 1], ([0, 3, 3], [2, 1, 0])), shape=(4, 5)))
    assert read_filter(tmp_path / name, n_rows=4).shape == (4, 3)
    (tmp_path / "empty").write_bytes(b"")
    assert read_filter(str(tmp_path / "empty"), n_rows=4, n_labels=5).nnz == 0
    assert read_filter(tmp_path / "empty", n_rows=4).shape == (4, 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"4 0", "line 2: the row 4 is out of range, which is 0 to 3"),
        (b"0 5", "line 2: the label 5 is out of range, which is 0 to 4"),
        (b"-1 0", "line 2: the row -1 is out of range"),
        (b"1", "line 2: expected 'row label', found '1'"),
        (b"1 2 3", "line 2: expected 'row label', found '1 2 3'"),
        (b"1 x", "line 2: the label 'x' is not a whole number"),
        (b"1 0x1", "line 2: the label '0x1' is not a whole number"),
        (b"1 1.0", "line 2: the label '1.0' is not a whole number"),
    ],
)
def test_bad_filter_pairs(tmp_path, line, message):
    (tmp_path / "f.txt").write_bytes(b"0 0\n" + line + b"\n1 1\n")
    with pytest.raises(DataFormatError, match=f"f.txt, {message}"):
        read_filter(tmp_path / "f.txt", n_rows=4, n_labels=5)
    with pytest.raises(InputError, match="n_rows must be"):
        read_filter(tmp_path / "f.txt", n_rows=-1)


def test_sparse_text_is_read_at_tens_of_mb_per_second(tmp_path):
    rng = np.random.default_rng(0)
    row = " ".join(f"{j}:{v:.6f}" for j, v in enumerate(rng.random(200)))
    path = tmp_path / "train.txt"
    path.write_text("8000 200 9\n" + f"1,2,3 {row}\n" * 8000)
    read(path)
    start = time.process_time()
    read(path)
    speed = path.stat().st_size / 1e6 / (time.process_time() - start)
    assert speed > 10, f"{speed:.0f} MB/s"  # 60 to 100 on a free core; far below it is token-by-token Python
