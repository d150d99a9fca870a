"""Vectorizers on disk: exact round trips, and one clear error for every damaged or foreign file."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer
from sklearn.feature_extraction.text import TfidfVectorizer as SklearnTfidf
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer

from ceiba.errors import InputError, MissingExtraError, ModelFormatError
from ceiba.features import TfidfVectorizer, load_vectorizer, save_vectorizer

TEXTS = ["acute pain", "chronic pain in the ear", "", "Ménière's disease 12"]


def round_trip(vectorizer, folder, **options):
    description = save_vectorizer(vectorizer, folder)
    assert all((folder / name).is_file() for name in description["files"])
    return load_vectorizer(json.loads(json.dumps(description)), folder, **options)


def assert_same_features(first, second, texts=TEXTS):
    a, b = first.transform(texts), second.transform(texts)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert abs(a - b).max() == 0


# Any code point, in small alphabets so that texts share n-grams.
any_text = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from('ab \U0001f600\u2028"\\\0')), max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(any_text, max_size=5),
    kinds=st.sampled_from([((1, 2), None), (None, (1, 3)), ((1, 1), (2, 3))]),
)
def test_round_trip_is_exact_on_any_unicode(tmp_path, texts, kinds):
    texts = [*texts, "some words"]
    vectorizer = TfidfVectorizer(word_ngrams=kinds[0], char_ngrams=kinds[1]).fit(texts)
    loaded = round_trip(vectorizer, tmp_path)
    assert loaded.get_params() == vectorizer.get_params()
    assert loaded.vocabularies_ == vectorizer.vocabularies_
    np.testing.assert_array_equal(loaded.idf_, vectorizer.idf_)
    assert_same_features(loaded, vectorizer, texts)


def test_round_trip_of_hashed_ngrams(tmp_path):
    vectorizer = TfidfVectorizer(hash_features=32, char_ngrams=(2, 3)).fit(TEXTS)
    loaded = round_trip(vectorizer, tmp_path)
    assert loaded.vocabularies_ == vectorizer.vocabularies_
    assert_same_features(loaded, vectorizer)
    assert [path.name for path in tmp_path.iterdir()] == ["vectorizer.safetensors"]


def test_round_trip_keeps_every_parameter(tmp_path):
    vectorizer = TfidfVectorizer(
        word_ngrams=(np.int64(1), 2), char_ngrams=(2, 3), char_weight=np.float32(0.25), min_df=np.int32(1),
        max_df=0.9, max_features=30, sublinear_tf=False, norm=None, lowercase=False, strip_accents="ascii",
    )  # fmt: skip
    loaded = round_trip(vectorizer.fit(TEXTS), tmp_path)
    assert loaded.get_params() == vectorizer.get_params()
    assert_same_features(loaded, vectorizer)
    assert not list(tmp_path.glob("*.pkl"))


def test_unfitted_vectorizer_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        save_vectorizer(TfidfVectorizer(), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(kind="tfidf-2"),
        lambda d: d.pop("kind"),
        lambda d: d.pop("params"),
        lambda d: d.update(params=[1]),
        lambda d: d.update(params=None),
        lambda d: d["params"].update(min_df=-3),
        lambda d: d["params"].update(unheard_of=1),
        lambda d: d["params"].update(char_ngrams=[2, 3]),
        lambda d: d.update(parts=["char"]),
        lambda d: d.pop("parts"),
    ],
)
def test_bad_description_names_the_folder(tmp_path, change):
    description = save_vectorizer(TfidfVectorizer().fit(TEXTS), tmp_path)
    change(description)
    with pytest.raises(ModelFormatError, match=str(tmp_path)):
        load_vectorizer(description, tmp_path)


@pytest.mark.parametrize("description", [None, [], "tfidf"])
def test_description_of_a_wrong_type(tmp_path, description):
    with pytest.raises(ModelFormatError, match="kind"):
        load_vectorizer(description, tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("word.utf8", lambda a: a[:-1]),
        ("word.utf8", lambda a: np.full_like(a, 0xFF)),
        ("word.utf8", lambda a: np.full_like(a, ord("a"))),
        ("word.utf8", lambda a: a.astype(np.int32)),
        ("word.utf8", lambda a: a.reshape(1, -1)),
        ("word.utf8", None),
        ("word.ptr", lambda a: a[:-1]),
        ("word.ptr", lambda a: a[:0]),
        ("word.ptr", lambda a: a[::-1].copy()),
        ("word.ptr", lambda a: a.astype(np.float32)),
        ("word.ptr", lambda a: a + 1),
        ("word.ptr", None),
    ],
)
def test_damaged_vocabulary_names_its_file(tmp_path, name, change):
    description = save_vectorizer(TfidfVectorizer().fit(TEXTS), tmp_path)
    path = tmp_path / "vectorizer.safetensors"
    arrays = load_file(path)
    changed = {name: change(arrays[name])} if change else {}
    save_file({**{each: array for each, array in arrays.items() if each != name}, **changed}, path)
    with pytest.raises(ModelFormatError, match=path.name):
        load_vectorizer(description, tmp_path)


def test_damaged_idf_names_its_file(tmp_path):
    vectorizer = TfidfVectorizer().fit(TEXTS)
    description = save_vectorizer(vectorizer, tmp_path)
    path = tmp_path / "vectorizer.safetensors"
    whole = path.read_bytes()
    idf = vectorizer.idf_
    for content in (b"", whole[:20], whole[:-1], whole + b"x", b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ModelFormatError, match=path.name):
            load_vectorizer(description, tmp_path)
    path.write_bytes(whole)
    arrays = load_file(path)
    for wrong in (None, idf[:-1], idf.astype(np.float64), idf * np.nan):
        save_file({**arrays, "idf": wrong} if wrong is not None else {"other": idf}, path)
        with pytest.raises(ModelFormatError, match=path.name):
            load_vectorizer(description, tmp_path)


def test_missing_file_is_named(tmp_path):
    description = save_vectorizer(TfidfVectorizer(char_ngrams=(2, 3)).fit(TEXTS), tmp_path)
    (tmp_path / "vectorizer.safetensors").unlink()
    with pytest.raises(ModelFormatError, match=r"vectorizer\.safetensors"):
        load_vectorizer(description, tmp_path)


class TestSkops:
    """Transformers other than Ceiba's own."""

    pytest.importorskip("skops")

    @pytest.mark.parametrize(
        "transformer",
        [
            SklearnTfidf(ngram_range=(1, 2), dtype=np.float32),
            HashingVectorizer(n_features=32),
            make_pipeline(CountVectorizer(stop_words="english"), TfidfTransformer(), TruncatedSVD(2, random_state=0)),
            make_union(SklearnTfidf(), SklearnTfidf(analyzer="char")),
            make_pipeline(TfidfVectorizer(char_ngrams=(2, 3)), TruncatedSVD(2, random_state=0)),
        ],
        ids=lambda transformer: type(transformer).__name__,
    )
    def test_round_trip(self, tmp_path, transformer):
        transformer.fit(TEXTS).transform(TEXTS)
        assert_same_features(round_trip(transformer, tmp_path), transformer)

    def test_unknown_types_are_named_and_can_be_trusted(self, tmp_path):
        transformer = make_pipeline(FunctionTransformer(upper), CountVectorizer(lowercase=False)).fit(TEXTS)
        name = f"{upper.__module__}.upper"
        with pytest.raises(ModelFormatError, match=f"vectorizer.skops.*{name}"):
            round_trip(transformer, tmp_path)
        sys.modules.setdefault(upper.__module__, sys.modules[__name__])
        assert_same_features(round_trip(transformer, tmp_path, trusted=[name]), transformer)

    def test_what_skops_cannot_write(self, tmp_path):
        transformer = CountVectorizer(tokenizer=lambda text: text.split(), token_pattern=None).fit(TEXTS)
        with pytest.raises(InputError, match=r"vectorizer.*CountVectorizer"):
            save_vectorizer(transformer, tmp_path)

    def test_damaged_file_is_named(self, tmp_path):
        description = save_vectorizer(SklearnTfidf().fit(TEXTS), tmp_path)
        path = tmp_path / "vectorizer.skops"
        whole = path.read_bytes()
        for content in (
            b"",
            b"not a zip",
            whole[: len(whole) // 2],
            whole.replace(b"__class__", b"__glass__"),
        ):
            path.write_bytes(content)
            with pytest.raises(ModelFormatError, match=path.name):
                load_vectorizer(description, tmp_path)
        path.unlink()
        with pytest.raises(ModelFormatError, match=path.name):
            load_vectorizer(description, tmp_path)

    def test_missing_extra_gives_the_command(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "skops", None)
        monkeypatch.setitem(sys.modules, "skops.io", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'ceiba\[skops\]'"):
            save_vectorizer(SklearnTfidf().fit(TEXTS), tmp_path)
        with pytest.raises(MissingExtraError, match="skops"):
            load_vectorizer({"kind": "skops"}, tmp_path)


def upper(texts):
    return [text.upper() for text in texts]
