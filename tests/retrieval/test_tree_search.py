"""Beam search against scoring everything."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searching import TreeSearcher

from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features
from ceiba.linear.nodes import ALL_NODES, COMBINE, COMBINE_NAMES
from ceiba.reference.search import Searcher as Twin
from ceiba.reference.weights import pack
from ceiba.tree.clustering import tree_shape

patient = settings(deadline=None, max_examples=60)


def draw_tree(rng, n_labels, *, n_features=40, branching=4, leaf=5, weight_dtype="float32", density=0.4, overlap=False):
    """Draw a tree with random weights: a trained one would look no different to the search."""
    child_ptrs = tree_shape(n_labels, branching, leaf)
    slots = rng.permutation(n_labels)
    if overlap:  # some labels stand in the next cluster, too
        clusters = [list(part) for part in np.split(slots, child_ptrs[-1][1:-1])]
        for here, following in zip(clusters, clusters[1:] + clusters[:1], strict=True):
            following += [label for label in here[:2] if label not in following]
        child_ptrs[-1] = np.concatenate([[0], np.cumsum([len(part) for part in clusters])])
        slots = np.concatenate(clusters)
    layers = []
    for ptr in child_ptrs:
        shape = (n_features, int(ptr[-1]))
        W = rng.normal(size=shape) * (rng.random(shape) < density)
        layers.append(pack(W, rng.normal(size=shape[1]) - 0.5, ptr, weight_dtype))
    return layers, slots.astype(np.int32)


def draw_rows(rng, n, n_features=40, density=0.3):
    rows = rng.normal(size=(n, n_features)) * (rng.random((n, n_features)) < density)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return as_features(sp.csr_array(rows.astype(np.float32)))


def rows_of(ranked):
    return [
        dict(zip(ids.tolist(), scores.tolist(), strict=True))
        for ids, scores in zip(
            np.split(ranked.ids, ranked.ptr[1:-1]), np.split(ranked.scores, ranked.ptr[1:-1]), strict=True
        )
    ]


def assert_same(found, expected):
    """Compare results; labels whose scores differ by no more than rounding may swap places."""
    assert (found.ptr == expected.ptr).all()
    np.testing.assert_allclose(found.scores, expected.scores, rtol=2e-4, atol=1e-5)
    for mine, theirs in zip(rows_of(found), rows_of(expected), strict=True):
        if mine.keys() != theirs.keys():
            last = min(theirs.values())
            assert all(
                abs(score - last) < 1e-4 * (1 + abs(last)) for score in (mine | theirs).values() if score <= last
            )
        for label in mine.keys() & theirs.keys():
            assert mine[label] == pytest.approx(theirs[label], rel=2e-4, abs=1e-5)


def assert_ordered(ranked):
    for row in rows_of(ranked):
        scores = list(row.values())
        assert scores == sorted(scores, reverse=True)


@patient
@given(
    st.integers(1, 120),
    st.integers(2, 6),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from(COMBINE_NAMES),
    st.sampled_from(["float32", "float16", "float8"]),
    st.integers(0, 2**32 - 1),
)
def test_a_full_beam_is_exhaustive(n_labels, branching, leaf, overlap, combine, weight_dtype, seed):
    rng = np.random.default_rng(seed)
    tree = draw_tree(
        rng, n_labels, branching=branching, leaf=leaf, overlap=overlap, weight_dtype=weight_dtype, density=0.3
    )
    X = draw_rows(rng, 5)
    scores = Twin([tree], n_labels, combine).label_scores(X)
    found = TreeSearcher([tree], n_labels, combine).top_k(X, None, ALL_NODES)
    assert (np.diff(found.ptr) == n_labels).all()
    assert_ordered(found)
    for row, labels in enumerate(rows_of(found)):
        own = np.array([labels[label] for label in range(n_labels)])
        if combine.startswith("log-"):
            np.testing.assert_allclose(own, scores[row], rtol=1e-3, atol=1e-4)
        else:
            assert (own <= 1).all()
            assert (own >= 0).all()
            np.testing.assert_allclose(own, np.exp(scores[row]), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("combine", COMBINE_NAMES)
@pytest.mark.parametrize("beam_size", [1, 3, 10])
@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_the_beam_is_that_of_the_twin(weight_dtype, beam_size, combine):
    rng = np.random.default_rng(beam_size)
    tree = draw_tree(rng, 150, weight_dtype=weight_dtype, density=0.2)
    X = draw_rows(rng, 30)
    found = TreeSearcher([tree], 150, combine).top_k(X, 7, beam_size)
    assert_ordered(found)
    assert_same(found, Twin([tree], 150, combine).top_k(X, 7, beam_size))


@pytest.mark.parametrize("n_rows", [1, 15, 16, 40])
@pytest.mark.parametrize(
    "shape",
    [
        {"n_labels": 90, "density": 1.0},  # whole rows
        {"n_labels": 90, "density": 0.02},
        {"n_labels": 300, "leaf": 250, "density": 0.1},  # a bit per child, many children
        {"n_labels": 700, "leaf": 400, "density": 0.05},  # wide
        {"n_labels": 60, "leaf": 60},  # one level
        {"n_labels": 64, "branching": 2, "leaf": 1, "overlap": True},
        {"n_labels": 90, "overlap": True},
        {"n_labels": 40, "n_features": 70_000, "density": 0.002},
    ],
    ids=lambda shape: "-".join(f"{name}{value}" for name, value in shape.items()),
)
@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_every_layout_of_weights(shape, n_rows, weight_dtype):
    """Few rows are searched one by one, many chunk by chunk."""
    rng = np.random.default_rng(n_rows + 1)
    n_labels, n_features = shape["n_labels"], shape.get("n_features", 40)
    tree = draw_tree(rng, weight_dtype=weight_dtype, **shape)
    X = draw_rows(rng, n_rows, n_features, density=0.3 if n_features < 1000 else 0.003)
    found = TreeSearcher([tree], n_labels, "l3-hinge").top_k(X, 6, 3)
    assert_same(found, Twin([tree], n_labels, "l3-hinge").top_k(X, 6, 3))


@pytest.mark.parametrize("combine", ["l3-hinge", "sigmoid", "log-l2-hinge"])
@pytest.mark.parametrize("k", [1, 4, 50, None])
def test_several_trees_are_averaged(combine, k):
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, 60, leaf=4 + t, overlap=t == 2) for t in range(3)]
    X = draw_rows(rng, 25)
    found = TreeSearcher(trees, 60, combine).top_k(X, k, 4)
    assert_ordered(found)
    assert_same(found, Twin(trees, 60, combine).top_k(X, k, 4))


def test_a_label_in_several_clusters_comes_once_with_its_best_score():
    rng = np.random.default_rng(0)
    tree = draw_tree(rng, 50, leaf=4, overlap=True)
    X = draw_rows(rng, 20)
    found = TreeSearcher([tree], 50, "l3-hinge").top_k(X, None, ALL_NODES)
    best = Twin([tree], 50, "l3-hinge").label_scores(X)
    for row in range(20):
        ids = found.ids[found.ptr[row] : found.ptr[row + 1]]
        assert sorted(ids.tolist()) == list(range(50))
        np.testing.assert_allclose(
            found.scores[found.ptr[row] : found.ptr[row + 1]], np.exp(best[row, ids]), rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("k", [1, 3, 5, 40, 60])
@pytest.mark.parametrize("n_rows", [3, 40])
def test_labels_that_stand_in_every_cluster(k, n_rows):
    """The best 2k hits then hold fewer than k labels."""
    rng = np.random.default_rng(k)
    clusters, n_labels = 8, 60
    child_ptrs = [np.array([0, clusters]), np.arange(clusters + 1) * n_labels]
    layers = [pack(rng.normal(size=(40, ptr[-1])), rng.normal(size=ptr[-1]), ptr, "float32") for ptr in child_ptrs]
    # a label scores much the same in all clusters
    alike = np.tile(rng.normal(size=(40, n_labels)), clusters) + 0.01 * rng.normal(size=(40, clusters * n_labels))
    layers[1] = pack(alike, np.zeros(clusters * n_labels), child_ptrs[1], "float32")
    tree = layers, np.tile(np.arange(n_labels, dtype=np.int32), clusters)
    X = draw_rows(rng, n_rows)
    found = TreeSearcher([tree], n_labels, "l3-hinge").top_k(X, k, ALL_NODES)
    assert_ordered(found)
    assert (np.diff(found.ptr) == k).all()
    assert_same(found, Twin([tree], n_labels, "l3-hinge").top_k(X, k, ALL_NODES))


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("n_rows", [3, 40])
def test_filtered_labels_do_not_come(n_rows, n_trees, overlap):
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, 60, overlap=overlap) for _ in range(n_trees)]
    X = draw_rows(rng, n_rows)
    excluded = [np.flatnonzero(rng.random(60) < share) for share in rng.choice([0, 0.2, 0.9, 1], n_rows)]
    ptr = np.concatenate([[0], np.cumsum([len(part) for part in excluded])])
    filter = ptr, np.concatenate(excluded).astype(np.int32)
    found = TreeSearcher(trees, 60, "l3-hinge").top_k(X, 5, 4, filter=filter)
    for row, labels in enumerate(rows_of(found)):
        assert not labels.keys() & set(excluded[row].tolist())
    assert_same(found, Twin(trees, 60, "l3-hinge").top_k(X, 5, 4, filter=filter))


def test_a_filter_makes_room_for_the_next_labels():
    rng = np.random.default_rng(0)
    tree = draw_tree(rng, 60)
    X = draw_rows(rng, 10)
    searcher = TreeSearcher([tree], 60, "l3-hinge")
    whole = searcher.rank(X, 8, 4)[0]
    first = np.arange(11), np.ascontiguousarray(whole[:, 0])
    assert (searcher.rank(X, 7, 4, filter=first)[0] == whole[:, 1:]).all()


@pytest.mark.parametrize("combine", ["l3-hinge", "log-sigmoid"])
@pytest.mark.parametrize("n_rows", [1, 30])
def test_a_ranking_is_the_best_as_a_rectangle(n_rows, combine):
    rng = np.random.default_rng(0)
    tree, X = draw_tree(rng, 60), draw_rows(rng, n_rows)
    searcher = TreeSearcher([tree], 60, combine)
    ids, scores = searcher.rank(X, 6, 4)
    found = searcher.top_k(X, 6, 4)
    assert ids.ravel().tolist() == found.ids.tolist()
    assert scores.ravel().tolist() == found.scores.tolist()


def test_more_than_the_beam_reaches():
    rng = np.random.default_rng(0)
    tree = draw_tree(rng, 60, leaf=5)
    X = draw_rows(rng, 20)
    searcher = TreeSearcher([tree], 60, "l3-hinge")
    found = searcher.top_k(X, 1000, 1)
    assert (np.diff(found.ptr) <= 5).all()
    assert_same(found, searcher.top_k(X, None, 1))
    ids, scores = searcher.rank(X, 8, 1)
    assert ids.shape == scores.shape == (20, 8)
    assert (ids[:, 5:] == -1).all()
    assert np.isneginf(scores[:, 5:]).all()
    assert (ids[:, :3] >= 0).all()


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("n_rows", [3, 40])
def test_beams_of_nodes(depth, n_rows):
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, 150), draw_tree(rng, 150, leaf=9)]
    X = draw_rows(rng, n_rows)
    core, twin = TreeSearcher(trees, 150, "l3-hinge"), Twin(trees, 150, "l3-hinge")
    for tree in (0, 1):
        assert_same(core.nodes(X, depth, 4, tree=tree), twin.nodes(X, depth, 4, tree=tree))


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("n_trees", [1, 3])
@pytest.mark.parametrize("overlap", [False, True])
def test_scores_of_given_labels(overlap, n_trees, combine):
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, 60, overlap=overlap) for _ in range(n_trees)]
    X = draw_rows(rng, 300)
    candidates = [rng.integers(0, 60, rng.integers(0, 9)) for _ in range(300)]  # in any order, repeated
    ptr = np.concatenate([[0], np.cumsum([len(part) for part in candidates])])
    labels = np.concatenate(candidates).astype(np.int32)
    core = TreeSearcher(trees, 60, combine)
    scores = core.score_labels(X, ptr, labels)
    np.testing.assert_allclose(scores, Twin(trees, 60, combine).score_labels(X, ptr, labels), rtol=1e-3, atol=1e-6)
    for n_threads in (2, 3):
        assert (core.score_labels(X, ptr, labels, n_threads=n_threads) == scores).all()
    # and they are the scores of a search that reaches everything, bit for bit
    whole = rows_of(core.top_k(X, None, ALL_NODES))
    row = np.repeat(np.arange(300), np.diff(ptr))
    expected = [whole[i][label] for i, label in zip(row.tolist(), labels.tolist(), strict=True)]
    assert scores.tolist() == expected


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_a_batch_is_its_rows_bit_for_bit(weight_dtype, n_trees):
    rng = np.random.default_rng(0)
    trees = [
        draw_tree(rng, 200, leaf=30, density=density, weight_dtype=weight_dtype) for density in (0.1, 0.9)[:n_trees]
    ]
    X = draw_rows(rng, 150)
    searcher = TreeSearcher(trees, 200, "l3-hinge")
    whole = searcher.top_k(X, 5, 3)
    single = [searcher.top_k(as_features(X.to_scipy()[[row]]), 5, 3) for row in range(150)]
    assert whole.ids.tolist() == np.concatenate([part.ids for part in single]).tolist()
    assert whole.scores.tolist() == np.concatenate([part.scores for part in single]).tolist()


@pytest.mark.parametrize("n_trees", [1, 2])
def test_threads_do_not_change_a_bit(n_trees):
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, 200) for _ in range(n_trees)]
    X = draw_rows(rng, 500)
    searcher = TreeSearcher(trees, 200, "l3-hinge")
    results = [searcher.top_k(X, 5, 3, n_threads=n) for n in (1, 2, 3)]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_no_beam_finds_better_than_exhaustive_search():
    rng = np.random.default_rng(0)
    tree = draw_tree(rng, 200)
    X = draw_rows(rng, 50)
    searcher = TreeSearcher([tree], 200, "l3-hinge")
    best = searcher.top_k(X, 1, ALL_NODES).scores
    assert (searcher.top_k(X, 1, 1).scores <= best).all()
    assert (searcher.top_k(X, 1, 1).scores < best).any()
    assert (searcher.top_k(X, 1, 20).scores <= best).all()


def test_logarithms_are_those_of_the_scores():
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng, 60) for _ in range(2)]
    X = draw_rows(rng, 20)
    for combine in COMBINE:
        plain = TreeSearcher(trees, 60, combine).top_k(X, 3, 4)
        logarithms = TreeSearcher(trees, 60, f"log-{combine}").top_k(X, 3, 4)
        assert (plain.ids == logarithms.ids).all()
        np.testing.assert_allclose(np.log(plain.scores), logarithms.scores, rtol=1e-3, atol=1e-6)


def test_equal_scores_come_by_label():
    layers = [pack(np.zeros((3, 6)), np.full(6, 0.5), np.array([0, 6]), "float32")]
    slots = np.array([4, 2, 5, 0, 1, 3], np.int32)
    for n_rows in (1, 20):
        ids, _ = TreeSearcher([(layers, slots)], 6, "l3-hinge").rank(
            draw_rows(np.random.default_rng(0), n_rows, 3), 4, 1
        )
        assert ids.tolist() == [[0, 1, 2, 3]] * n_rows


def test_rows_without_features_get_the_intercepts():
    rng = np.random.default_rng(0)
    tree = draw_tree(rng, 60)
    for n_rows in (1, 20):
        X = as_features(sp.csr_array((n_rows, 40), dtype=np.float32))
        found = TreeSearcher([tree], 60, "l3-hinge").top_k(X, 5, 4)
        assert_same(found, Twin([tree], 60, "l3-hinge").top_k(X, 5, 4))


def test_no_rows():
    tree = draw_tree(np.random.default_rng(0), 60)
    X = as_features(sp.csr_array((0, 40), dtype=np.float32), allow_empty=True)
    searcher = TreeSearcher([tree], 60, "l3-hinge")
    found = searcher.top_k(X, 5, 4)
    assert found.ptr.tolist() == [0]
    assert [part.shape for part in searcher.rank(X, 5, 4)] == [(0, 5), (0, 5)]
    assert len(searcher.score_labels(X, np.array([0]), np.array([], np.int32))) == 0


def test_margins_beyond_all_bounds_are_ranked_last():
    """exp(-m^3) of a far margin is 0, and its logarithm may be -inf; neither is an error."""
    layers = [pack(np.array([[1e30, -1e30, 1.0, 0.0]]), np.zeros(4), np.array([0, 4]), "float32")]
    X = as_features(np.array([[1.0]], np.float32))
    for combine in COMBINE:
        found = TreeSearcher([(layers, np.arange(4, dtype=np.int32))], 4, combine).top_k(X, 4, 1)
        assert found.ids.tolist() == [0, 2, 3, 1]
        assert found.scores[0] == 1
        assert found.scores[3] == 0


def test_work_is_counted():
    rng = np.random.default_rng(0)
    searcher = TreeSearcher([draw_tree(rng, 200)], 200, "l3-hinge")
    X = draw_rows(rng, 10)
    narrow, wide = searcher.work(X, 5, 1), searcher.work(X, 5, 50)
    assert 0 < narrow["visits"] < wide["visits"]
    assert 0 < narrow["lookups"] < wide["lookups"]


def draw_dense(rng, n, n_sparse, d):
    """Draw rows of sparse features and dense ones, some of which are zero."""
    dense = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.8) / np.sqrt(d)
    if n_sparse == 0:
        return FeatureMatrix.from_block(EMBEDDING, dense)
    return draw_rows(rng, n, n_sparse).with_block(EMBEDDING, dense)


def row_of(X, row):
    part = slice(X.indptr[row], X.indptr[row + 1])
    size = np.array([0, part.stop - part.start], np.int64)
    return replace(X, indptr=size, indices=X.indices[part], data=X.data[part], dense=X.dense[row : row + 1])


# With 3 sparse features the dense ones begin within a bucket; with many more, keys are of two bytes; clusters of 300
# labels make a wide chunk.
@pytest.mark.parametrize("leaf", [5, 30, 300])
@pytest.mark.parametrize(("n_sparse", "d"), [(0, 40), (3, 37), (300, 64), (256, 1), (2000, 130)])
@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
def test_dense_rows_are_searched_as_those_of_a_csr(weight_dtype, n_sparse, d, leaf):
    rng = np.random.default_rng(n_sparse)
    n_labels = max(2 * leaf, 60)
    trees = [
        draw_tree(rng, n_labels, n_features=n_sparse + d, leaf=leaf, density=density, weight_dtype=weight_dtype)
        for density in (0.05, 0.9)
    ]
    X = draw_dense(rng, 40, n_sparse, d)
    joined = as_features(X.to_scipy())
    ptr = np.arange(41, dtype=np.int64) * 2
    labels = rng.integers(0, n_labels, 80, dtype=np.int32)
    for tree in trees:
        searcher = TreeSearcher([tree], n_labels, "l3-hinge")
        whole = searcher.top_k(X, 5, 3)
        assert_same(whole, searcher.top_k(joined, 5, 3))
        assert_same(whole, Twin([tree], n_labels, "l3-hinge").top_k(X, 5, 3))
        single = [searcher.top_k(row_of(X, row), 5, 3) for row in range(40)]
        assert whole.ids.tolist() == np.concatenate([part.ids for part in single]).tolist()
        assert whole.scores.tolist() == np.concatenate([part.scores for part in single]).tolist()
        for a, b in zip(whole, searcher.top_k(X, 5, 3, n_threads=2), strict=True):
            assert a.tobytes() == b.tobytes()
        assert_same(searcher.nodes(X, 1, 3), searcher.nodes(joined, 1, 3))
        found, expected = (searcher.score_labels(rows, ptr, labels) for rows in (X, joined))
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)
