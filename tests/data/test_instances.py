"""Which instances belong to which node."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba._native import core
from ceiba.data.instances import InstanceLists
from ceiba.linear.negatives import match
from ceiba.linear.solve import SolverSettings
from ceiba.linear.tree_model import train_tree
from ceiba.reference import search
from ceiba.reference import tree as reference
from ceiba.tree.label_tree import LabelTree
from ceiba.tree.levels import positives_per_level

patient = settings(deadline=None, max_examples=60)


@st.composite
def lists_of_instances(draw, weighted=False, n_instances=15):
    rows = draw(st.lists(st.sets(st.integers(0, n_instances - 1)), min_size=1, max_size=8))
    items = [sorted(row) for row in rows]
    flat = np.array([item for row in items for item in row], np.int32)
    ptr = np.concatenate([[0], np.cumsum([len(row) for row in items])]).astype(np.int64)
    weight = None
    if weighted and draw(st.booleans()):
        weight = np.array([draw(st.floats(0.125, 4, width=32)) for _ in flat], np.float32)
    return InstanceLists(ptr, flat, weight)


def rows_of(lists):
    return [row.tolist() for row in np.split(lists.indices, lists.ptr[1:-1])]


@patient
@given(lists_of_instances(weighted=True), st.data())
def test_coarsening_is_that_of_the_twin(children, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, children.n_nodes), max_size=4)))
    child_ptr = np.array([0, *cuts, children.n_nodes], np.int64)
    expected = reference.coarsen(children, child_ptr)
    for n_threads in (1, 3):
        ptr, items, weight = core.coarsen(children.ptr, children.indices, children.weight, 15, child_ptr, n_threads)
        assert (ptr == expected.ptr).all()
        assert (items == expected.indices).all()
        if children.weight is None:
            assert weight is None
        else:
            np.testing.assert_allclose(weight, expected.weight, rtol=1e-5)


@patient
@given(lists_of_instances(), lists_of_instances())
def test_union_is_that_of_sets(first, second):
    n = min(first.n_nodes, second.n_nodes)
    first, second = first.take(np.arange(n)), second.take(np.arange(n))
    union = rows_of(first.union(second, 15))
    assert union == [sorted({*a, *b}) for a, b in zip(rows_of(first), rows_of(second), strict=True)]


@patient
@given(lists_of_instances(weighted=True), st.data())
def test_taking_lists(lists, data):
    nodes = np.array(data.draw(st.lists(st.integers(0, lists.n_nodes - 1), max_size=6)), np.int64)
    taken = lists.take(nodes)
    assert taken.n_nodes == len(nodes)
    for place, node in enumerate(nodes):
        own = slice(lists.ptr[node], lists.ptr[node + 1])
        new = slice(taken.ptr[place], taken.ptr[place + 1])
        assert (taken.indices[new] == lists.indices[own]).all()
        if lists.weight is not None:
            assert (taken.weight[new] == lists.weight[own]).all()


def test_columns_become_lists():
    Y = sp.csr_array(np.array([[1, 0, 2], [0, 0, 3], [4, 0, 0]], np.float32))
    lists = InstanceLists.from_columns(Y, weighted=True)
    assert rows_of(lists) == [[0, 2], [], [0, 1]]
    assert lists.weight.tolist() == [1, 4, 2, 3]
    assert InstanceLists.from_columns(Y).weight is None
    assert rows_of(InstanceLists.everything(3)) == [[0, 1, 2]]


def test_positives_climb_the_tree(make_problem):
    problem = make_problem(60, 20, 9)
    tree = LabelTree.from_parents([[0, 0, 1], [0, 0, 0, 1, 1, 2, 2, 2, 2]])
    levels = positives_per_level(tree, problem.positives, 60)
    dense = problem.Y.toarray() > 0
    for t, level in enumerate(levels):
        for node, instances in enumerate(rows_of(level)):
            below = tree.labels_under(t + 1, node) if t + 1 < tree.depth else [tree.slot_label[node]]
            assert instances == np.flatnonzero(dense[:, below].any(axis=1)).tolist()


def test_a_label_in_two_clusters_is_positive_in_both(make_problem):
    problem = make_problem(30, 20, 3)
    tree = LabelTree([[0, 2], [0, 2, 4]], [0, 1, 1, 2])
    levels = positives_per_level(tree, problem.positives, 30)
    rows = rows_of(levels[-1])
    assert rows[1] == rows[2] == np.flatnonzero(problem.Y.toarray()[:, 1]).tolist()


def test_relevance_of_clusters_has_mean_one(make_problem):
    problem = make_problem(60, 20, 9)
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 5, len(problem.positives.indices)).astype(np.float32)
    tree = LabelTree.from_parents([[0, 0, 0, 1, 1, 2, 2, 2, 2]])
    above, bottom = positives_per_level(tree, problem.positives._replace(weight=weights), 60)
    assert above.weight.mean() == pytest.approx(1)
    relevance = sp.csc_array((weights, problem.positives.indices, problem.positives.ptr), shape=(60, 9)).toarray()
    of_cluster = [relevance[rows, :][:, tree.labels_under(1, c)] for c, rows in enumerate(rows_of(above))]
    sums = np.concatenate([part.sum(axis=1) for part in of_cluster])
    np.testing.assert_allclose(above.weight, sums / sums.mean(), rtol=1e-5)
    assert bottom.weight.tolist() == weights.tolist()


@pytest.mark.parametrize("scheme", ["tfn", "man", "tfn+man"])
def test_negatives(make_problem, scheme):
    problem = make_problem(80, 30, 24)
    tree = LabelTree.from_parents([np.arange(24) // 4])
    trained = train_tree(problem.features, problem.positives, tree, SolverSettings()).layers[:1]
    parents = positives_per_level(tree, problem.positives, 80)[0]
    matched = match(scheme, problem.features, trained, parents, beam_size=2, combine="l3-hinge")
    beam = search.Searcher([(trained, np.arange(6, dtype=np.int32))], 6, "l3-hinge").nodes(problem.features, 1, 2)
    man = [[] for _ in range(6)]
    for row in range(80):
        for node in beam.ids[beam.ptr[row] : beam.ptr[row + 1]]:
            man[node].append(row)
    tfn = rows_of(parents)
    expected = {"tfn": tfn, "man": man, "tfn+man": [sorted({*a, *b}) for a, b in zip(tfn, man, strict=True)]}
    assert rows_of(matched) == expected[scheme]
    assert matched.weight is None


@pytest.mark.parametrize("scheme", ["tfn", "man", "tfn+man"])
def test_every_instance_is_matched_to_the_root(make_problem, scheme):
    problem = make_problem(20, 10, 4)
    assert rows_of(match(scheme, problem.features, [], None, beam_size=2, combine="sigmoid")) == [list(range(20))]
