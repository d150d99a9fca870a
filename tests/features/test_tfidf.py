"""Ceiba's TF-IDF against scikit-learn's, and its own promises: streaming, determinism, clear errors."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer as SklearnTfidf
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from ceiba._settings import constraints_of
from ceiba.errors import InputError, InputTypeError
from ceiba.features import TfidfVectorizer, chars
from ceiba.features import texts as text_rows
from ceiba.reference.ngrams import NgramCounter, hash_of

TEXTS = [
    "Acute pain in the chest",
    "chronic PAIN, pain & more pain in the neck",
    "",
    "vitamin B 12 deficiency",
    "Ménière's disease, left ear",
    "a left-sided b\ttear  \n",
    "x",
]

any_texts = st.lists(st.text(max_size=40), max_size=8)


def sklearn_twin(**options):
    options = {"token_pattern": r"(?u)\b\w+\b", "sublinear_tf": True, "dtype": np.float32} | options
    if options.get("analyzer") == "char_wb":
        del options["token_pattern"]
    return SklearnTfidf(**options)


def assert_same_rows(actual, expected, atol=0.0):
    assert actual.shape == expected.shape
    difference = abs(actual - expected)
    assert difference.nnz == 0 or difference.max() <= atol


PAIRS = [
    ({}, {}),
    ({"word_ngrams": (1, 2)}, {"ngram_range": (1, 2)}),
    ({"word_ngrams": (2, 3)}, {"ngram_range": (2, 3)}),
    ({"min_df": 2}, {"min_df": 2}),
    ({"min_df": 0.25}, {"min_df": 0.25}),
    ({"max_df": 1}, {"max_df": 1}),
    ({"max_df": 0.2}, {"max_df": 0.2}),
    ({"norm": None}, {"norm": None}),
    ({"norm": "l1"}, {"norm": "l1"}),
    ({"sublinear_tf": False}, {"sublinear_tf": False}),
    ({"lowercase": False}, {"lowercase": False}),
    ({"strip_accents": "unicode"}, {"strip_accents": "unicode"}),
    ({"strip_accents": "ascii"}, {"strip_accents": "ascii"}),
    ({"word_ngrams": None, "char_ngrams": (1, 3)}, {"analyzer": "char_wb", "ngram_range": (1, 3)}),
    ({"word_ngrams": None, "char_ngrams": (3, 6)}, {"analyzer": "char_wb", "ngram_range": (3, 6)}),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_one_kind_of_ngram_equals_scikit_learn(ours, theirs):
    vectorizer, twin = TfidfVectorizer(sklearn_compatible=True, **ours), sklearn_twin(**theirs)
    assert_same_rows(vectorizer.fit_transform(TEXTS), twin.fit_transform(TEXTS), 1e-6)
    assert vectorizer.get_feature_names_out().tolist() == twin.get_feature_names_out().tolist()
    unseen = ["pain of the left toe, 12", "Pains", "", "?"]
    assert_same_rows(vectorizer.transform(unseen), twin.transform(unseen), 1e-6)


@settings(max_examples=40, deadline=None)
@given(texts=any_texts, unseen=any_texts, pair=st.sampled_from(PAIRS))
def test_equals_scikit_learn_on_any_unicode(texts, unseen, pair):
    ours, theirs = pair
    vectorizer, twin = TfidfVectorizer(sklearn_compatible=True, **ours), sklearn_twin(**theirs)
    try:
        expected = twin.fit_transform(texts)
    except ValueError:
        with pytest.raises(InputError):
            vectorizer.fit_transform(texts)
        return
    assert_same_rows(vectorizer.fit_transform(texts), expected, 1e-6)
    if unseen:
        assert_same_rows(vectorizer.transform(unseen), twin.transform(unseen), 1e-6)


# context rules, expansions, marks, digits and letters of other scripts, white space, halves of surrogate pairs
HARD = "aB_9 .-\t\u0130\u03a3\u03c3\u03c2\u00df\u0345\u0301\u1e9e\ufb01\u2126\u0660\u4e00"
HARD += "\U0001f600\U0001d400\u00a0\u2028\u200b"
hard_texts = st.lists(st.text(st.one_of(st.sampled_from(HARD), st.characters(codec="utf-8")), max_size=20), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    texts=hard_texts,
    lowercase=st.booleans(),
    accents=st.sampled_from([None, "unicode", "ascii"]),
    words=st.sampled_from([None, (1, 1), (1, 3), (2, 2)]),
    characters=st.sampled_from([None, (1, 1), (1, 4), (3, 5)]),
)
def test_counts_are_those_of_the_twin(texts, lowercase, accents, words, characters):
    if words is None and characters is None:
        words = (1, 1)
    texts = [*texts, "pain"]
    vectorizer = TfidfVectorizer(
        word_ngrams=words, char_ngrams=characters, lowercase=lowercase, strip_accents=accents, sublinear_tf=False,
        norm=None, char_weight=1.0, sklearn_compatible=True,
    )  # fmt: skip
    learnt = NgramCounter(chars.preprocessor(lowercase, accents), vectorizer._sizes(), token_pattern="sklearn")
    learnt.count(texts)
    if learnt.n_ids == 0:
        with pytest.raises(InputError, match="No feature"):
            vectorizer.fit(texts)
        return
    X = vectorizer.fit_transform(texts)
    for kind, vocabulary in learnt.vocabularies.items():
        assert sorted(vocabulary) == list(vectorizer.vocabularies_[kind])
    twin = NgramCounter(
        chars.preprocessor(lowercase, accents), vectorizer._sizes(), vectorizer.vocabularies_, token_pattern="sklearn"
    )
    assert_same_rows(X, twin.count(texts).multiply(vectorizer.idf_).tocsr(), 1e-4)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("accents", [None, "unicode", "ascii"])
def test_every_character_there_is(lowercase, accents):
    """One text per code point, between letters; Python's own functions say what becomes of it."""
    chosen = [code for code in range(0x110000) if code < 0x3400 or code % 97 == 0 or code > 0x10FF00]
    texts = [f"a{chr(code)}b" for code in chosen if not 0xD800 <= code < 0xE000]  # half a pair is no character
    vectorizer = TfidfVectorizer(
        lowercase=lowercase, strip_accents=accents, sublinear_tf=False, norm=None, sklearn_compatible=True
    )
    X = vectorizer.fit_transform(texts)
    twin = NgramCounter(
        chars.preprocessor(lowercase, accents), {"word": (1, 1)}, vectorizer.vocabularies_, token_pattern="sklearn"
    )
    assert_same_rows(X, twin.count(texts).multiply(vectorizer.idf_).tocsr(), 1e-4)


