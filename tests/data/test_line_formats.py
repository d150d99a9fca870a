"""Corpora of Annif, fastText, PECOS text2text and LibMultiLabel: what is read and told, and which line is wrong."""

import gzip

import pytest

from ceiba.data import read
from ceiba.errors import DataFormatError, DataWarning, InputError

CATS, SEA = "http://example.org/cats", "urn:x:sea"


def label_sets(data):
    names, Y = data.classes.tolist(), data.Y
    return [{names[j] for j in Y.indices[a:b]} for a, b in zip(Y.indptr[:-1], Y.indptr[1:], strict=True)]


def write(path, text):
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


ANNIF = f"a red cat\t<{CATS}>\na grey seal\t<{SEA}> <{CATS}>\nnothing\t\n"
FASTTEXT = "__label__cat __label__red-fur a red cat\nno label here\n__label__sea a grey seal __label__cat\n"
PECOS = "0,2\ta red cat\n1\ta grey\tseal\n\tnothing\n"
LIBMULTILABEL = "7\tcat red\ta red cat\n9\tsea\ta grey seal\n11\t\tnothing\n"


@pytest.mark.parametrize("name", ["train.tsv", "train.tsv.gz", "corpus.txt", "corpus"])
def test_annif_lines_are_told(tmp_path, name):
    data = read(write(tmp_path / name, ANNIF))
    assert data.format == "annif"
    assert list(data.texts) == ["a red cat", "a grey seal", "nothing"]
    assert label_sets(data) == [{CATS}, {SEA, CATS}, set()]


def test_a_table_with_a_header_is_no_annif_corpus(tmp_path):
    data = read(write(tmp_path / "a.tsv", "text\tlabels\na red cat\tcat\n"))
    assert data.format == "tsv"
    plain = read(write(tmp_path / "a.txt", "a <b> c\tmore\nlast\n"))
    assert (plain.format, plain.Y) == ("text", None)


@pytest.mark.parametrize("bad", ["no tab here", f"text\t{CATS}", f"text\t<{CATS}", "text\t<>", "text\t<a> b"])
def test_a_bad_annif_line_is_named(tmp_path, bad):
    path = write(tmp_path / "train.tsv", f"{ANNIF}\n{bad}\n")
    with pytest.raises(DataFormatError, match=r"train\.tsv, line 5: "):
        read(path, format="annif")


def documents(folder):
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "b.txt", "a grey seal\nand the sea\n")
    write(folder / "b.tsv", f"<{SEA}>\tsea\n\n<{CATS}>\tcats\n")
    write(folder / "a.txt", "\ufeffa red cat\n")
    write(folder / "a.key", "cats\n")
    return folder


@pytest.mark.parametrize("inside", ["", "train"])
def test_annif_documents(tmp_path, inside):
    documents(tmp_path / inside)
    data = read(tmp_path, labels=True)
    assert data.format == "annif"
    assert list(data.texts) == list(data.texts) == ["a red cat", "a grey seal\nand the sea"]
    assert label_sets(data) == [{"cats"}, {SEA, CATS}]
    assert read(tmp_path, labels=False).Y is None


def test_the_other_split_of_annif_documents(tmp_path):
    documents(tmp_path / "train")
    test = documents(tmp_path / "test")
    write(test / "c.txt", "one more")
    with pytest.warns(DataWarning, match=r"1 of 3 texts.*c\.txt"):
        data = read(tmp_path, split="test")
    assert label_sets(data)[2] == set()


def test_documents_without_labels(tmp_path):
    write(tmp_path / "a.txt", "a red cat")
    assert list(read(tmp_path, format="annif").texts) == ["a red cat"]
    with pytest.raises(DataFormatError, match=r"NAME\.tsv"):
        read(tmp_path, format="annif", labels=True)


def test_a_bad_label_of_a_document_is_named(tmp_path):
    documents(tmp_path)
    write(tmp_path / "b.tsv", f"<{SEA}>\tsea\n<{CATS}\tcats\n")
    with pytest.raises(DataFormatError, match=r"b\.tsv, line 2: "):
        read(tmp_path)


