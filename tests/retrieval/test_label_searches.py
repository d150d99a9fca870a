"""Labels found by terms, by embeddings that a map moves, and by both together."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features
from ceiba.retrieval.blended_search import BlendedSearch
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.label_terms import LabelTerms, label_term_rows, text_term_rows
from ceiba.retrieval.mapped_search import MappedSearch, fit_query_map
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.sparse_index import SparseIndex

CTX = SearchContext()
STEMS = np.array([0, 0, 1, 2, 2, 3], np.int32)


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def word_rows(rows):
    return as_features(sp.csr_array(unit(np.asarray(rows, np.float32))), allow_empty=True)


def terms(rows, row_label=None):
    X = word_rows(rows)
    label = np.arange(X.n_rows, dtype=np.int32) if row_label is None else np.asarray(row_label, np.int32)
    return LabelTerms(SparseIndex(label_term_rows(X, STEMS)), label, STEMS, name="label-terms")


def all_pairs(n_rows, n_labels):
    return np.arange(n_rows + 1) * n_labels, np.tile(np.arange(n_labels, dtype=np.int32), n_rows)


def test_scores_of_terms_are_cosines_and_shares_of_words_and_stems():
    rng = np.random.default_rng(0)
    texts, labels = rng.random((7, 6)) * (rng.random((7, 6)) < 0.6), rng.random((5, 6)) * (rng.random((5, 6)) < 0.5)
    texts[0] = 0
    merge = np.zeros((6, 4))
    merge[np.arange(6), STEMS] = 1
    expected = np.zeros((7, 5))
    for Q, L in ((unit(texts), unit(labels)), (unit(unit(texts) @ merge), unit(unit(labels) @ merge))):
        expected += 0.5 * Q @ L.T + 0.1 * (Q > 0) @ (L**2).T
    search, Q = terms(labels), Queries(word_rows(texts))
    scores = search.score(Q, *all_pairs(7, 5), ctx=CTX).reshape(7, 5)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    ranked = search.candidates(Q, 5, ctx=CTX)
    np.testing.assert_allclose(ranked.scores, expected[ranked.rows, ranked.ids], atol=1e-5)
    assert search.explain(Queries(word_rows(texts[3:4])), 2, ctx=CTX).score == pytest.approx(expected[3, 2], abs=1e-5)


def test_a_label_of_several_texts_has_the_score_of_the_best():
    search = terms([[1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]], [0, 0, 1])
    ranked = search.candidates(Queries(word_rows([[0, 0, 1, 0.2, 0, 0]])), 3, ctx=CTX)
    assert ranked.ids.tolist() == [0, 1]
    assert ranked.scores[0] == search.score(Queries(word_rows([[0, 0, 1, 0.2, 0, 0]])), *all_pairs(1, 1), ctx=CTX)[0]


def test_a_label_that_a_text_names_is_before_one_of_a_higher_cosine_that_it_names_in_part():
    Q = Queries(word_rows([[0.8, 0, 0.3, 0, 0, 0.5]]))
    in_part, whole = [0.5, 0, 0, 0, 0.87, 0], [0, 0, 1, 0, 0, 0]
    assert (Q.features.sparse() @ np.array([in_part, whole]).T)[0].argmax() == 0
    assert terms([in_part, whole]).candidates(Q, 2, ctx=CTX).ids.tolist() == [1, 0]


def test_columns_of_text_and_label_rows_are_the_same():
    X = word_rows([[1, 0, 0, 2, 0, 0]])
    assert text_term_rows(Queries(X), STEMS).n_sparse == label_term_rows(X, STEMS).n_sparse == 2 * (6 + 4)


def turned(n, d=6, seed=0):
    """Return embeddings of texts, and of labels that a rotation is between."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    labels = unit(rng.normal(size=(40, d))).astype(np.float32)
    own = rng.integers(0, 30, n)
    texts = unit(labels[own] @ rotation + 0.05 * rng.normal(size=(n, d))).astype(np.float32)
    Y = sp.csr_array((np.ones(n, np.float32), (np.arange(n), own)), shape=(n, 40))
    return texts, labels, Y, rotation


