"""JSON lines, CSV, TSV, Parquet and plain text: round trips, columns, and errors that name the line."""

import csv
import gzip
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.data import read
from ceiba.errors import DataFormatError, InputError

TEXTS = ["a red fox", "", 'say "fox", then\nrun', "ça\u2028va\tbien", "trailing "]
STRING = pa.string()
LABELS = [["fox", "red"], ["sea"], [], ["fox", "fox"], ["été", "sea"]]


def label_sets(data):
    names, Y = data.label_names, data.Y
    return [{names[j] for j in Y.indices[a:b]} for a, b in zip(Y.indptr[:-1], Y.indptr[1:], strict=True)]


def compress(path, raw):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(raw))
    elif path.suffix == ".zst":
        path.write_bytes(pa.Codec("zstd").compress(raw, asbytes=True))
    else:
        path.write_bytes(raw)
    return path


def write_jsonl(path, texts=TEXTS, labels=LABELS, ensure_ascii=False, end="\n"):
    rows = [{"text": t, "labels": y} for t, y in zip(texts, labels, strict=True)]
    return compress(path, "".join(json.dumps(r, ensure_ascii=ensure_ascii) + end for r in rows).encode())


def write_csv(path, texts=TEXTS, labels=LABELS, cell=json.dumps, delimiter=","):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "text", "labels"])
    writer.writerows([i, t, cell(y)] for i, (t, y) in enumerate(zip(texts, labels, strict=True)))
    return compress(path, out.getvalue().encode())


def write_parquet(path, texts=TEXTS, labels=LABELS, kind=STRING):
    table = pa.table({"id": range(len(texts)), "text": texts, "labels": pa.array(labels, pa.list_(kind))})
    pq.write_table(table, path, row_group_size=2)
    return path


def check_round_trip(data, texts=TEXTS, labels=LABELS):
    assert data.n == len(data.texts) == len(texts)
    assert list(data.texts) == texts
    assert list(data.texts) == texts  # read again from the file
    assert data.X is None
    assert data.label_names == sorted({label for row in labels for label in row})
    assert data.Y.dtype == np.float32
    assert data.Y.shape == (len(texts), len(data.label_names))
    assert (data.Y.data == 1).all()
    assert label_sets(data) == [set(row) for row in labels]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson", "a.jsonl.gz", "a.jsonl.zst", "a.json.gz"])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_json_lines(tmp_path, name, ensure_ascii):
    check_round_trip(read(write_jsonl(tmp_path / name, ensure_ascii=ensure_ascii)))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_csv_with_json_lists(tmp_path, name):
    check_round_trip(read(write_csv(tmp_path / name)))


@pytest.mark.parametrize("name", ["a.tsv", "a.tab", "a.tsv.gz"])
def test_tsv_with_separators(tmp_path, name):
    check_round_trip(read(write_csv(tmp_path / name, cell=" ; ".join, delimiter="\t")))


def test_parquet(tmp_path):
    path = write_parquet(tmp_path / "a.parquet")
    check_round_trip(read(path))
    path.rename(tmp_path / "a.bin")
    check_round_trip(read(tmp_path / "a.bin"))  # told by its content


def test_parquet_of_other_string_types(tmp_path):
    texts = pa.array(["a", "b", "a"]).dictionary_encode()
    labels = pa.array(["x;y", None, "x"], pa.large_string())
    pq.write_table(pa.table({"text": texts, "label": labels}), tmp_path / "a.parquet")
    data = read(tmp_path / "a.parquet")
    assert list(data.texts) == ["a", "b", "a"]
    assert label_sets(data) == [{"x", "y"}, set(), {"x"}]


def test_int_labels_are_sorted_as_numbers(tmp_path):
    labels = [[10, 9], [], [-3], [9], []]
    check_round_trip(read(write_jsonl(tmp_path / "a.jsonl", labels=labels)), labels=labels)
    check_round_trip(read(write_parquet(tmp_path / "a.parquet", labels=labels, kind=pa.int32())), labels=labels)
    check_round_trip(read(write_csv(tmp_path / "a.csv", labels=labels)), labels=labels)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=3)), min_size=1, max_size=6))