def test_nothing_changes_beyond_the_tables():
    become = chars.preprocessor(True, "unicode")
    beyond = [chr(code) for code in range(chars._END, 0x110000)]
    assert all(become(c) == c and not c.isalnum() and not c.isspace() for c in beyond)


def test_no_mark_and_nothing_to_normalise_where_the_tables_do_not_look():
    looked_at = {
        code for first, last in (*chars._DECOMPOSED, chars._VARIATION_SELECTORS) for code in range(first, last)
    }
    for c in (chr(code) for code in range(0x110000) if code not in looked_at):
        assert unicodedata.category(c)[0] != "M"
        assert not unicodedata.combining(c)
        assert c.lower() == c
        assert unicodedata.is_normalized("NFC", c)
        assert unicodedata.is_normalized("NFKC", c)


@pytest.mark.parametrize("kinds", [{"char_ngrams": (2, 4)}, {"word_ngrams": (1, 2)}])
def test_threads_do_not_change_a_bit(kinds):
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(500)]
    texts = [" ".join(rng.choice(words, rng.integers(0, 20))) for _ in range(3000)]
    results = []
    for n_jobs in (1, 2, 5):
        vectorizer = TfidfVectorizer(**kinds, max_features=700, n_jobs=n_jobs)
        results.append((vectorizer.fit_transform(texts), vectorizer.transform(texts[::-1]), vectorizer))
    for X, Z, vectorizer in results[1:]:
        assert vectorizer.vocabularies_ == results[0][2].vocabularies_
        for ours, first in ((X, results[0][0]), (Z, results[0][1])):
            assert ours.data.tobytes() == first.data.tobytes()
            assert ours.indices.tobytes() == first.indices.tobytes()
            assert (ours.indptr == first.indptr).all()


@settings(max_examples=50, deadline=None)
@given(texts=hard_texts, n_columns=st.integers(1, 50), characters=st.sampled_from([None, (1, 3)]))
def test_hashed_ngrams_stand_in_the_column_of_their_hash(texts, n_columns, characters):
    texts = [*texts, "pain in the ear"]
    options = {"char_ngrams": characters, "sublinear_tf": False, "norm": None, "char_weight": 1.0}
    plain = TfidfVectorizer(**options).fit(texts)
    hashed = TfidfVectorizer(**options, hash_features=n_columns)
    X = hashed.fit_transform(texts)
    assert_same_rows(hashed.transform(texts), X)
    counts = plain.transform(texts).toarray() / plain.idf_
    expected = np.zeros(X.shape)
    for place, vocabulary in enumerate(plain.vocabularies_.values()):
        for ngram, column in vocabulary.items():
            expected[:, place * n_columns + hash_of(ngram) % n_columns] += counts[:, column]
    df = (expected > 0).sum(axis=0)
    idf = np.log((1 + len(texts)) / (1 + df)) + 1
    np.testing.assert_allclose(hashed.idf_, idf, rtol=1e-5)
    np.testing.assert_allclose(X.toarray(), expected * idf, atol=1e-3)
    names = hashed.get_feature_names_out()
    assert len(names) == len(set(names)) == X.shape[1]


