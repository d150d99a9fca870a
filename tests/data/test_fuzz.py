"""Whatever a file holds, a reader answers with data or with one of Ceiba's errors."""

import gzip
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from ceiba.data import read, read_filter
from ceiba.errors import DataFormatError, InputError

LIGHT = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEAVY = settings(LIGHT, max_examples=3000)


def jsonl():
    rows = [{"text": f"text {i} é\n", "labels": ["a", f"b{i}"], "score": i / 3} for i in range(4)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def xmc_json():
    rows = [{"title": "t", "content": "c", "target_ind": [i, 1], "target_rel": [1.0, 1.0]} for i in range(4)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet():
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b", ""], "labels": [["x", "y"], [], ["x"]]}), out)
    return out.getvalue()


def npz():
    out = io.BytesIO()
    sparse.save_npz(out, sparse.csr_array(np.eye(4, dtype=np.float32)), compressed=False)
    return out.getvalue()


def zstd(raw):
    return pa.Codec("zstd").compress(raw, asbytes=True)


CSV = b'text,labels\n"a, b",x;y\nc,"[""x"", ""z""]"\n'
XMC = b"3 4 5\n0,4 0:1 3:-2.5e-1\n 1:1\n2 2:0.5 2:1\n"
MATRIX = b"3 4\n0:1 3:2\n\n2:0.5\n"
SVMLIGHT = b"0,3 1:1 2:.5\n # none\n2 4:1\n"
SEEDS = {
    "train.jsonl": jsonl(),
    "train.jsonl.gz": gzip.compress(jsonl(), mtime=0),
    "train.jsonl.zst": zstd(jsonl()),
    "trn.json": xmc_json(),
    "train.csv": CSV,
    "train.csv.zst": zstd(CSV),
    "train.tsv": b"text\tlabels\na, b\tx;y\nc\tz\n",
    "train.parquet": parquet(),
    "train.txt": XMC,
    "train.txt.gz": gzip.compress(XMC, mtime=0),
    "X_Xf.txt": MATRIX,
    "train.svm": SVMLIGHT,
    "X.npz": npz(),
    "X.trn.txt": "one\ntwo é\n\n".encode(),
    "noname": XMC,
    "annif.tsv": "one é\t<urn:a> <urn:b>\ntwo\t<urn:a>\n".encode(),
    "fasttext.train": "__label__a __label__é one two\n".encode(),
    "libmultilabel.tsv": b"1\ta b\tone\n2\tc\ttwo\n",
    "pecos.txt": b"1,2\tone\n0::.5\ttwo\n",
}
FORMATS = [None, "jsonl", "csv", "tsv", "parquet", "xmc", "xmc-matrix", "svmlight", "npz", "text"]
FORMATS += ["annif", "fasttext", "pecos-text", "libmultilabel"]


def survives(path, **options):
    """Read everything there is; return whether it was readable."""
    try:
        data = read(path, **options)
        texts = list(data.texts) if data.texts is not None else [""] * data.n
    except (DataFormatError, InputError) as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert "\n" not in message
        assert len(message) < 1500
        return False
    assert len(texts) == data.n > 0
    assert all(isinstance(text, str) and text.encode() is not None for text in texts)
    for M in (data.X, data.Y):
        if M is not None:
            M.check_format(full_check=True)
            assert M.shape[0] == data.n
            assert np.isfinite(M.data).all()
    if data.label_names is not None:
        assert len(data.label_names) == data.Y.shape[1]
    return True


def test_the_seeds_are_readable(tmp_path):
    for name, raw in SEEDS.items():
        (tmp_path / name).write_bytes(raw)
        assert survives(tmp_path / name), name


@st.composite
def mutations(draw, raw):
    """Cut, overwrite, repeat and insert bytes; tokens of the formats are likelier than chance has it."""
    raw = bytearray(raw)
    tokens = [
        b"\n",
        b"\r",
        b" ",
        b":",
        b",",
        b'"',
        b"[",
        b"]",
        b"{",
        b"}",
        b"null",
        b"-1",
        b"nan",
        b"1e99",
        b"\x00",
    ]
    tokens += [
        b"99999999999",
        b"\xff",
        b"\\ud800",
        b"\xef\xbb\xbf",
        b"0",
        b"#",
        b"\t",
        b"true",
        b"PAR1",
        b"\x7f" * 8,
    ]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        piece = draw(st.sampled_from(tokens) | st.binary(max_size=6))
        match draw(st.sampled_from(["cut", "write", "insert", "drop", "repeat"])):
            case "cut":
                del raw[at:]
            case "write":
                raw[at : at + len(piece)] = piece
            case "insert":
                raw[at:at] = piece
            case "drop":
                del raw[at : at + draw(st.integers(1, 9))]
            case "repeat":
                raw[at:at] = raw[at : at + 20]
    return bytes(raw)


def mutated_files():
    return st.sampled_from(sorted(SEEDS)).flatmap(lambda name: st.tuples(st.just(name), mutations(SEEDS[name])))


def check_mutated(folder, file):
    name, raw = file
    (folder / name).write_bytes(raw)
    survives(folder / name)


def check_random(folder, raw, name, format):
    (folder / name).write_bytes(raw)
    survives(folder / name, format=format)


def check_compressed(folder, raw, name):
    """Damage below the compression, which random bytes never reach."""
    if name.endswith(".gz"):
        raw = gzip.compress(raw, compresslevel=1)
    elif name.endswith(".zst"):
        raw = zstd(raw)
    (folder / name).write_bytes(raw)
    survives(folder / name)


def check_member(folder, member, raw):
    """Damage inside the archive, below zip's own checksums."""
    parts = dict(np.load(io.BytesIO(npz())))
    with zipfile.ZipFile(folder / "X.npz", "w") as archive:
        for name, part in parts.items():
            out = io.BytesIO()
            np.save(out, part)
            archive.writestr(f"{name}.npy", raw(out.getvalue()) if name == member else out.getvalue())
    survives(folder / "X.npz")


def check_labels_beside(folder, raw, name):
    (folder / "X_Xf.txt").write_bytes(MATRIX)
    (folder / "X.npz").write_bytes(npz())
    (folder / name).write_bytes(raw)
    survives(folder / name.replace("X_Y", "X_Xf").replace("Y.npz", "X.npz"))


def check_filter(folder, raw):
    (folder / "filter.txt").write_bytes(raw)
    try:
        F = read_filter(folder / "filter.txt", n_rows=9, n_labels=99)
    except DataFormatError:
        return
    F.check_format(full_check=True)
    assert F.shape == (9, 99)


ANY = st.binary(max_size=200)
NAMES = st.sampled_from(sorted(SEEDS))
NUMBERS = st.text("0123456789 :,.-+e\n\r\t#x", max_size=60).map(str.encode)
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("text", "title", "labels", "target_ind", "target_rel"), JSONISH)),
    min_size=1,
    max_size=4,
).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
COMPRESSED = st.sampled_from(["train.jsonl.gz", "train.jsonl.zst", "train.csv.zst", "train.txt.gz"])
MEMBERS = st.sampled_from(["format", "shape", "data", "indices", "indptr"])


