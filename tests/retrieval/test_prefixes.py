"""A ranking of k labels is the beginning of every longer one, and a label's score does not depend on k."""

import copy

import numpy as np
import pytest
from benchmarks.synthetic import generate
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.test_tree_search import assert_same, draw_rows, draw_tree
from tests.searching import FusedSearcher, TreeSearcher

from ceiba import XRLinear
from ceiba.features.matrix import EMBEDDING
from ceiba.linear.nodes import ALL_NODES, COMBINE_NAMES
from ceiba.reference.search import Searcher as Twin
from ceiba.retrieval import score_fusion

N_LABELS = 80


def begins(longer, shorter):
    """Assert that a pair of (labels, scores) is the beginning of another, bit for bit."""
    for short, long in zip(shorter, longer, strict=True):
        np.testing.assert_array_equal(short, long[:, : short.shape[1]])


def padded(ranked, width):
    ids = np.full((len(ranked.ptr) - 1, width), -1, np.int32)
    scores = np.full(ids.shape, -np.inf, np.float32)
    for row, (begin, end) in enumerate(zip(ranked.ptr, ranked.ptr[1:], strict=False)):
        ids[row, : end - begin], scores[row, : end - begin] = ranked.ids[begin:end], ranked.scores[begin:end]
    return ids, scores


def draw_filter(rng, n_rows):
    rows = [np.sort(rng.choice(N_LABELS, rng.integers(0, 9), replace=False)) for _ in range(n_rows)]
    return np.cumsum([0, *map(len, rows)]).astype(np.int64), np.concatenate(rows).astype(np.int32)


@settings(deadline=None, max_examples=150)
@given(
    n_trees=st.integers(1, 4),
    overlap=st.booleans(),
    combine=st.sampled_from(COMBINE_NAMES),
    beam=st.sampled_from([1, 2, 4, 10, ALL_NODES]),
    filtered=st.booleans(),
    n_rows=st.sampled_from([1, 3, 40]),
    seed=st.integers(0, 2**32 - 1),
)
def test_k_best_begin_every_longer_ranking(n_trees, overlap, combine, beam, filtered, n_rows, seed):
    rng = np.random.default_rng(seed)
    trees = [draw_tree(rng, N_LABELS, leaf=4 + 3 * t, branching=2 + t, overlap=overlap) for t in range(n_trees)]
    X = draw_rows(rng, n_rows)
    filter = draw_filter(rng, n_rows) if filtered else None
    searcher = TreeSearcher(trees, N_LABELS, combine)
    whole = padded(searcher.top_k(X, None, beam, filter=filter), N_LABELS)
    for k in (1, 2, 5, 17, N_LABELS):
        found = searcher.rank(X, k, beam, filter=filter, n_threads=2)
        begins(whole, found)
        single = [searcher.rank(X.part(i, i + 1), k, beam, filter=part_of(filter, i)) for i in range(n_rows)]
        begins(found, [np.concatenate(part) for part in zip(*single, strict=True)])
    expected = Twin(trees, N_LABELS, combine).top_k(X, 5, beam, filter=filter)
    assert_same(searcher.top_k(X, 5, beam, filter=filter), expected)


def part_of(filter, row):
    if filter is None:
        return None
    begin, end = filter[0][row : row + 2]
    return np.array([0, end - begin]), filter[1][begin:end]


def test_ties_of_a_mean_go_by_label():
    """Trees without weights give all labels the same score; the lowest come first for any k."""
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, N_LABELS, density=0.0, leaf=leaf) for leaf in (4, 7)]
    for layers, _ in trees:
        for layer in layers:
            layer.arrays["bias"][:] = 0
    searcher, X = TreeSearcher(trees, N_LABELS, "l3-hinge"), draw_rows(rng, 20)
    for k in (1, 3, N_LABELS):
        found = searcher.rank(X, k, 4)
        begins(searcher.rank(X, N_LABELS, 4), found)
        for ids, scores in zip(*found, strict=True):
            assert np.lexsort((ids, -scores)).tolist() == list(range(k)) or (ids == -1).any()


