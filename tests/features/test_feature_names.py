"""A single feature's name is that of get_feature_names_out, before and after a model is saved."""

import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

import ceiba
from ceiba.features.feature_names import namer
from ceiba.features.tfidf import TfidfVectorizer

TEXTS = ["Burned hand on hot stove", "A cat's bite in Köln", "hand in hand"] * 3


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"word_ngrams": (1, 2), "char_ngrams": (3, 4)},
        {"hash_features": 64},
        {"hash_features": 64, "char_ngrams": (3, 3)},
    ],
)
def test_names_are_those_of_all_features(parameters, tmp_path):
    model = ceiba.XRLinear(vectorizer=TfidfVectorizer(**parameters), n_jobs=1)
    model.fit(TEXTS, [["a"], ["b"], ["c"]] * 3).save(tmp_path / "model")
    for vectorizer in (model.vectorizer_, ceiba.load(tmp_path / "model").vectorizer_):
        name = namer(vectorizer)
        names = vectorizer.get_feature_names_out().tolist()
        assert [name(column) for column in range(len(names))] == names


def test_vectorizers_of_others():
    vectorizer = CountVectorizer().fit(TEXTS)
    assert namer(vectorizer)(0) == vectorizer.get_feature_names_out()[0]
    assert namer(HashingVectorizer()) is None
    assert namer(None) is None