def test_any_text_survives_every_format(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    texts, labels = [t for t, _ in rows], [y for _, y in rows]
    check_round_trip(read(write_jsonl(folder / "a.jsonl", texts, labels)), texts, labels)
    check_round_trip(read(write_parquet(folder / "a.parquet", texts, labels)), texts, labels)
    check_round_trip(read(write_csv(folder / "a.csv", texts, labels)), texts, labels)


def test_the_fast_and_the_exact_json_reader_agree(tmp_path):
    rows = [{"text": f"text {i}", "labels": [f"l{i % 7}"], "score": 0.5} for i in range(50)]
    regular = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(regular)
    # a blank line, a null, a label list of another kind and two keys alike send a block to the exact reader
    (tmp_path / "b.jsonl").write_text(
        '{"text": "t", "text": "text 0", "labels": ["l0"]}\n\n' + regular[regular.index("\n") + 1 :]
    )
    a, b = read(tmp_path / "a.jsonl"), read(tmp_path / "b.jsonl")
    assert list(a.texts) == list(b.texts)
    assert a.label_names == b.label_names
    assert (a.Y != b.Y).nnz == 0


def test_lines_may_end_as_on_windows_and_blank_ones_are_skipped(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", end="\r\n\r\n  \n")
    check_round_trip(read(tmp_path / "a.jsonl"))
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.jsonl").read_bytes().rstrip())
    check_round_trip(read(tmp_path / "b.jsonl"))


def test_rows_may_lack_labels(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b", "labels": null}\n{"text": "c", "labels": ["x"]}\n')
    assert label_sets(read(path)) == [set(), set(), {"x"}]


def test_surrogates_are_paired_or_replaced(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "\\ud83d\\ude00 \\ud83d!", "labels": ["\\ude00"]}\n')
    data = read(path)
    assert list(data.texts) == ["😀 \ufffd!"]
    assert data.label_names == ["\ufffd"]


def test_nan_in_another_column_is_no_concern(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "score": NaN, "labels": ["x"]}\n\n')
    assert list(read(path).texts) == ["a"]


@pytest.mark.parametrize("key", ["labels", "label", "tags", "Categories"])
@pytest.mark.parametrize("text", ["text", "title", "Document"])
def test_columns_are_found_by_common_names(tmp_path, text, key):
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": 1, text: "a", key: "x; y"}) + "\n")
    data = read(tmp_path / "a.jsonl")
    assert list(data.texts) == ["a"]
    assert data.label_names == ["x", "y"]


def test_text_wins_over_title_and_labels_over_tags(tmp_path):
    row = {"title": "no", "text": "yes", "tags": ["no"], "labels": ["yes"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    data = read(tmp_path / "a.jsonl")
    assert (list(data.texts), data.label_names) == (["yes"], ["yes"])
    data = read(tmp_path / "a.jsonl", text_column=["title", "text"], label_column="tags")
    assert (list(data.texts), data.label_names) == (["no yes"], ["no"])


def test_labels_can_be_left_out_or_demanded(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl")
    data = read(path, labels=False)
    assert (data.Y, data.label_names, data.classes) == (None, None, None)
    (tmp_path / "b.jsonl").write_text('{"text": "a", "x": 1}\n')
    assert read(tmp_path / "b.jsonl").Y is None
    with pytest.raises(DataFormatError, match=r"label column.*'text', 'x'"):
        read(tmp_path / "b.jsonl", labels=True)


@pytest.mark.parametrize("separator", ["|", ",", "\t"])
def test_a_separator_must_be_named_where_the_default_one_is_not_used(tmp_path, separator):
    path = write_parquet_strings(tmp_path / "a.parquet", [f"a{separator}b", f"b{separator}c", "c"])
    with pytest.raises(DataFormatError, match="label_separator=") as error:
        read(path)
    option = r"--label-separator $'\t'" if separator == "\t" else f"--label-separator '{separator}'"
    assert option in str(error.value)
    assert read(path, label_separator=separator).label_names == ["a", "b", "c"]
    assert len(read(path, label_separator=";").label_names) == 3


def write_parquet_strings(path, cells):
    pq.write_table(pa.table({"text": ["t"] * len(cells), "labels": cells}), path)
    return path


@pytest.mark.parametrize("make", [write_jsonl, write_csv, write_parquet])
def test_missing_and_ambiguous_columns_list_what_there_is(tmp_path, make):
    ending = {write_jsonl: "jsonl", write_csv: "csv", write_parquet: "parquet"}[make]
    path = make(tmp_path / f"a.{ending}")
    with pytest.raises(DataFormatError, match=r"text_column 'body'.*'text', 'labels'"):
        read(path, text_column="body")
    with pytest.raises(DataFormatError, match=r"label_column 'tags'"):
        read(path, label_column="tags")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"title": "a", "content": "b"},
            "several columns could be meant: 'content', 'title'; choose with text_column",
        ),
        (
            {"x": "a", "labels": []},
            "no text column found; choose with text_column. The columns are: 'x', 'labels'.*--text-column",
        ),
        ({"text": "a", "tags": [], "label": []}, "several columns could be meant: 'label', 'tags'"),
    ],
)
def test_ambiguous_columns(tmp_path, row, message):
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataFormatError, match=message):
        read(tmp_path / "a.jsonl")


GOOD = b'{"text": "a", "labels": ["x"]}\n'


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b'{"text": null, "labels": []}', "line 3: the text column 'text' is null or missing"),
        (b'{"labels": ["x"]}', "line 3: the text column 'text' is null or missing"),
        (b'{"text": 5, "labels": []}', "line 3: the text column 'text' holds an int"),
        (b'{"text": "a", "labels": [1]}', "line 3: .*the label 1 is an int among labels of type str"),
        (b'{"text": "a", "labels": [null]}', "line 3: .*a label must be a str or an int, not None"),
        (b'{"text": "a", "labels": [true]}', "line 3: .*not a bool"),
        (b'{"text": "a", "labels": [["x"]]}', "line 3: .*not a list"),
        (b'{"text": "a", "labels": 0.5}', "line 3: the label column 'labels' holds a float"),
        (b'{"text": "a", "labels": {"x": 1}}', "line 3: the label column 'labels' holds a dict"),
        (b'{"text": "a", "labels": "[1"}', "line 3: the label column 'labels' begins with '\\['"),
        (b'{"text": "a", "labels": ["x"]', "line 3: not a JSON object"),
        (b'{"text": "a"} {"text": "b"}', "line 3: not a JSON object \\(Extra data at column 15\\)"),
        (b"[1, 2]", "line 3: expected a JSON object, found a list"),
        (b'{"text": "\xff"}', "line 3: the text is not valid UTF-8"),
        (b'{"text": "a", "x": ' + b"[" * 100_000, "line 3: the JSON is nested too deeply"),
        (b'{"text": "a", "labels": [' + b"9" * 5000 + b"]}", "line 3: not a JSON object"),
        (b'{"text": "a", "labels": [18446744073709551616]}', "line 3: .*among labels of type str"),
    ],
)
def test_bad_json_names_the_line(tmp_path, bad, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"\n" + bad + b"\n" + GOOD)
    with pytest.raises(DataFormatError, match=f"a.jsonl, {message}"):
        read(path)
    path.write_bytes(GOOD * 2 + bad + b"\n" + GOOD)  # without the blank line pyarrow reads it first
    with pytest.raises(DataFormatError, match=f"a.jsonl, {message}"):
        read(path)


