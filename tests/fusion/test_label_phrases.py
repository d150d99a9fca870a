"""Phrases of labels in texts: the core's are those of Python's strings."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.data.offsets import offsets
from ceiba.features.matrix import FeatureMatrix
from ceiba.fusion.pair_measures import LabelPhrases
from ceiba.reference.label_phrases import measure_phrases
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.queries import Queries

LETTERS = "aabss  é\u0301\u03a3\u0130\u1e9e\U00010400\ud800\u0915\u094d\u200d_0-\U0001f600\u00df"
TEXT = st.one_of(st.text(alphabet=LETTERS, max_size=12), st.text(max_size=8))


def queries(texts):
    n = len(texts)
    return Queries(FeatureMatrix(np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 1), texts)


def measured(label_texts, row_label, texts, ptr, labels, n_threads=1):
    phrases = LabelPhrases(label_texts, np.array(row_label, np.int32))
    ctx = SearchContext(n_threads=n_threads)
    pairs = np.array(ptr, np.int64), np.array(labels, np.int32)
    return phrases.measure(queries(texts), {}, *pairs, ctx=ctx)


def test_times_earliness_and_share():
    label_texts = ["Red apples", "red", "car"]
    found = measured(label_texts, [0, 1, 1], ["A red apple, a RED apple"], [0, 3], [0, 1, 7])
    whole = " a red apple a red apple "
    np.testing.assert_allclose(found[0, :3], [np.log1p(2), 1 - whole.index(" red") / len(whole), 1])
    np.testing.assert_allclose(found[1, 2], 1)  # of its best text
    assert (found[2] == 0).all()  # a label without a text


def test_phrases_do_not_share_a_space():
    assert measured(["a"], [0], ["a a a"], [0, 1], [0])[0, 0] == np.float32(np.log1p(2))
    assert measured(["a b"], [0], ["a b a b"], [0, 1], [0])[0, 0] == np.float32(np.log1p(1))


def test_without_texts_nothing_is_measured():
    phrases = LabelPhrases(["a"], np.array([0], np.int32))
    Q = Queries(queries(["a"]).features)
    found = phrases.measure(Q, {}, np.array([0, 1]), np.array([0], np.int32), ctx=SearchContext())
    assert found.shape == (1, len(phrases.columns))
    assert not found.any()


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, max_size=6), st.lists(TEXT, max_size=4), st.integers(1, 3))
def test_any_unicode_is_measured_as_by_the_twin(label_texts, texts, n_labels):
    row_label = np.sort(np.arange(len(label_texts), dtype=np.int32) % n_labels)
    ptr = offsets([n_labels] * len(texts))
    labels = np.tile(np.arange(n_labels, dtype=np.int32), len(texts))
    expected = measure_phrases(label_texts, row_label, texts, ptr, labels)
    assert (measured(label_texts, row_label, texts, ptr, labels) == expected).all()


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(0)
    words = [f"{a}{b}s" for a in "abcde" for b in "xyz"]
    texts = [" ".join(rng.choice(words, rng.integers(0, 40))) for _ in range(300)]
    label_texts = [" ".join(rng.choice(words, rng.integers(1, 3))) for _ in range(40)]
    row_label = np.arange(40, dtype=np.int32)
    ptr, labels = offsets([40] * 300), np.tile(row_label, 300)
    expected = measured(label_texts, row_label, texts, ptr, labels)
    assert expected.any(axis=0).all()
    assert (measured(label_texts, row_label, texts, ptr, labels, n_threads=3) == expected).all()
    some = slice(0, 40 * 20)
    twin = measure_phrases(label_texts, row_label, texts[:20], ptr[:21], labels[some])
    assert (expected[some] == twin).all()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copies_measure_the_same(again):
    phrases = LabelPhrases(["a red apple"], np.array([0], np.int32))
    given = queries(["red"]), {}, np.array([0, 1]), np.array([0], np.int32)
    assert (again(phrases).measure(*given, ctx=SearchContext()) == phrases.measure(*given, ctx=SearchContext())).all()
