"""Scores of a search blended with cosines between embeddings, against the same from whole matrices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searching import FusedSearcher, Searching

from ceiba import XRLinear
from ceiba._native import core
from ceiba.features.matrix import EMBEDDING, as_features
from ceiba.reference import search as reference
from ceiba.retrieval.ranked import Ranked

N, L, D = 60, 20, 6
ALL = 20  # a beam of all nodes
WEIGHT = 0.5


@pytest.fixture(params=["l3-hinge", "log-l3-hinge"])
def model_and_cosine(request, make_problem):
    """Return a model, its features with an embedding at the end, and embeddings of labels."""
    problem = make_problem(n=N, d=30, n_labels=L)
    rng = np.random.default_rng(1)
    dense, labels = (rng.normal(size=(n, D)).astype(np.float32) for n in (N, L))
    for rows in (dense, labels):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels[7] = 0  # neither a text nor texts
    X = as_features(problem.X).with_block(EMBEDDING, dense)
    model = XRLinear(branching_factor=3, max_leaf_size=4, combine=request.param).fit(X, problem.Y)
    return model, X, dense, labels


@pytest.fixture(params=[False, True], ids=["reached", "everywhere"])
def searched(request, model_and_cosine):
    """Return the model, its features, a searcher, and a function of a beam that gives the scores of all labels."""
    model, X, dense, labels = model_and_cosine
    logarithms = model.combine.startswith("log-")
    searcher = FusedSearcher(
        Searching(model.model_.tree_search, model.combine), labels, WEIGHT, everywhere=request.param
    )

    def expected(beam):
        reached = model.decision_function(X, beam_size=beam)
        own = np.zeros((N, L), np.float32)
        row = np.repeat(np.arange(N), np.diff(reached.indptr))
        own[row, reached.indices] = np.exp(reached.data) if logarithms else reached.data
        mixed = (own + WEIGHT * np.maximum(dense @ labels.T, 0)) / (1 + WEIGHT)
        return mixed if request.param else np.where(own > 0, mixed, 0)

    return model, X, searcher, expected


def plain(model, scores):
    return np.exp(scores) if model.combine.startswith("log-") else scores


@pytest.mark.parametrize("beam", [1, ALL])
@pytest.mark.parametrize("cells", [2**24, 7])
def test_scores_are_those_of_both(searched, beam, cells, monkeypatch):
    monkeypatch.setattr("ceiba.retrieval.score_fusion._CELLS", cells)  # of several parts, too
    monkeypatch.setattr("ceiba.retrieval.score_fusion._ROWS", min(cells, 4096))
    model, X, searcher, expected = searched
    whole = expected(beam)
    ids, scores = searcher.rank(X, 5, beam)
    best = -np.sort(-whole, axis=1)[:, :5]
    assert (ids >= 0).sum() == (best > 0).sum()
    np.testing.assert_allclose(plain(model, scores), np.where(best > 0, best, plain(model, -np.inf)), rtol=1e-5)
    found = np.where(ids >= 0, np.take_along_axis(whole, np.maximum(ids, 0), axis=1), 0)
    np.testing.assert_allclose(found, best, rtol=1e-5)
    few = searcher.top_k(X, 5, beam)
    assert (few.ids == ids[ids >= 0]).all()
    everything = searcher.top_k(X, None, beam)
    assert (np.diff(everything.ptr) == (whole > 0).sum(axis=1)).all()


def test_given_labels_have_the_same_scores(searched):
    _, X, searcher, _ = searched
    ids, scores = searcher.rank(X, 5, ALL)
    given = searcher.score_labels(X, np.arange(0, 5 * N + 1, 5), ids.ravel().astype(np.int32))
    np.testing.assert_allclose(given.reshape(scores.shape), scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows", [4096, 7])
def test_filtered_labels_are_left_out_of_both(searched, rows, monkeypatch):
    monkeypatch.setattr("ceiba.retrieval.score_fusion._ROWS", rows)
    _, X, searcher, _ = searched
    ids, _ = searcher.rank(X, 2, ALL)
    told = []
    again, _ = searcher.rank(X, 2, ALL, filter=(np.arange(N + 1), ids[:, 0].copy()), progress=told.append)
    assert told == [*range(rows, N, rows), N]
    assert not (again == ids[:, :1]).any()
    assert (again[:, 0] == ids[:, 1]).all()


@pytest.mark.parametrize("each", [False, True])
def test_only_allowed_labels_are_ranked(searched, each):
    _, X, searcher, _ = searched
    labels = np.arange(3, L, 2, dtype=np.int32)
    allowed = (np.arange(N + 1) * len(labels), np.tile(labels, N)) if each else labels
    whole, found = searcher.top_k(X, None, ALL), searcher.top_k(X, None, ALL, allowed=allowed)
    kept = np.isin(whole.ids, labels)
    assert (found.ids == whole.ids[kept]).all()
    np.testing.assert_allclose(found.scores, whole.scores[kept], rtol=1e-6)


def test_nothing_reached():
    class Nothing:
        def candidates(self, Q, *_, **__):
            return Ranked(np.zeros(Q.n_rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))

    X = as_features(np.eye(2, dtype=np.float32)).with_block(EMBEDDING, np.ones((2, 1), np.float32))
    searcher = FusedSearcher(Searching(Nothing(), "l3-hinge"), np.ones((3, 1), np.float32), 1.0, everywhere=False)
    ids, scores = searcher.rank(X, 2, 1)
    assert (ids == -1).all()
    assert (scores == -np.inf).all()


@given(st.integers(0, 10_000), st.integers(0, 70), st.integers(0, 40))
@settings(deadline=None)
def test_inner_products_are_their_definition_for_any_number_of_threads(seed, width, n):
    rng = np.random.default_rng(seed)
    left, right = (rng.normal(size=(rows, width)).astype(np.float32) for rows in (n, L))
    ptr = np.concatenate([[0], np.cumsum(rng.integers(0, 6, n))]).astype(np.int64)
    items = rng.integers(0, L, int(ptr[-1])).astype(np.int32)
    found = core.inner_products(left, right, ptr, items, 1)
    np.testing.assert_allclose(found, reference.inner_products(left, right, ptr, items), rtol=1e-5, atol=1e-4)
    assert (core.inner_products(left, right, ptr, items, 3) == found).all()