@st.composite
def member_damage(draw):
    at, piece = draw(st.integers(0, 160)), draw(st.binary(min_size=1, max_size=9))
    return lambda raw: raw[:at] + piece + raw[at + len(piece) :]


CASES = {
    "mutated": (check_mutated, (mutated_files(),)),
    "random": (check_random, (ANY, NAMES, st.sampled_from(FORMATS))),
    "numbers": (check_random, (NUMBERS, NAMES, st.sampled_from(FORMATS))),
    "records": (check_random, (RECORDS, st.just("train.jsonl"), st.none())),
    "compressed": (check_compressed, (mutations(jsonl()) | mutations(XMC) | ANY, COMPRESSED)),
    "npz-member": (check_member, (MEMBERS, member_damage())),
    "labels": (
        check_labels_beside,
        (mutations(MATRIX) | mutations(npz()) | NUMBERS, st.sampled_from(["X_Y.txt", "Y.npz"])),
    ),
    "filter": (check_filter, (mutations(b"0 1\n8 98\n") | NUMBERS,)),
}


@pytest.mark.parametrize("case", CASES)
def test_readers_survive(tmp_path, case):
    check, strategies = CASES[case]
    LIGHT(given(st.tuples(*strategies))(lambda arguments: check(tmp_path, *arguments)))()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_readers_survive_much_more(tmp_path, case):
    check, strategies = CASES[case]
    HEAVY(given(st.tuples(*strategies))(lambda arguments: check(tmp_path, *arguments)))()
