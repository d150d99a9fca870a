"""Models whose labels stand in several clusters."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import ceiba
from ceiba import LabelTree, XRLinear, assign_clusters
from ceiba.errors import InputError
from ceiba.linear.solve import SolverSettings
from ceiba.linear.tree_model import train_tree
from ceiba.models.disentangle import match_ranks
from ceiba.reference.search import Searcher
from ceiba.tree.levels import positives_per_level

SMALL = {"branching_factor": 4, "max_leaf_size": 6, "n_jobs": 1, "overlap": 3, "overlap_capacity": 3.0}


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(240, 60, 60, zero_rows=2)


@pytest.fixture(scope="module")
def fitted(problem):
    return XRLinear(**SMALL).fit(problem.X, problem.Y)


def costs(tree, problem):
    clusters = positives_per_level(tree, problem.positives, problem.X.shape[0])[-2]
    return np.diff(clusters.ptr) * np.diff(tree.child_ptrs[-1])


def test_clusters_are_those_assigned_from_the_matcher(problem, fitted):
    plain = XRLinear(**{**SMALL, "overlap": 1}).fit(problem.X, problem.Y)
    before, after = plain.trees_[0], fitted.trees_[0]
    assert 1 < after.overlap <= 3
    found, _ = plain.match(problem.X, k=10)
    rank = np.broadcast_to(1 / np.arange(1, 11), found.shape)[found >= 0]
    row = np.nonzero(found >= 0)[0]
    shape = (len(found), len(before.child_ptrs[-1]) - 1)
    scores = sp.csr_array((rank, (row, found[found >= 0])), shape=shape)
    expected = assign_clusters(problem.Y, scores, before, overlap=3, capacity=3 * costs(before, problem).mean())
    assert after == expected
    assert fitted.fit_report_["seconds"].keys() >= {"tree 1 matcher", "tree 1 assignment"}
    assert plain.fit_report_["seconds"].keys().isdisjoint({"tree 1 matcher", "tree 1 assignment"})


def test_no_cluster_exceeds_the_capacity(problem):
    before = costs(XRLinear(**{**SMALL, "overlap": 1}).fit(problem.X, problem.Y).trees_[0], problem)
    for capacity in (0.0, 1.0, 2.0, 5.0):
        model = XRLinear(**{**SMALL, "overlap": 6, "overlap_capacity": capacity}).fit(problem.X, problem.Y)
        assert (costs(model.trees_[0], problem) <= np.maximum(before, capacity * before.mean())).all()
        assert (model.trees_[0].overlap > 1) == (capacity > 0)


@pytest.mark.parametrize("settings", [{}, {"negatives": "tfn+man"}, {"n_trees": 2, "overlap_rounds": 2}])
def test_answers_are_the_twins(problem, settings):
    model = XRLinear(**SMALL, **settings).fit(problem.X, problem.Y)
    trees = [(partition.layers, partition.tree.slot_label) for partition in model.partitions_]
    expected = Searcher(trees, 60, "l3-hinge").top_k(problem.features, 5, 10)
    labels, scores = model.predict_topk(problem.X, k=5)
    np.testing.assert_allclose(scores.ravel(), expected.scores, atol=1e-5)
    assert (labels.ravel() == expected.ids).mean() > 0.99
    assert all(len(set(row)) == 5 for row in labels.tolist())


def test_threads_do_not_change_a_bit(problem, fitted):
    for n in (2, 3):
        other = XRLinear(**{**SMALL, "n_jobs": n}).fit(problem.X, problem.Y)
        assert other.trees_ == fitted.trees_
        assert other.predict_topk(problem.X)[1].tobytes() == fitted.predict_topk(problem.X)[1].tobytes()


def test_saved_and_loaded(problem, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = ceiba.load(tmp_path / "model")
    assert loaded.trees_ == fitted.trees_
    assert loaded.get_params() == fitted.get_params()
    labels, scores = fitted.predict_topk(problem.X)
    again, same = loaded.predict_topk(problem.X)
    assert (labels == again).all()
    assert scores.tobytes() == same.tobytes()


def test_clones_and_bad_parameters(problem):
    model = clone(XRLinear(overlap=4, overlap_rounds=2, overlap_capacity=2.5))
    assert (model.overlap, model.overlap_rounds, model.overlap_capacity) == (4, 2, 2.5)
    for name, value in (("overlap", 0), ("overlap_rounds", 0), ("overlap_capacity", -1.0), ("overlap", 1.5)):
        with pytest.raises(InputError, match=f"'{name}' parameter of XRLinear"):
            XRLinear(**{name: value}).fit(problem.X, problem.Y)


def test_rounds_start_from_the_homes(problem, fitted):
    twice = XRLinear(**SMALL, overlap_rounds=2).fit(problem.X, problem.Y)
    plain = XRLinear(**{**SMALL, "overlap": 1}).fit(problem.X, problem.Y)
    home, settings = plain.trees_[0], SolverSettings()
    seed = int(np.random.SeedSequence(plain.random_state).generate_state(1)[0])
    clusters = positives_per_level(fitted.trees_[0], problem.positives, problem.X.shape[0])[-2]
    above = LabelTree(home.child_ptrs[:-1], np.arange(clusters.n_nodes))
    matcher = train_tree(problem.features, clusters, above, settings, seed=seed)
    scores = match_ranks(matcher, problem.features, 10, "l3-hinge").to_scipy()
    capacity = 3 * costs(home, problem).mean()
    assert twice.trees_[0] == assign_clusters(problem.Y, scores, home, overlap=3, capacity=capacity)
    assert twice.trees_ != fitted.trees_


def test_a_cluster_that_every_label_left(problem):
    found = XRLinear(**{**SMALL, "overlap": 1}).fit(problem.X, problem.Y).trees_[0]
    ends = found.child_ptrs[-1].copy()
    ends[2:-1] = ends[3:]  # the third cluster's labels stand in the second, the last cluster is empty
    tree = LabelTree([*found.child_ptrs[:-1], ends], found.slot_label)
    model = XRLinear(tree=tree, n_jobs=1).fit(problem.X, problem.Y)
    labels, _ = model.predict_topk(problem.X, k=5)
    assert (labels >= 0).all()
    again = XRLinear(tree=tree, overlap=2, n_jobs=2).fit(problem.X, problem.Y)
    assert again.trees_[0].overlap == 2


def test_weights_of_a_label_in_several_clusters_are_larger(problem, fitted):
    """A label of s clusters keeps no weight below sqrt(s) times the threshold."""
    params = {**SMALL, "weight_threshold": 0.2, "weight_dtype": "float32"}
    partition = XRLinear(**params).fit(problem.X, problem.Y).partitions_[0]
    times = np.bincount(partition.tree.slot_label)[partition.tree.slot_label]
    assert set(times.tolist()) == {1, 2, 3}
    smallest = {
        s: min(np.abs(partition.layers[-1].column(node)[1]).min() for node in np.flatnonzero(times == s).tolist())
        for s in (1, 2, 3)
    }
    assert all(0.2 * s**0.5 <= found < 0.25 * s**0.5 for s, found in smallest.items())


def test_relevance_matched_and_own_trees(problem):
    tree = LabelTree.from_parents([np.arange(10) // 5, np.arange(60) % 10])
    matched = sp.csr_array((problem.X.shape[0], 10), dtype=np.float32)
    relevance = sp.csr_array(problem.Y * 2.0)
    model = XRLinear(**SMALL, tree=tree).fit(problem.X, problem.Y, relevance=relevance, matched=matched)
    assert model.trees_[0].level_sizes[:-1] == [2, 10]
    assert model.trees_[0].overlap > 1
    assert model.tree is tree


def test_one_against_all_has_nothing_to_learn(problem):
    settings = {**SMALL, "max_leaf_size": 60}
    model = XRLinear(**settings).fit(problem.X, problem.Y)
    assert model.trees_[0].depth == 1
    assert model.trees_[0].overlap == 1


def test_progress_names_the_stages(problem):
    calls = []
    model = XRLinear(**SMALL, overlap_rounds=2)
    model.fit(problem.X, problem.Y, progress=lambda *call: calls.append(call))
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert sum(stage.endswith("of matcher 2 of tree") for stage in stages) == model.trees_[0].depth - 1
    assert "assignment of tree" in stages
    assert all(0 <= done <= total for _, done, total in calls)


def test_ranks_are_of_the_order_of_scores(problem, fitted):
    partition = fitted.partitions_[0]
    above = LabelTree(partition.tree.child_ptrs[:-1], np.arange(len(partition.tree.child_ptrs[-1]) - 1))
    matcher = type(partition)(above, partition.layers[:-1])
    ranks = match_ranks(matcher, problem.features, 4, "l3-hinge").to_scipy().toarray()
    clusters, _ = fitted.match(problem.X, k=4, beam_size=4)
    for row, own in zip(ranks, clusters, strict=True):
        np.testing.assert_allclose(row[own[own >= 0]], 1 / np.arange(1, (own >= 0).sum() + 1))
        assert (row > 0).sum() == (own >= 0).sum()
