"""What holds for any data: agreement with the slow twin, and blindness to container, order and chunks."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba import metrics
from ceiba.metrics import LabelCounts, ranking, tally
from ceiba.reference import metrics as reference

# Few values, so ties abound; zero and negative scores are scores, -inf is none.
TIED = st.sampled_from([-math.inf, -1.5, -0.0, 0.0, 0.25, 2.0])


patient = settings(deadline=None, max_examples=60)  # a busy machine is no failure


@st.composite
def problems(draw, score=TIED, max_labels=12):
    """Draw positives, scores by label, training labels, and the number of labels."""
    n, n_labels = draw(st.integers(1, 6)), draw(st.integers(1, max_labels))
    labels = st.integers(0, n_labels - 1)
    true = draw(st.lists(st.sets(labels, max_size=6), min_size=n, max_size=n))
    scores = draw(st.lists(st.dictionaries(labels, score), min_size=n, max_size=n))
    train = draw(st.lists(st.sets(labels), min_size=1, max_size=6))
    return true, scores, train, n_labels


def indicator(rows, n_labels, dtype=float):
    dense = np.zeros((len(rows), n_labels), dtype=dtype)
    for i, row in enumerate(rows):
        dense[i, sorted(row)] = 1
    return dense


def score_matrix(rows, n_labels, order=1):
    triples = [(i, j, row[j]) for i, row in enumerate(rows) for j in sorted(row, reverse=order < 0)]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    columns = np.array([j for _, j, _ in triples], dtype=np.int32)
    return sp.csr_matrix((np.array([s for *_, s in triples]), columns, indptr), shape=(len(rows), n_labels))


def dense_scores(rows, n_labels):
    dense = np.full((len(rows), n_labels), -np.inf)
    for i, row in enumerate(rows):
        for j, score in row.items():
            dense[i, j] = score
    return dense


def padded(ranked, k, empty, dtype):
    out = np.full((len(ranked), k), empty, dtype=dtype)
    for i, row in enumerate(ranked):
        out[i, : len(row)] = row
    return out


def positive_containers(rows, n_labels):
    dense = indicator(rows, n_labels)
    holed = sp.csr_array(np.ones_like(dense))
    holed.data = dense.ravel().copy()  # every place stored, most of them zeros
    stored = np.ones(int(dense.sum()))
    opposed = (np.concatenate([stored, -stored]), np.tile(np.array(np.nonzero(dense)), 2))
    twice = sp.coo_matrix(opposed, shape=dense.shape)  # two stored values that are not zero, though they add up to it
    return {
        "csr matrix": sp.csr_matrix(dense),
        "csc array": sp.csc_array(dense),
        "coo with duplicates": twice,
        "lil": sp.lil_array(dense),
        "explicit zeros": holed,
        "bool": dense.astype(bool),
        "dense int": dense.astype(np.int8),
        "lists": [sorted(row, reverse=True) for row in rows],
        "lists with duplicates": [sorted(row) * 2 for row in rows],
        "sets": rows,
        "object array": np.array([*map(np.array, map(sorted, rows)), None], dtype=object)[:-1],
    }


def score_containers(rows, n_labels):
    ranked = [reference.rank(row, n_labels) for row in rows]
    matrix = score_matrix(rows, n_labels)
    return {
        "csr": matrix,
        "csr array": sp.csr_array(matrix),
        "reversed storage": score_matrix(rows, n_labels, order=-1),
        "csc": matrix.tocsc(),
        "coo": matrix.tocoo(),
        "float32": matrix.astype(np.float32),
        "dense": dense_scores(rows, n_labels),
        "fortran": np.asfortranarray(dense_scores(rows, n_labels)),
        "ranked lists": ranked,
        "ranked ints": padded(ranked, n_labels, -1, np.int32),
        "ranked objects": padded(ranked, n_labels + 1, None, object),
    }


@patient
@given(problems())
def test_agrees_with_the_slow_twin(problem):
    true, scores, train, n_labels = problem
    ks = (1, 2, 5, 20)
    figures = metrics.evaluate(
        indicator(true, n_labels), score_matrix(scores, n_labels), ks, indicator(train, n_labels)
    )
    ranked = [reference.rank(row, max(ks)) for row in scores]
    weights = reference.inverse_propensity(train, n_labels)
    assert figures == pytest.approx(reference.evaluate(true, ranked, n_labels, ks, weights), abs=1e-9)


@patient
@given(problems())
def test_every_container_gives_the_same_figures(problem):
    true, scores, train, n_labels = problem
    ids = np.arange(n_labels)
    expected = metrics.evaluate(
        indicator(true, n_labels), dense_scores(scores, n_labels), (1, 3), indicator(train, n_labels)
    )
    counts = LabelCounts(indicator(train, n_labels).sum(axis=0), n=len(train))
    for name, Y_true in positive_containers(true, n_labels).items():
        got = metrics.evaluate(Y_true, score_matrix(scores, n_labels), (1, 3), counts, classes=ids)
        assert got == expected, f"Y_true as {name}"
    for name, Y_score in score_containers(scores, n_labels).items():
        assert metrics.evaluate(true, Y_score, (1, 3), train, classes=ids) == expected, f"Y_score as {name}"
    for name, Y_train in positive_containers(train, n_labels).items():
        got = metrics.evaluate(true, score_matrix(scores, n_labels), (1, 3), Y_train)
        assert got == expected, f"Y_train as {name}"


@patient
@given(problems(), st.permutations(range(12)))
def test_names_give_the_same_figures_as_columns(problem, order):
    true, scores, train, n_labels = problem
    classes = [f"label {order[j]}" for j in range(n_labels)]
    expected = metrics.evaluate(
        indicator(true, n_labels), score_matrix(scores, n_labels), (1, 3), indicator(train, n_labels)
    )

    def name(rows):
        return [[classes[j] for j in row] for row in rows]

    ranked = [reference.rank(row, 3) for row in scores]
    assert metrics.evaluate(name(true), name(ranked), (1, 3), name(train), classes=classes) == expected
    objects = padded(name(ranked), 3, None, object)
    assert metrics.evaluate(name(true), objects, (1, 3), indicator(train, n_labels), classes=classes) == expected
    mixed = metrics.evaluate(
        indicator(true, n_labels),
        score_matrix(scores, n_labels),
        (1, 3),
        name(train),
        classes=np.array(classes),
    )
    assert mixed == expected


@patient
@given(problems())
def test_lists_alone_differ_from_a_matrix_in_the_macro_figures_only(problem):
    true, scores, train, n_labels = problem
    ranked = [reference.rank(row, 3) for row in scores]
    expected = metrics.evaluate(true, score_matrix(scores, n_labels), (1, 3), train)
    got = metrics.evaluate(true, ranked, (1, 3), train)
    in_use = len(set().union(*true, *ranked, *train))
    for name, value in got.items():
        factor = n_labels / in_use if name.startswith("macro") and in_use else 1
        assert value == pytest.approx(expected[name] * factor, abs=1e-9), name


@patient
@given(problems(), st.data())
def test_renaming_labels_changes_nothing(problem, data):
    true, scores, train, n_labels = problem
    # Without ties, which the lower column wins; distinct scores for the distinct labels of a row.
    scores = [{j: score + j * 1e-3 for j, score in row.items() if score > -math.inf} for row in scores]
    new = data.draw(st.permutations(range(n_labels)))
    before = metrics.evaluate(true, score_matrix(scores, n_labels), (1, 3), indicator(train, n_labels))
    after = metrics.evaluate(
        [{new[j] for j in row} for row in true],
        score_matrix([{new[j]: score for j, score in row.items()} for row in scores], n_labels),
        (1, 3),
        indicator([{new[j] for j in row} for row in train], n_labels),
    )
    assert after == pytest.approx(before, abs=1e-9)


@patient
@given(problems(), st.data())
def test_the_order_of_rows_changes_nothing(problem, data):
    true, scores, train, n_labels = problem
    order = data.draw(st.permutations(range(len(true))))
    before = metrics.evaluate(true, score_matrix(scores, n_labels), (1, 3), train)
    after = metrics.evaluate(
        [true[i] for i in order], score_matrix([scores[i] for i in order], n_labels), (1, 3), train[::-1]
    )
    assert after == pytest.approx(before, abs=1e-9)


@patient
@given(problems())
def test_the_best_ranking_reaches_100(problem):
    true, _, train, n_labels = problem
    weights = reference.inverse_propensity(train, n_labels)
    best = [sorted(row, key=lambda j: -weights[j]) for row in true]
    figures = metrics.evaluate(indicator(true, n_labels), best, (1, 2, 9), indicator(train, n_labels))
    reached = 100.0 if any(true) else 0.0
    for name in ("nDCG@1", "nDCG@2", "nDCG@9", "PSP@1", "PSP@2", "PSP@9", "PSnDCG@2", "R@9", "coverage@9"):
        assert figures[name] == pytest.approx(reached), name


@patient
@given(problems(max_labels=60), st.integers(1, 8), st.sampled_from([1, 7, 64, 1 << 20]))
def test_top_k_ranks_by_score_then_column_in_any_block_size(problem, k, cells):
    _, scores, _, n_labels = problem
    expected = padded([reference.rank(row, k) for row in scores], k, -1, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "CELLS", cells)
        for name, Y_score in score_containers(scores, n_labels).items():
            if name != "ranked objects":
                got = metrics.top_k(Y_score, k)
                width = got.shape[1]
                assert 1 <= width <= k, name
                np.testing.assert_array_equal(got, expected[:, :width], err_msg=name)
                assert (expected[:, width:] == -1).all(), name


@patient
@given(problems(), st.sampled_from([1, 5, 17]))
def test_figures_do_not_depend_on_the_block_size(problem, cells):
    true, scores, train, n_labels = problem
    whole = metrics.evaluate(true, score_matrix(scores, n_labels), (1, 3), train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "CELLS", cells)
        patch.setattr(tally, "CELLS", cells)
        pieces = metrics.evaluate(true, score_matrix(scores, n_labels), (1, 3), train)
    assert pieces == pytest.approx(whole, abs=1e-9)


def test_top_k_of_names():
    got = metrics.top_k(np.array([[0.5, -np.inf, 0.7]]), 3, classes=["a", "b", "c"])
    assert got.tolist() == [["c", "a", None]]
    assert metrics.top_k([["b", "a"], []], 1).tolist() == [["b"], [None]]
    assert metrics.top_k([[70, 5], []], 2).tolist() == [[70, 5], [-1, -1]]


@pytest.mark.parametrize("k", [10**6, 10**9, 2**63, 10**30])
def test_a_ranking_has_no_more_places_than_labels(k):
    scores = np.array([[0.5, -np.inf, 0.7], [0.1, 0.2, 0.3]])
    for matrix in (scores, sp.csr_array(np.maximum(scores, 0))):
        assert metrics.top_k(matrix, k).tolist() == [[2, 0, -1], [2, 1, 0]]
    assert metrics.top_k([["b", "a"], []], k).tolist() == [["b", "a"], [None, None]]
    truth = [[0], [2]]
    few, many = metrics.evaluate(truth, scores, (3,)), metrics.evaluate(truth, scores, (k,))
    assert many[f"R@{k}"] == few["R@3"]
    assert many[f"nDCG@{k}"] == pytest.approx(few["nDCG@3"])
    assert 0 < many[f"P@{k}"] < few["P@3"]
    assert metrics.recall_at_k(truth, scores, k) == few["R@3"]


def test_one_long_row_among_short_ones_is_ranked_like_the_others():
    rng = np.random.default_rng(0)
    rows = [dict(enumerate(rng.integers(0, 50, size=size).tolist())) for size in (3, 5000, 0, 1, 40)]
    got = metrics.top_k(score_matrix(rows, 5000), 10)
    np.testing.assert_array_equal(got, padded([reference.rank(row, 10) for row in rows], 10, -1, int))


def test_inputs_are_left_as_they_were():
    def stored(*data):  # unsorted, one label twice
        return sp.csr_matrix((np.array(data), np.array([2, 0, 0, 1]), np.array([0, 3, 4])), shape=(2, 3))

    Y_true, Y_score, Y_train = stored(1.0, 0.0, 2.0, 5.0), stored(0.1, 0.2, 0.3, 0.4), stored(*[True] * 4)
    dense = np.array([[0.3, 0.2, 0.1], [0.0, 0.0, 0.0]])
    ranked = np.array([[1, 1, 0], [2, 2, 2]])
    kept = [part.copy() for Y in (Y_true, Y_score, Y_train) for part in (Y.data, Y.indices, Y.indptr)]
    for scores in (Y_score, dense, ranked):
        metrics.evaluate(Y_true, scores, Y_train=Y_train)
    for part, before in zip(
        [p for Y in (Y_true, Y_score, Y_train) for p in (Y.data, Y.indices, Y.indptr)], kept, strict=True
    ):
        np.testing.assert_array_equal(part, before)
    assert ranked.tolist() == [[1, 1, 0], [2, 2, 2]]
    assert metrics.top_k(Y_score, 3).tolist() == [[0, 2, -1], [1, -1, -1]]  # 0.2 + 0.3 for label 0
