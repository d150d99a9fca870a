"""Labels that rows may and must not get, in the core: against the twin, whose tree has no other nodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.test_tree_search import assert_same, draw_rows, draw_tree, rows_of

from ceiba._native import core
from ceiba.reference.search import Searcher as Twin
from ceiba.retrieval.ranked import Ranked

patient = settings(deadline=None, max_examples=60)


class Search:
    """The core's search of trees, scores in (0, 1]."""

    def __init__(self, trees, n_labels):
        parts = [
            {
                "features": layers[0].n_features,
                "layers": [layer.for_core() for layer in layers],
                "slot_label": slots,
            }
            for layers, slots in trees
        ]
        self.core = core.Searcher(parts, n_labels)

    def top_k(self, X, k, beam, denied=None, allowed=None, threads=1):
        found = self.core.top_k(*X.arrays(), beam, k or 0, 2, denied, threads, None, False, allowed=allowed)
        return Ranked(*found[:3])


def lists(rows):
    ptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return ptr, np.concatenate([*rows, []]).astype(np.int32)


def draw_labels(rng, n_labels):
    share = rng.choice([0, 0.1, 0.5, 0.95, 1])
    return np.flatnonzero(rng.random(n_labels) < share).astype(np.int32)


def draw_filter(rng, n_labels, n_rows, kind):
    if kind == "none":
        return None
    if kind == "all":
        return draw_labels(rng, n_labels)
    return lists([draw_labels(rng, n_labels) for _ in range(n_rows)])


KINDS = st.sampled_from(["none", "all", "each"])


@patient
@given(
    st.integers(1, 90), st.integers(1, 3), st.booleans(), st.integers(1, 9), st.sampled_from([2, 40]), KINDS, KINDS,
    st.sampled_from([3, None]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_filters_are_those_of_the_twin(n_labels, n_trees, overlap, beam, n_rows, denied, allowed, k, seed):
    rng = np.random.default_rng(seed)
    trees = [draw_tree(rng, n_labels, overlap=overlap) for _ in range(n_trees)]
    X = draw_rows(rng, n_rows)
    denied, allowed = (draw_filter(rng, n_labels, n_rows, kind) for kind in (denied, allowed))
    found = Search(trees, n_labels).top_k(X, k, beam, denied, allowed)
    assert_same(found, Twin(trees, n_labels, "l3-hinge").top_k(X, k, beam, filter=denied, allowed=allowed))


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("n_rows", [3, 20])
@pytest.mark.parametrize("each", [False, True])
def test_of_many_allowed_labels_the_beam_is_chosen_among_nodes_above_them(n_trees, n_rows, each):
    rng = np.random.default_rng(n_rows)
    trees = [draw_tree(rng, 2000, leaf=10, n_features=20) for _ in range(n_trees)]
    X = draw_rows(rng, n_rows, n_features=20)
    allowed = np.flatnonzero(rng.random(2000) < 0.6).astype(np.int32)
    assert len(allowed) > 1000
    given = lists([allowed] * n_rows) if each else allowed
    found = Search(trees, 2000).top_k(X, 10, 3, allowed=given)
    assert_same(found, Twin(trees, 2000, "l3-hinge").top_k(X, 10, 3, allowed=given))
    assert set(found.ids.tolist()) <= set(allowed.tolist())


@pytest.mark.parametrize("n_trees", [1, 3])
def test_lists_for_all_rows_are_those_for_each_bit_for_bit(n_trees):
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, 120, overlap=True) for _ in range(n_trees)]
    X, search = draw_rows(rng, 30), Search(trees, 120)
    for share in (0.05, 0.5, 0.99):
        labels = np.flatnonzero(rng.random(120) < share).astype(np.int32)
        each = lists([labels] * 30)
        for name in ("allowed", "denied"):
            for threads in (1, 2):
                of_all = search.top_k(X, 7, 3, **{name: labels}, threads=threads)
                of_each = search.top_k(X, 7, 3, **{name: each})
                assert all((mine == theirs).all() for mine, theirs in zip(of_all, of_each, strict=True))


def test_allowed_labels_have_the_scores_and_the_order_of_a_full_search():
    rng = np.random.default_rng(1)
    trees = [draw_tree(rng, 300, overlap=True) for _ in range(2)]
    X, search = draw_rows(rng, 25), Search(trees, 300)
    whole = rows_of(search.top_k(X, None, 10**6))
    allowed = [rng.choice(300, size, replace=False) for size in rng.integers(0, 40, 25)]
    found = rows_of(search.top_k(X, 5, 1, allowed=lists([np.sort(row) for row in allowed])))
    for row, labels in enumerate(found):
        expected = {label: score for label, score in whole[row].items() if label in allowed[row]}
        assert list(labels.items()) == list(expected.items())[:5]


def test_no_label_allowed_is_no_answer():
    rng = np.random.default_rng(2)
    search, X = Search([draw_tree(rng, 30)], 30), draw_rows(rng, 20)
    none = np.empty(0, np.int32)
    assert len(search.top_k(X, 5, 3, allowed=none).ids) == 0
    assert len(search.top_k(X, 5, 3, denied=np.arange(30, dtype=np.int32)).ids) == 0
    assert len(search.top_k(X, 5, 3, allowed=np.array([4], np.int32), denied=lists([[4]] * 20)).ids) == 0


@pytest.mark.parametrize("name", ["allowed", "denied"])
def test_lists_that_do_not_fit_are_refused(name):
    rng = np.random.default_rng(3)
    search, X = Search([draw_tree(rng, 30)], 30), draw_rows(rng, 4)
    for bad in (np.array([30], np.int32), np.array([-1], np.int32), lists([[1]] * 3)):
        with pytest.raises(ValueError, match=name):
            search.top_k(X, 5, 3, **{name: bad})
    with pytest.raises(ValueError):
        search.top_k(X, 5, 3, **{name: lists([[1], [2], [3], [30]])})