def test_the_line_is_right_beyond_the_first_block(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    good = json.dumps({"text": "x" * 1000, "labels": ["a"]}).encode() + b"\n"
    path.write_bytes(gzip.compress(good * 9000 + b'{"text": "a", "labels": [2]}\n' + good))
    with pytest.raises(DataFormatError, match=r"line 9001: .*the label 2"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,labels\na,x\nb\n", "row 3: Expected 2 columns, got 1"),
        (b"text,labels\na,x\n\xff,x\n", "(line|row) 3: .*UTF-?8"),
        (b'text,labels\n"a,x\nb,y\n', "row|quotation"),
        (b"text,labels\na,[x\n", "row 2: the label column 'labels' begins with '\\['"),
        (b"text,text\na,x\n", "'text'.*more than once"),
        (b"\xfftext,labels\na,x\n", "line 1: the text is not valid UTF-8"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"text,labels\n", "holds no rows"),
    ],
)
def test_bad_csv_names_the_row(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataFormatError, match=message):
        read(tmp_path / "a.csv")


def test_csv_values_may_be_long_and_of_many_lines(tmp_path):
    texts = ["line\n" * 200_000, "b"]
    check_round_trip(read(write_csv(tmp_path / "a.csv", texts, [["x"], []])), texts, [["x"], []])


@pytest.mark.parametrize("content", ['"left open\n' + "a,b\n" * 10**6, "a" * 3_000_000 + ",b\nc,d\n"])
def test_csv_rows_beyond_a_block_are_an_error(tmp_path, monkeypatch, content):
    monkeypatch.setattr("ceiba.data.tables._CSV_BLOCK", 1 << 20)
    (tmp_path / "a.csv").write_text("text,labels\n" + content)
    with pytest.raises(DataFormatError, match=r"1 MiB.*quotation mark"):
        read(tmp_path / "a.csv")