@pytest.mark.parametrize("combine", COMBINE_NAMES)
@pytest.mark.parametrize("n_trees", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_a_least_score_leaves_out_what_is_below(combine, n_trees, share):
    rng = np.random.default_rng(n_trees)
    trees = [draw_tree(rng, N_LABELS, leaf=4 + t, overlap=t == 1) for t in range(n_trees)]
    searcher, X = TreeSearcher(trees, N_LABELS, combine), draw_rows(rng, 40)
    whole = searcher.top_k(X, None, 5)
    least = np.quantile(whole.scores, share)
    found = searcher.top_k(X, None, 5, least=least, n_threads=2)
    kept = whole.scores >= least
    np.testing.assert_array_equal(found.ids, whole.ids[kept])
    np.testing.assert_array_equal(found.scores, whole.scores[kept])
    row = np.repeat(np.arange(40), np.diff(whole.ptr))[kept]
    np.testing.assert_array_equal(np.diff(found.ptr), np.bincount(row, minlength=40))


@pytest.fixture(scope="module")
def three_trees():
    """Return three trees and 2,500 rows of a set with a long tail of labels."""
    problem = generate(400, 1500, n_test=2500, seed=3)
    model = XRLinear(n_trees=3, max_leaf_size=20, n_jobs=1).fit(problem.X, problem.Y)
    return model, problem.X_test


@pytest.mark.parametrize("beam", [2, 10])
def test_three_trees_on_many_rows(three_trees, beam):
    model, X = three_trees
    longest = model.predict_topk(X, k=400, beam_size=beam)
    for k in (1, 5, 50):
        begins(longest, model.predict_topk(X, k=k, beam_size=beam))
    whole = model.decision_function(X, beam_size=beam)
    labels, scores = longest
    assert (np.diff(whole.indptr) == (scores > -np.inf).sum(axis=1)).all()
    row, place = np.nonzero(scores > -np.inf)
    column = labels[row, place].astype(int)
    np.testing.assert_array_equal(whole[row, column], scores[row, place])


def test_three_trees_in_many_threads_and_one_by_one(three_trees):
    model, X = three_trees
    expected = model.predict_topk(X, k=5)
    begins(clone_with(model, n_jobs=3).predict_topk(X, k=5), expected)
    for row in range(200):
        begins([part[[row]] for part in expected], model.predict_topk(X[[row]], k=5))


def clone_with(model, **params):
    other = copy.copy(model)
    return other.set_params(**params)


def draw_cosines(rng, n_rows, dim=6):
    """Return unit embeddings of rows and labels, some of labels being 0 or equal."""
    rows, labels = (rng.normal(size=(n, dim)).astype(np.float32) for n in (n_rows, N_LABELS))
    labels[::9] = labels[0]
    for embeddings in (rows, labels):
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels[::7] = 0
    return rows, labels


@settings(deadline=None, max_examples=60)
@given(
    n_trees=st.integers(1, 3),
    everywhere=st.booleans(),
    combine=st.sampled_from(["l3-hinge", "log-sigmoid"]),
    beam=st.sampled_from([1, 4, ALL_NODES]),
    n_candidates=st.sampled_from([1, 4, 20, 200]),
    filtered=st.booleans(),
    n_rows=st.sampled_from([1, 30]),
    seed=st.integers(0, 2**32 - 1),
)
def test_rankings_with_cosines_begin_longer_ones(
    n_trees, everywhere, combine, beam, n_candidates, filtered, n_rows, seed
):
    rng = np.random.default_rng(seed)
    dense, labels = draw_cosines(rng, n_rows)
    trees = [draw_tree(rng, N_LABELS, n_features=46, leaf=4 + 3 * t) for t in range(n_trees)]
    X = draw_rows(rng, n_rows).with_block(EMBEDDING, dense)
    filter = draw_filter(rng, n_rows) if filtered else None
    search = TreeSearcher(trees, N_LABELS, combine)
    searcher = FusedSearcher(search, labels, 0.7, everywhere=everywhere)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_fusion, "N_CANDIDATES", n_candidates)
        longest = searcher.rank(X, N_LABELS, beam, filter=filter)
        for k in (1, 3, 5, 17, 60):
            begins(longest, searcher.rank(X, k, beam, filter=filter, n_threads=2))
            begins(longest, padded(searcher.top_k(X, k, beam, filter=filter), k))
        whole = searcher.top_k(X, None, beam, filter=filter)
        for row, (begin, end) in enumerate(zip(whole.ptr, whole.ptr[1:], strict=False)):
            np.testing.assert_array_equal(whole.ids[begin:end], longest[0][row, : end - begin])
            np.testing.assert_array_equal(whole.scores[begin:end], longest[1][row, : end - begin])
        least = float(np.quantile(whole.scores, 0.7)) if len(whole.scores) else 0.0
        found = searcher.top_k(X, None, beam, filter=filter, least=least)
        np.testing.assert_array_equal(found.ids, whole.ids[whole.scores >= np.float32(least)])
    expected = mixed_scores(search, X, dense, labels, everywhere, beam, n_candidates, filter)
    ids, scores = longest
    if combine.startswith("log-"):
        scores = np.exp(scores)
    for row in range(n_rows):
        found = dict(zip(ids[row][ids[row] >= 0].tolist(), scores[row].tolist(), strict=False))
        assert found.keys() == {label for label in range(N_LABELS) if expected[row, label] > 0}
        for label, score in found.items():
            assert score == pytest.approx(expected[row, label], rel=1e-4, abs=1e-6)


def mixed_scores(search, X, dense, labels, everywhere, beam, n_candidates, filter):
    """Return the scores of all labels by the definition, from whole matrices."""
    reached = search.top_k(X, None, beam, filter=filter)
    expected = 0.7 * np.maximum(dense @ labels.T, 0) / 1.7 if everywhere else np.zeros((X.n_rows, N_LABELS))
    for row, (begin, end) in enumerate(zip(reached.ptr, reached.ptr[1:], strict=False)):
        for place, (label, score) in enumerate(zip(reached.ids[begin:end], reached.scores[begin:end], strict=True)):
            own = np.exp(score) if search.logarithms else score
            near = max(0, dense[row] @ labels[label]) if everywhere or place < n_candidates else 0
            expected[row, label] = (own + 0.7 * near) / 1.7
        if filter is not None:
            expected[row, part_of(filter, row)[1]] = 0
    return expected