def test_options_that_a_folder_of_documents_does_not_have(tmp_path):
    with pytest.raises(InputError, match="text_column"):
        read(documents(tmp_path), text_column="text")


@pytest.mark.parametrize("name", ["cooking.train", "a.txt", "a.txt.gz", "noname"])
def test_fasttext(tmp_path, name):
    data = read(write(tmp_path / name, FASTTEXT))
    assert data.format == "fasttext"
    assert list(data.texts) == ["a red cat", "no label here", "a grey seal"]
    assert label_sets(data) == [{"cat", "red-fur"}, set(), {"sea", "cat"}]


def test_a_fasttext_label_without_a_name(tmp_path):
    with pytest.raises(DataFormatError, match=r"a\.txt, line 4: .*__label__"):
        read(write(tmp_path / "a.txt", FASTTEXT + "__label__ a text\n"))


def test_pecos_text_with_items_beside(tmp_path):
    write(tmp_path / "output-items.txt", "cats\nthe sea\nred things\nnever used\n")
    data = read(write(tmp_path / "train.txt", PECOS))
    assert data.format == "pecos-text"
    assert list(data.texts) == ["a red cat", "a grey\tseal", "nothing"]
    assert data.Y.toarray().tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert data.label_texts == ["cats", "the sea", "red things", "never used"]


def test_pecos_text_without_items_has_to_be_named(tmp_path):
    path = write(tmp_path / "train.txt", PECOS)
    assert read(path).format == "text"
    assert read(path, format="pecos-text").Y.shape == (3, 3)
    assert read(path, format="pecos-text", n_labels=9).Y.shape == (3, 9)
    assert read(path, format="pecos-text", label_names=["x", "y", "z"]).classes.tolist() == ["x", "y", "z"]


def test_a_relevance_of_zero_in_pecos_text_is_no_positive(tmp_path):
    path = write(tmp_path / "train.txt", "0::0.5,1::0\ta\n1:2,2:0\tb\n0\tc\n")
    assert read(path, format="pecos-text").Y.toarray().tolist() == [[1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    "bad", ["no tab", "1,x\ta", "-1\ta", "1::much\ta", "1 2\ta", "4\ta", "99999999999\ta", "1::nan\ta", "1,2::inf\ta"]
)
def test_a_bad_line_of_pecos_text_is_named(tmp_path, bad):
    write(tmp_path / "output-items.txt", "a\nb\nc\nd\n")
    with pytest.raises(DataFormatError, match=r"train\.txt, line 4: "):
        read(write(tmp_path / "train.txt", f"{PECOS}{bad}\n"), format="pecos-text")


def test_libmultilabel_with_an_index(tmp_path):
    data = read(write(tmp_path / "train.tsv", LIBMULTILABEL))
    assert data.format == "libmultilabel"
    assert list(data.texts) == ["a red cat", "a grey seal", "nothing"]
    assert label_sets(data) == [{"cat", "red"}, {"sea"}, set()]


def test_libmultilabel_without_an_index_has_to_be_named(tmp_path):
    path = write(tmp_path / "train.txt", "cat red\ta red cat\nsea\ta grey seal\n")
    assert read(path).format == "text"
    assert label_sets(read(path, format="libmultilabel")) == [{"cat", "red"}, {"sea"}]


@pytest.mark.parametrize("bad", ["cat", "12\tsea", "1\tsea\ta\tb"])
def test_a_bad_line_of_libmultilabel_is_named(tmp_path, bad):
    path = write(tmp_path / "train.tsv", f"{LIBMULTILABEL}{bad}\n")
    with pytest.raises(DataFormatError, match=r"train\.tsv, line 4: "):
        read(path, format="libmultilabel")
    with pytest.raises(DataFormatError, match=r"one\.tsv, line 1: "):
        read(write(tmp_path / "one.tsv", "a\tb\tc\td\n"), format="libmultilabel")


@pytest.mark.parametrize("format", ["annif", "fasttext", "pecos-text", "libmultilabel"])
@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_rows(tmp_path, format, content):
    with pytest.raises(DataFormatError, match=r"a\.txt"):
        read(write(tmp_path / "a.txt", content), format=format)