def test_bad_parquet(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", ["a", None, "c"], [["x"], [], None])
    with pytest.raises(DataFormatError, match=r"row 2:.*'text'"):
        read(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataFormatError, match=r"a.parquet"):
        read(path)
    path.write_bytes(b"text,labels\n")
    with pytest.raises(DataFormatError, match="not a Parquet file"):
        read(path)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.csv.gz", "a.txt.gz"])
def test_truncated_compression(tmp_path, name):
    path = tmp_path / name
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, rng.integers(0, 10**6, 50))) for _ in range(100)]
    (write_csv if "csv" in name else write_jsonl)(path, texts, [["x"]] * 100)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataFormatError, match=r"damaged"):
        read(path)
    path.write_bytes(b"plain text")
    with pytest.raises(DataFormatError, match=r"\.(gz|zst)"):
        read(path)


def test_compression_is_told_by_content_too(tmp_path):
    write_jsonl(tmp_path / "a.jsonl.gz").rename(tmp_path / "a.jsonl")
    check_round_trip(read(tmp_path / "a.jsonl"))


def test_concatenated_gzip_members_are_one_file(tmp_path):
    a, b = (gzip.compress(GOOD.replace(b'"a"', text)) for text in (b'"a"', b'"b"'))
    (tmp_path / "a.jsonl.gz").write_bytes(a + b)
    assert list(read(tmp_path / "a.jsonl.gz").texts) == ["a", "b"]


def test_plain_text_is_one_text_per_line(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\n\ntwo\u2028\x0cthree\n".encode())
    data = read(tmp_path / "a.txt")
    assert list(data.texts) == ["one", "", "two\u2028\x0cthree"]
    assert data.Y is None
    with pytest.raises(DataFormatError, match="no labels beside it"):
        read(tmp_path / "a.txt", labels=True)


def test_standard_input(monkeypatch):
    def feed(raw):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    feed(b"een\r\n\ntwee")
    data = read("-")
    assert (data.n, list(data.texts), list(data.texts)) == (3, ["een", "", "twee"], ["een", "", "twee"])
    feed(b"")
    with pytest.raises(DataFormatError, match="standard input"):
        read("-")
    feed(b"a\n\xff\n")
    with pytest.raises(DataFormatError, match=r"standard input, line 2: .*UTF-8"):
        read("-")
    feed(b"a\n")
    with pytest.raises(DataFormatError, match="no labels"):
        read("-", labels=True)


def test_a_file_that_changes_is_noticed(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl")
    data = read(path)
    path.write_bytes(GOOD)
    with pytest.raises(DataFormatError, match=r"5 rows.*changed"):
        list(data.texts)
    path.write_bytes(GOOD * 9)
    with pytest.raises(DataFormatError, match="has changed"):
        list(data.texts)


def test_texts_are_streamed(tmp_path):
    path = tmp_path / "a.jsonl"
    with path.open("w") as file:
        for i in range(12_000):
            file.write(json.dumps({"text": f"{i} " + "x" * 1000, "labels": []}) + "\n")
    sizes = [len(batch) for batch in read(path).texts.batches()]
    assert sum(sizes) == 12_000
    assert max(sizes) < 6000  # a block of 4 MiB, not the 12 MB of the file


def test_progress_reaches_the_end(tmp_path):
    for path in (
        write_jsonl(tmp_path / "a.jsonl.gz"),
        write_csv(tmp_path / "a.csv"),
        write_parquet(tmp_path / "a.parquet"),
    ):
        calls = []
        read(path, progress=lambda *call: calls.append(call))  # noqa: B023
        assert calls
        assert calls[-1] == ("reading", path.stat().st_size, path.stat().st_size)
        assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)


def test_options_are_checked(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match=r"'format'.*read"):
        read(path, format="xml")
    with pytest.raises(InputError, match="'split' parameter"):
        read(path, split="dev")
    with pytest.raises(InputError, match="'text_column' parameter"):
        read(path, text_column=3)
    with pytest.raises(InputError, match="must not be empty"):
        read(path, label_separator="")
    with pytest.raises(InputError, match=r"n_features.*svmlight"):
        read(path, n_features=3)
    with pytest.raises(InputError, match="label_names"):
        read(path, label_names=["a"])
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(DataFormatError, match=r"unknown format.*\.jsonl"):
        read(tmp_path / "a.doc")
    assert list(read(tmp_path / "a.doc", format="text").texts) == ["x"]
    for name in ("e.jsonl", "e.txt", "e"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(DataFormatError, match=r"is empty|no rows|no text column"):
            read(tmp_path / name)