def test_hashing_learns_no_list():
    vectorizer = TfidfVectorizer(hash_features=64, char_ngrams=(2, 3)).fit(TEXTS)
    assert vectorizer.vocabularies_ == {"word": {}, "char": {}}
    assert vectorizer.transform(["never seen"]).nnz > 0
    for name, value in (("min_df", 2), ("max_df", 0.5), ("max_features", 10)):
        with pytest.raises(InputError, match=f"'{name}'.*TfidfVectorizer.*hash_features"):
            TfidfVectorizer(hash_features=64, **{name: value}).fit(TEXTS)


def test_max_features_keeps_the_most_frequent_and_breaks_ties_by_name():
    texts = ["d d d a", "c c d b", "e"]
    vectorizer = TfidfVectorizer(max_features=3).fit(texts)
    assert vectorizer.get_feature_names_out().tolist() == ["a", "c", "d"]
    twin = sklearn_twin(max_features=2)
    assert_same_rows(TfidfVectorizer(max_features=2).fit_transform(texts), twin.fit_transform(texts), 1e-6)


def test_kinds_stand_side_by_side_with_their_weights():
    both = TfidfVectorizer(word_ngrams=(1, 2), char_ngrams=(2, 4), char_weight=0.5, max_features=20).fit(TEXTS)
    words = TfidfVectorizer(word_ngrams=(1, 2), max_features=20).fit(TEXTS)
    chars = TfidfVectorizer(word_ngrams=None, char_ngrams=(2, 4), max_features=20).fit(TEXTS)
    X = both.transform(TEXTS)
    word_part, char_part = words.transform(TEXTS).toarray(), 0.5 * chars.transform(TEXTS).toarray()
    expected = np.hstack([word_part, char_part])
    length = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(X.toarray(), expected / np.where(length == 0, 1, length), atol=1e-6)
    names = [f"word__{name}" for name in words.get_feature_names_out()]
    names += [f"char__{name}" for name in chars.get_feature_names_out()]
    assert both.get_feature_names_out().tolist() == names
    assert both.vocabularies_["char"]["pa"] == names.index("char__pa")


