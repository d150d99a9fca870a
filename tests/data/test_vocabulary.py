"""SKOS vocabularies: which concepts and texts count, the hierarchy, what the cache keeps, and errors."""

import gzip

import pytest

from ceiba.data import read, read_vocabulary
from ceiba.errors import DataFormatError, DataWarning, InputError

rdflib = pytest.importorskip("rdflib")

TURTLE = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix xl: <http://www.w3.org/2008/05/skos-xl#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix x: <http://example.org/> .

x:scheme a skos:ConceptScheme ; skos:prefLabel "The scheme"@en .
x:animals a skos:Concept ; skos:prefLabel "animals"@en, "eläimet"@fi ; skos:narrower x:cats, x:old .
x:cats a skos:Concept ; skos:prefLabel "cats"@en, "kissat"@fi ; skos:altLabel "felines"@en, "cats"@en, "misse"@fi .
x:kittens a skos:Concept ; skos:prefLabel "kittens"@en-GB ; skos:broader x:cats, <http://elsewhere.org/1> .
x:old a skos:Concept ; skos:prefLabel "beasts"@en ; owl:deprecated true .
x:only a skos:Concept ; skos:prefLabel "vain"@fi ; skos:altLabel "only an alternative"@en .
x:none a skos:Concept ; skos:prefLabel "ei mitään"@fi .
x:code a skos:Concept ; skos:prefLabel "A-12" .
x:xl a skos:Concept ; xl:prefLabel [ xl:literalForm "extended"@en ] .
x:twin a skos:Concept ; skos:prefLabel "cats"@en .
"""
X = "http://example.org/"
ENGLISH = {
    "animals": ["animals"],
    "cats": ["cats", "felines"],
    "code": ["A-12"],
    "kittens": ["kittens"],
    "none": [],
    "only": ["only an alternative"],
    "twin": ["cats"],
    "xl": ["extended"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skos")
    graph = rdflib.Graph().parse(data=TURTLE, format="turtle")
    (folder / "v.ttl").write_text(TURTLE, encoding="utf-8")
    graph.serialize(folder / "v.rdf", format="xml")
    graph.serialize(folder / "v.nt", format="nt", encoding="utf-8")
    for name in ("v.ttl", "v.rdf", "v.nt"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    return folder


@pytest.mark.parametrize("name", ["v.ttl", "v.rdf", "v.nt", "v.ttl.gz", "v.rdf.gz", "v.nt.gz"])
def test_texts_and_hierarchy_of_every_syntax(folder, name):
    vocabulary = read_vocabulary(folder / name, "en")
    assert vocabulary.texts == {X + key: texts for key, texts in ENGLISH.items()}
    assert list(vocabulary.texts) == sorted(vocabulary.texts)
    assert vocabulary.broader == {X + "cats": [X + "animals"], X + "kittens": [X + "cats"]}
    assert vocabulary.narrower == {X + "animals": [X + "cats"], X + "cats": [X + "kittens"]}
    assert vocabulary.n_deprecated == 1


def test_another_language(folder):
    texts = read_vocabulary(folder / "v.ttl", "FI").texts
    assert texts[X + "cats"] == ["kissat", "misse"]
    assert texts[X + "kittens"] == []


def test_facts_count_what_was_left_out(folder):
    facts = read_vocabulary(folder / "v.ttl", "en").facts()
    assert {name: facts[name] for name in ("labels", "with_a_text", "other_texts", "deprecated", "texts_shared")} == {
        "labels": 8,
        "with_a_text": 7,
        "other_texts": 1,
        "deprecated": 1,
        "texts_shared": 1,
    }


def test_the_language_must_be_told_where_there_are_several(folder, tmp_path):
    with pytest.raises(InputError, match=r"--language.*en \(4 .*fi \(4"):
        read_vocabulary(folder / "v.ttl")
    only = tmp_path / "one.ttl"
    only.write_text(TURTLE.replace("@fi", "@en").replace("@en-GB", "@en"), encoding="utf-8")
    assert read_vocabulary(only).language == "en"


def test_a_language_that_is_not_there_lists_those_that_are(folder, tmp_path):
    path = tmp_path / "v.ttl"
    path.write_text(TURTLE.replace('x:code a skos:Concept ; skos:prefLabel "A-12" .', ""), encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"'sv'.*fi"):
        read_vocabulary(path, "sv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.ttl", TURTLE + "\nx:bad skos:prefLabel ;;; \n", r"v\.ttl, line \d+"),
        ("v.rdf", "<rdf:RDF", r"v\.rdf, line 1"),
        ("v.nt", "<a> <b> .\n", r"v\.nt"),
        ("v.ttl", "@prefix x: <http://example.org/> . x:a x:b x:c .", r"v\.ttl: holds no skos:Concept"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataFormatError, match=message):
        read_vocabulary(tmp_path / name, "en")


@pytest.mark.parametrize("kind", ["prefLabel", "altLabel"])
def test_half_a_surrogate_pair_is_refused_with_its_concept(tmp_path, kind):
    bad = f'x:bad a skos:Concept ; skos:prefLabel "good" ; skos:{kind} "A\\uD800" .'
    (tmp_path / "v.ttl").write_text(f"{TURTLE}\n{bad}\n", encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"example\.org/bad.*surrogate"):
        read_vocabulary(tmp_path / "v.ttl", "en")


def test_a_concept_without_a_uri_is_no_label(tmp_path):
    blank = '[] a skos:Concept ; skos:prefLabel "nameless"@en .'
    (tmp_path / "v.ttl").write_text(f"{TURTLE}\n{blank}\n", encoding="utf-8")
    assert set(read_vocabulary(tmp_path / "v.ttl", "en").texts) == {X + name for name in ENGLISH}


def test_concepts_without_any_text(tmp_path):
    (tmp_path / "v.ttl").write_text(TURTLE.split("x:scheme")[0] + "x:a a skos:Concept .")
    with pytest.raises(DataFormatError) as caught:
        read_vocabulary(tmp_path / "v.ttl")
    assert "None" not in str(caught.value)


def test_a_file_of_another_kind(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_vocabulary(tmp_path / "none.ttl")
    (tmp_path / "v.dat").write_text("a,b\n")
    with pytest.raises(InputError, match=r"\.ttl"):
        read_vocabulary(tmp_path / "v.dat")


def test_the_cache_keeps_everything(folder, tmp_path):
    vocabulary = read_vocabulary(folder / "v.ttl", "en")
    with (tmp_path / "labels.jsonl").open("wb") as file:
        vocabulary.write(file)
    again = read_vocabulary(tmp_path / "labels.jsonl")
    assert (again.texts, again.broader) == (vocabulary.texts, vocabulary.broader)
    with pytest.raises(InputError, match="language"):
        read_vocabulary(tmp_path / "labels.jsonl", "en")


def test_a_bad_row_of_the_cache_is_named(tmp_path):
    (tmp_path / "l.jsonl").write_text(
        '{"label": "a", "text": "x", "alt_texts": []}\n{"label": "b", "alt_texts": "y"}\n'
    )
    with pytest.raises(DataFormatError, match=r"line 2.*alt_texts"):
        read_vocabulary(tmp_path / "l.jsonl")


def data(tmp_path, *labels):
    lines = [f"text {i}\t<{label}>\n" for i, label in enumerate(labels)]
    (tmp_path / "train.tsv").write_text("".join(lines), encoding="utf-8")
    return read(tmp_path / "train.tsv")


def test_texts_of_a_data_set(folder, tmp_path):
    dataset = data(tmp_path, X + "cats", X + "kittens")
    dataset.use_vocabulary(read_vocabulary(folder / "v.ttl", "en"))
    assert dataset.label_texts == ["cats", "kittens"]
    assert dataset.every_label_text()[X + "animals"] == ["animals"]
    assert X + "none" not in dataset.every_label_text()


def test_labels_that_the_vocabulary_lacks(folder, tmp_path):
    vocabulary = read_vocabulary(folder / "v.ttl", "en")
    dataset = data(tmp_path, X + "cats", X + "none", "urn:x")
    with pytest.warns(DataWarning, match="2 of 3 labels"):
        dataset.use_vocabulary(vocabulary)
    assert dataset.label_texts == ["cats", X + "none", "urn:x"]
    with pytest.raises(InputError, match=r"urn:x.*http://example\.org"):
        data(tmp_path, "urn:x").use_vocabulary(vocabulary)


def test_a_cache_beside_the_data_gives_all_texts(folder, tmp_path):
    with (tmp_path / "labels.jsonl").open("wb") as file:
        read_vocabulary(folder / "v.ttl", "en").write(file)
    dataset = data(tmp_path, X + "cats", X + "kittens")
    assert dataset.label_texts == ["cats", "kittens"]
    assert dataset.every_label_text()[X + "cats"] == ["cats", "felines"]


def test_a_text_may_be_a_list(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"label": "a", "text": ["x", "y"]}\n{"label": "b", "text": "z"}\n{"label": "c"}\n', encoding="utf-8"
    )
    assert read_vocabulary(path).texts == {"a": ["x", "y"], "b": ["z"], "c": []}
    path.write_text('{"label": "a", "text": ["x"]}\n{"label": "b", "text": ["y", 3]}\n', encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"line 2.*text"):
        read_vocabulary(path)
