"""Annif's corpora of one file, and its vocabularies of two columns."""

import gzip
import json

import pytest

from ceiba.data import read, read_vocabulary
from ceiba.errors import DataFormatError, DataWarning, InputError

X = "http://example.org/"
DOCUMENTS = [
    {
        "document_id": "1",
        "text": "a black cat",
        "metadata": {"title": "Cats", "abstract": "of cats"},
        "subjects": [{"uri": X + "cat", "label": "cats"}, {"uri": X + "pet"}],
    },
    {"text": "an old dog", "subjects": [{"uri": X + "dog"}]},
    {"text": "nothing", "subjects": []},
    {"text": "not indexed", "metadata": {}},
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def write(tmp_path):
    def write(content, name="corpus.jsonl"):
        path = tmp_path / name
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz", "corpus"])
def test_json_lines_with_subjects(write, name):
    path = write(lines(DOCUMENTS), name)
    for given in ({}, {"format": "annif"}):
        data = read(path, **given)
        assert data.format == "annif"
        assert list(data.texts) == [row["text"] for row in DOCUMENTS]
        assert data.label_names == [X + "cat", X + "dog", X + "pet"]
        assert data.Y.toarray().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_metadata_are_columns_of_text(write):
    path = write(lines(DOCUMENTS))
    texts = list(read(path, text_column=["title", "text"]).texts)
    assert texts == ["Cats a black cat", "an old dog", "nothing", "not indexed"]
    with pytest.raises(DataFormatError, match=r"corpus.jsonl, line 2: .*'title'"):
        list(read(path, text_column="title").texts)
    with pytest.raises(DataFormatError, match="'author' is not among the columns"):
        read(path, text_column="author")
    data = read(write(lines([{"metadata": {"title": "Cats"}, "text": "a cat"}])), text_column="title")
    assert list(data.texts) == ["Cats"]
    assert data.Y is None


def test_documents_of_metadata_alone(write):
    path = write(lines([{"metadata": {"title": "Cats"}, "subjects": [{"label": "cats"}]}] * 2))
    data = read(path)
    assert list(data.texts) == ["Cats", "Cats"]
    assert data.label_names == ["cats"]


def test_a_name_counts_where_there_is_no_uri(write):
    rows = [{"text": "a", "subjects": [{"label": "cats"}]}, {"text": "b", "subjects": [{"uri": "u", "label": "cats"}]}]
    with pytest.warns(DataWarning, match="1 subjects.*'cats'"):
        assert read(write(lines(rows))).label_names == ["cats", "u"]


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a", "subjects": "cats"},
        {"text": "a", "subjects": ["cats"]},
        {"text": "a", "subjects": [{"notation": "1"}]},
        {"text": "a", "subjects": [{"uri": ""}]},
        {"text": "a", "subjects": [{"uri": 3}]},
        {"text": "a", "subjects": [{"label": None}]},
        {"text": 3, "subjects": []},
        {"text": None, "subjects": []},
        {"subjects": []},
    ],
)
def test_a_bad_document_is_named(write, row):
    path = write(lines([*DOCUMENTS, row]))
    with pytest.raises(DataFormatError, match=r"corpus.jsonl, line 5: "):
        read(path)


@pytest.mark.parametrize("metadata", [["a"], "a", {"title": 3}])
def test_bad_metadata_are_named(write, metadata):
    path = write(lines([*DOCUMENTS, {"text": "a", "metadata": metadata, "subjects": []}]))
    with pytest.raises(DataFormatError, match=r"corpus.jsonl, line 5: .*(metadata|title)"):
        read(path, text_column=["title", "text"])


def test_a_list_of_names_is_no_corpus_of_annif(write):
    data = read(write(lines([{"text": "a", "subjects": ["x", "y"]}])))
    assert data.format == "jsonl"
    assert data.label_names == ["x", "y"]


def folder_of(path, documents):
    path.mkdir(parents=True)
    for i, document in enumerate(documents):
        (path / f"{i}.json").write_text(json.dumps(document, indent=1))
    return path


def test_a_folder_of_json_documents(tmp_path):
    for given, path in (({}, "corpus"), ({"format": "annif"}, "corpus"), ({}, "parts/train")):
        folder = tmp_path / path
        if not folder.exists():
            folder_of(folder, DOCUMENTS)
        data = read(folder.parent if path == "parts/train" else folder, **given)
        assert data.format == "annif"
        assert list(data.texts) == [row["text"] for row in DOCUMENTS]
        assert data.label_names == [X + "cat", X + "dog", X + "pet"]
        assert data.Y.toarray().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert next(iter(read(folder, text_column=["title", "text"]).texts)) == "Cats a black cat"


@pytest.mark.parametrize(
    "document", ["[]", "{", "", '{"text": "a", "subjects": ["x"]}', '{"text": 3}', '{"subjects": []}']
)
def test_a_bad_json_file_is_named(tmp_path, document):
    folder = folder_of(tmp_path / "corpus", DOCUMENTS)
    (folder / "bad.json").write_text(document)
    with pytest.raises(DataFormatError, match=r"bad\.json"):
        read(folder)


def test_texts_and_json_documents_are_not_mixed(tmp_path):
    folder = folder_of(tmp_path / "corpus", DOCUMENTS)
    (folder / "a.txt").write_text("a cat")
    with pytest.raises(DataFormatError, match=r"a\.txt.*0\.json"):
        read(folder, format="annif")
    (folder / "0.json").write_text('{"about": "the texts"}')  # no document
    (folder / "a.key").write_text("cats")
    assert read(folder).label_names == ["cats"]