def test_a_map_learned_from_some_labels_finds_labels_without_training_texts():
    texts, labels, Y, rotation = turned(800)
    search = DenseLabels(labels, name="label-embeddings")
    mapped = MappedSearch(search, fit_query_map(texts, Y, labels), name="mapped")
    new = np.arange(30, 40)
    asked = Queries(FeatureMatrix.from_block(EMBEDDING, (labels[new] @ rotation).astype(np.float32)))
    assert (mapped.candidates(asked, 1, ctx=CTX).ids == new).mean() > 0.9
    assert (search.candidates(asked, 1, ctx=CTX).ids == new).mean() < 0.5


def test_a_map_of_few_texts_leaves_embeddings_where_they_are():
    texts, labels, Y, _ = turned(2)
    np.testing.assert_allclose(fit_query_map(texts, Y, labels), np.eye(6), atol=0.1)
    np.testing.assert_allclose(fit_query_map(texts[:0], Y[:0], labels), np.eye(6), atol=1e-6)


def test_labels_without_a_text_do_not_count_for_the_map():
    texts, labels, Y, _ = turned(300)
    without = labels.copy()
    without[:10] = 0
    rows = np.flatnonzero(Y.indices >= 10)
    np.testing.assert_allclose(
        fit_query_map(texts, Y, without), fit_query_map(texts[rows], sp.csr_array(Y[rows]), labels), atol=1e-5
    )


def test_one_text_and_many_have_the_same_mapped_scores():
    texts, labels, Y, _ = turned(300)
    mapped = MappedSearch(DenseLabels(labels, name="e"), fit_query_map(texts, Y, labels), name="mapped")
    many = mapped.score(Queries(FeatureMatrix.from_block(EMBEDDING, texts)), *all_pairs(300, 40), ctx=CTX)
    for i in (0, 7, 299):
        one = Queries(FeatureMatrix.from_block(EMBEDDING, texts[i : i + 1]))
        np.testing.assert_array_equal(mapped.score(one, *all_pairs(1, 40), ctx=CTX), many[40 * i : 40 * (i + 1)])


def test_a_blend_ranks_by_the_sum_and_finds_what_no_part_ranks_first():
    rng = np.random.default_rng(3)
    words, dense = rng.random((30, 6)), unit(rng.normal(size=(30, 4))).astype(np.float32)
    words[0], dense[0] = [1, 0, 1, 0, 0, 0], unit(np.array([[1.0, 0.5, 0, 0]]))
    words[1], dense[1] = [1, 0, 0, 1, 0, 0], unit(np.array([[-1.0, 0, 0, 0]]))
    words[2], dense[2] = [0, 0, 0, 0, 0, 1], unit(np.array([[1.0, 0, 0, 0]]))
    dense[3:, 0] = -np.abs(dense[3:, 0])
    Q = Queries(word_rows([[1, 0, 0.4, 0.6, 0, 0]]).with_block(EMBEDDING, np.array([[1, 0, 0, 0]], np.float32)))
    parts = terms(words), DenseLabels(dense, name="embeddings")
    blend = BlendedSearch(parts, (1.0, 1.5), 30, depth=30, name="label-blend")
    ranked = blend.candidates(Q, 4, ctx=CTX)
    assert ranked.ids[0] == 0
    assert all(part.candidates(Q, 1, ctx=CTX).ids[0] != 0 for part in parts)
    both = [part.score(Q, *all_pairs(1, 30), ctx=CTX) for part in parts]
    np.testing.assert_allclose(ranked.scores, np.sort(both[0] + 1.5 * both[1])[::-1][:4], rtol=1e-5)
    evidence = blend.explain(Q, 0, ctx=CTX)
    assert evidence.score == pytest.approx(ranked.scores[0], abs=1e-5)
    assert set(evidence.details) == {"label-terms", "embeddings"}
    for n in (1, 2, 20):
        np.testing.assert_array_equal(blend.candidates(Q, n, ctx=CTX).ids, blend.candidates(Q, 30, ctx=CTX).ids[:n])