def test_row_known_by_one_kind_only_still_has_length_1():
    vectorizer = TfidfVectorizer(char_ngrams=(2, 3), char_weight=0.1).fit(["pain", "chest"])
    X = vectorizer.transform(["painful", "pain", "zzz"])
    np.testing.assert_allclose(np.sqrt(X.multiply(X).sum(axis=1)).A1, [1, 1, 0], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(texts=any_texts, rows=st.integers(1, 3), characters=st.integers(1, 50))
def test_batches_generators_and_single_rows_change_nothing(texts, rows, characters):
    texts = [*texts, "pain"]
    vectorizer = TfidfVectorizer(char_ngrams=(1, 3))
    expected = vectorizer.fit_transform(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_rows, "_BATCH_ROWS", rows)
        patch.setattr(text_rows, "_BATCH_CHARACTERS", characters)
        streamed = clone(vectorizer)
        assert_same_rows(streamed.fit_transform(text for text in texts), expected)
        assert streamed.vocabularies_ == vectorizer.vocabularies_
        assert_same_rows(clone(vectorizer).fit(iter(texts)).transform(iter(texts)), expected)
    assert_same_rows(sp.vstack([vectorizer.transform([text]) for text in texts]), expected)


def test_fit_reads_the_texts_once():
    class Once:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter(TEXTS)

    texts = Once()
    TfidfVectorizer(char_ngrams=(2, 3)).fit_transform(texts)
    assert texts.passes == 1


def test_matrix_is_canonical_float32_csr():
    vectorizer = TfidfVectorizer(char_ngrams=(2, 3), min_df=2)
    for X in (vectorizer.fit_transform(TEXTS), vectorizer.transform(TEXTS), vectorizer.transform([])):
        assert X.format == "csr"
        assert X.dtype == np.float32
        assert X.indices.dtype == np.int32
        checked = sp.csr_matrix((X.data, X.indices, X.indptr), shape=X.shape)
        assert checked.has_canonical_format
    assert X.shape == (0, vectorizer.idf_.size)


def test_order_of_rows_does_not_change_the_columns():
    first = TfidfVectorizer(char_ngrams=(2, 4), max_features=15).fit(TEXTS)
    second = TfidfVectorizer(char_ngrams=(2, 4), max_features=15).fit(TEXTS[::-1])
    assert first.vocabularies_ == second.vocabularies_
    np.testing.assert_array_equal(first.idf_, second.idf_)


def test_refit_forgets_what_was_learnt():
    vectorizer = TfidfVectorizer(char_ngrams=(2, 3)).fit(["one two"])
    vectorizer.transform(["one"])
    vectorizer.fit(["three"])
    assert_same_rows(
        vectorizer.transform(["three one"]),
        TfidfVectorizer(char_ngrams=(2, 3)).fit(["three"]).transform(["three one"]),
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"word_ngrams": (0, 1)}, "'word_ngrams' parameter of TfidfVectorizer must be a list of 2"),
        ({"word_ngrams": (3, 2)}, "'word_ngrams' .* fewest <= most. Got \\(3, 2\\)"),
        ({"char_ngrams": 3}, "'char_ngrams'"),
        ({"word_ngrams": None}, "'word_ngrams' and 'char_ngrams' .* must not be None"),
        ({"char_weight": 0}, "'char_weight'"),
        ({"min_df": -1}, "'min_df'"),
        ({"max_df": 1.5}, "'max_df'"),
        ({"max_features": 0}, "'max_features'"),
        ({"sublinear_tf": "yes"}, "'sublinear_tf'"),
        (
            {"norm": "max"},
            "'norm' parameter of TfidfVectorizer must be one of 'l2', 'l1' or None. Got 'max' instead.",
        ),
        ({"strip_accents": "all"}, "'strip_accents'"),
    ],
)
def test_bad_parameters_are_named(params, words):
    with pytest.raises(InputError, match=words):
        TfidfVectorizer(**params).fit(TEXTS)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("one text", "single str; wrap it in a list"),
        (b"bytes", "single bytes"),
        (None, "Got NoneType"),
        (7, "Got int"),
        ({"a": 1}, "Got dict"),
        (["a", None, "b"], "X, row 1: expected a str, found a missing value"),
        (["a", "b", float("nan")], "X, row 2: .* found a missing value"),
        ([["a", "b"]], "X, row 0: .* found list"),
        (np.eye(2), "X, row 0: .* found ndarray"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
def test_bad_texts_are_named(texts, words, method):
    vectorizer = TfidfVectorizer().fit(TEXTS)
    with pytest.raises(InputTypeError, match=words):
        getattr(vectorizer, method)(texts)


@pytest.mark.parametrize("texts", [[], iter(())])
def test_nothing_to_learn_from(texts):
    with pytest.raises(InputError, match="X is empty"):
        TfidfVectorizer().fit(texts)


def test_no_feature_left():
    with pytest.raises(InputError, match=r"X.*min_df=2"):
        TfidfVectorizer(min_df=2).fit(["one", "two"])
    with pytest.raises(InputError, match="they have 0 n-grams"):
        TfidfVectorizer().fit(["", "?!"])


def test_failed_fit_leaves_the_old_model():
    vectorizer = TfidfVectorizer().fit(TEXTS)
    before = vectorizer.transform(TEXTS)
    with pytest.raises(InputTypeError):
        vectorizer.fit(["a", None])
    assert_same_rows(vectorizer.transform(TEXTS), before)


def test_scikit_learn_conventions():
    vectorizer = TfidfVectorizer(word_ngrams=[1, 2], min_df=np.int64(1))
    copied = clone(vectorizer).set_params(char_ngrams=(2, 3))
    assert copied.get_params()["char_ngrams"] == (2, 3)
    assert vectorizer.get_params() == {**copied.get_params(), "char_ngrams": None}
    with pytest.raises(ValueError, match="Invalid parameter 'ngrams'"):
        vectorizer.set_params(ngrams=2)
    with pytest.raises(NotFittedError):
        vectorizer.transform(TEXTS)
    with pytest.raises(NotFittedError):
        vectorizer.get_feature_names_out()
    tags = get_tags(vectorizer)
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert vectorizer.fit(TEXTS) is vectorizer
    assert set(constraints_of(TfidfVectorizer)) == set(vectorizer.get_params())


def test_works_in_pipelines_and_grid_search():
    y = np.arange(len(TEXTS)) % 2
    search = GridSearchCV(
        make_pipeline(TfidfVectorizer(), MultinomialNB()),
        {"tfidfvectorizer__char_ngrams": [None, (2, 3)]},
        cv=2,
    )
    search.fit(TEXTS, y)
    assert len(search.predict(["pain", ""])) == 2
    assert make_pipeline(TfidfVectorizer(), TruncatedSVD(2)).fit_transform(TEXTS).shape == (len(TEXTS), 2)