CSV = f'document_id,text,title,subject_uris\n1,"a cat, black",Cats,<{X}cat> {X}pet\n2,a dog,Dogs,{X}dog\n3,none,No,\n'


@pytest.mark.parametrize("name", ["corpus.csv", "corpus.csv.gz"])
def test_csv_with_subject_uris(write, name):
    path = write(CSV, name)
    for given in ({}, {"format": "annif"}):
        data = read(path, **given)
        assert data.label_names == [X + "cat", X + "dog", X + "pet"]
        assert data.Y.toarray().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
        assert list(data.texts) == ["a cat, black", "a dog", "none"]
    assert next(iter(read(path, text_column=["title", "text"]).texts)) == "Cats a cat, black"
    with pytest.warns(DataWarning):  # the brackets stay, and the labels may be no labels
        assert read(path, label_column="subject_uris", label_separator=" ").format == "csv"
    with pytest.raises(DataFormatError, match=r"corpus.csv.*, row 5: .*subject_uris"):
        read(write(f"{CSV}4,x,y,<{X}\n", name))


def test_options_that_do_not_fit_are_refused(write):
    with pytest.raises(DataFormatError, match="'title' is not among the columns"):
        read(write(f"a cat\t<{X}cat>\n", "corpus.tsv"), text_column="title", format="annif")
    with pytest.raises(DataFormatError, match="labels are needed"):
        read(write(lines([{"text": "a", "metadata": {}}])), labels=True)


TSV = f"<{X}cat>\tcats\t599\n{X}dog\tdogs\n\n<{X}old>\n<{X}cat>\tbig cats\n"
VOCABULARY = f"uri,label_en,label_fi,notation\n<{X}cat>,cats,kissat,599\n{X}dog,,koirat,\n{X}old,,,\n"


@pytest.mark.parametrize("name", ["v.tsv", "v.tsv.gz"])
def test_a_vocabulary_of_lines(write, name):
    vocabulary = read_vocabulary(write(TSV, name))
    assert vocabulary.texts == {X + "cat": ["cats", "big cats"], X + "dog": ["dogs"]}
    assert (vocabulary.language, vocabulary.n_deprecated) == (None, 1)
    with pytest.raises(InputError, match="no languages"):
        read_vocabulary(write(TSV, name), "en")


@pytest.mark.parametrize("name", ["v.csv", "v.csv.gz"])
def test_a_vocabulary_of_columns(write, name):
    path = write(VOCABULARY, name)
    english, finnish = read_vocabulary(path, "EN"), read_vocabulary(path, "fi")
    assert english.texts == {X + "cat": ["cats"], X + "dog": []}
    assert finnish.texts == {X + "cat": ["kissat"], X + "dog": ["koirat"]}
    assert (finnish.language, finnish.n_deprecated) == ("fi", 1)
    with pytest.raises(InputError, match=r"--language.*fi \(2 concepts\), en \(1 concepts\)"):
        read_vocabulary(path)
    with pytest.raises(DataFormatError, match=r"'sv'.*fi"):
        read_vocabulary(path, "sv")


def test_one_language_needs_no_choice(write):
    path = write(f"uri,label_en-GB\n{X}cat,cats\n", "v.csv")
    assert read_vocabulary(path).texts == read_vocabulary(path, "en").texts == {X + "cat": ["cats"]}
    for name, content in {"w.csv": f"uri,label\n{X}cat,cats\n", "w.tsv": f"uri\tlabel\n{X}cat\tcats\n"}.items():
        assert read_vocabulary(write(content, name)).texts == {X + "cat": ["cats"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", f"{X}cat,cats\n{X}dog,dogs\n", "v.csv: expected the columns 'uri'"),
        ("v.csv", "uri,notation\nx,1\n", "v.csv: expected the columns 'uri'"),
        ("v.csv", "uri,label_en\nx,cats\n,dogs\n", "v.csv, row 3: expected a URI"),
        ("v.csv", "uri,label_en\nx,cats\ny,dogs,more\n", "v.csv, row 3"),
        ("v.csv", "uri,label_en\n", "v.csv: holds no rows"),
        ("v.tsv", "<x>\tcats\n<y\tdogs\n", "v.tsv, line 2: expected a URI"),
        ("v.tsv", "<x>\tcats\n\tdogs\n", "v.tsv, line 2: expected a URI"),
        ("v.tsv", "cats\ndogs\n", "v.tsv: no label has a text"),
        ("v.tsv", "", "v.tsv: "),
    ],
)
def test_a_bad_vocabulary_is_named(write, name, content, message):
    with pytest.raises(DataFormatError, match=message):
        read_vocabulary(write(content, name))


def test_a_vocabulary_names_the_labels_of_a_corpus(write):
    data = read(write(lines(DOCUMENTS)))
    with pytest.warns(DataWarning, match="1 of 3"):
        data.use_vocabulary(read_vocabulary(write(TSV, "v.tsv")))
    assert data.label_texts == ["cats", "dogs", X + "pet"]


def test_a_key_of_the_metadata_may_be_called_metadata(tmp_path):
    file = tmp_path / "corpus.jsonl"
    document = {"text": "x", "metadata": {"metadata": "first", "title": "second"}, "subjects": [{"uri": "u"}]}
    file.write_text(json.dumps(document))
    found = read(file, text_column=["metadata", "title"])
    assert ["first" in text and "second" in text for text in found.texts] == [True]
