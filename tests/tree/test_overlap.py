"""Labels given to several clusters: limits, ties and how near the best greedy comes."""

from itertools import combinations, product

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import LabelTree, assign_clusters
from ceiba.errors import InputError, InputTypeError
from ceiba.reference import overlap as reference


def draw(seed, n=24, n_labels=6, n_clusters=4, per_row=3):
    """Draw Y, scores that are multiples of 1/8 (sums are exact), and a primary cluster for each label."""
    rng = np.random.default_rng(seed)
    Y = (rng.random((n, n_labels)) < 0.3).astype(np.float32)
    scores = rng.integers(1, 9, (n, n_clusters)) / 8 * (rng.random((n, n_clusters)) < per_row / n_clusters)
    return Y, scores.astype(np.float32), rng.integers(0, n_clusters, n_labels).tolist()


def assigned(Y, scores, primary, **settings):
    table = assign_clusters(sp.csr_array(Y), sp.csr_array(scores), primary, **settings).toarray()
    return [set(np.flatnonzero(row).tolist()) for row in table]


def total(Y, scores, clusters, coverage):
    return sum(reference.gain(Y, scores, label, own, coverage=coverage) for label, own in enumerate(clusters))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("coverage", "per_label"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("min_gain", "primary_drop_ratio"), [(0.0, 1.0), (0.25, 0.5), (0.0, 0)])
def test_takes_the_pairs_that_the_twin_takes(seed, coverage, per_label, min_gain, primary_drop_ratio):
    Y, scores, primary = draw(seed)
    for overlap, capacity in product((1, 2, 4), (0, 30, 45, 1000)):
        settings = {"overlap": overlap, "capacity": capacity, "coverage": coverage, "per_label": per_label}
        settings |= {"min_gain": min_gain, "primary_drop_ratio": primary_drop_ratio}
        assert assigned(Y, scores, primary, **settings) == reference.assign_clusters(Y, scores, primary, **settings)


@pytest.mark.parametrize("seed", range(5))
def test_limits_hold(seed):
    Y, scores, primary = draw(seed, n=80, n_labels=20, n_clusters=6)
    at_primary = [{cluster} for cluster in primary]
    before = [reference.cost(Y, at_primary, c) for c in range(6)]
    for overlap, capacity in ((2, 150), (3, 200), (6, 400)):
        found = assigned(Y, scores, primary, overlap=overlap, capacity=capacity, primary_drop_ratio=0)
        assert all(primary[label] in own and len(own) <= overlap for label, own in enumerate(found))
        cost = [reference.cost(Y, found, c) for c in range(6)]
        assert all(after <= max(capacity, start) for after, start in zip(cost, before, strict=True))
        assert sum(map(len, found)) > 20
        assert all(after == start for after, start in zip(cost, before, strict=True) if start > capacity)
    default = assigned(Y, scores, primary, overlap=3)
    assert default == assigned(Y, scores, primary, overlap=3, capacity=2 * np.mean(before))


@pytest.mark.parametrize("seed", range(12))
def test_how_near_the_best_it_comes(seed):
    Y, scores, primary = draw(seed, n=16, n_labels=4, n_clusters=3)
    start = [{cluster} for cluster in primary]
    choices = [
        [{h, *more} for size in range(2) for more in combinations(sorted(set(range(3)) - {h}), size)] for h in primary
    ]
    for coverage, capacity in product((True, False), (20, 30, 1000)):
        fits = [
            each
            for each in product(*choices)
            if all(
                reference.cost(Y, each, c) <= max(capacity, reference.cost(Y, start, c))
                for c in range(3)
                if any(c in own and c != h for own, h in zip(each, primary, strict=True))
            )
        ]
        best = max(total(Y, scores, each, coverage) for each in fits) - total(Y, scores, start, coverage)
        settings = {"overlap": 2, "capacity": capacity, "coverage": coverage, "per_label": False}
        found = assigned(Y, scores, primary, **settings, primary_drop_ratio=0)
        gained = total(Y, scores, found, coverage) - total(Y, scores, start, coverage)
        assert gained <= best
        # one further cluster per label: without capacities every label gets its best
        assert gained == best if capacity == 1000 else gained >= best / 2


def test_coverage_within_its_bound_of_the_best():
    for seed in range(12):
        Y, scores, primary = draw(seed, n=30, n_labels=1, n_clusters=7, per_row=2)
        others = sorted(set(range(7)) - set(primary))
        start = total(Y, scores, [{primary[0]}], True)
        best = max(total(Y, scores, [{primary[0], *more}], True) for more in combinations(others, 3)) - start
        found = assigned(Y, scores, primary, overlap=4, capacity=10_000, coverage=True)
        assert (1 - 1 / np.e) * best <= total(Y, scores, found, True) - start <= best


def test_coverage_spreads_where_the_sum_repeats():
    # four positives in clusters 1 and 2 alike, three in cluster 3
    Y = np.ones((7, 1))
    scores = np.zeros((7, 4))
    scores[:4, 1] = scores[:4, 2] = 1
    scores[4:, 3] = 1
    stay = {"overlap": 3, "capacity": 1e6, "primary_drop_ratio": 0}
    assert assigned(Y, scores, [0], coverage=True, **stay) == [{0, 1, 3}]
    assert assigned(Y, scores, [0], **stay) == [{0, 1, 2}]


def test_rare_labels_first_where_gains_are_shares():
    Y = np.zeros((6, 3))
    Y[:5, 0] = Y[5, 1] = 1  # label 2 is never positive
    scores = np.zeros((6, 2))
    scores[:3, 1] = 1  # three of five positives of label 0
    scores[5, 1] = 1  # the only one of label 1
    stay = {"overlap": 2, "primary_drop_ratio": 0}
    assert assigned(Y, scores, [0, 0, 1], capacity=2, **stay) == [{0}, {0, 1}, {1}]
    assert assigned(Y, scores, [0, 0, 1], capacity=10, per_label=False, **stay) == [{0, 1}, {0}, {1}]


def test_a_label_leaves_a_home_that_a_further_cluster_is_much_better_than():
    Y = np.zeros((5, 2))
    Y[:4, 0] = Y[4, 1] = 1
    scores = np.zeros((5, 3))
    scores[0, 0], scores[1:, 1], scores[3, 2] = 1, 0.5, 1
    # sums of label 0 are 1, 1.5 and 1, of label 1 0, 0.5 and 0
    assert assigned(Y, scores, [0, 0], overlap=2, capacity=1e6) == [{0, 1}, {1}]
    assert assigned(Y, scores, [0, 0], overlap=2, capacity=1e6, primary_drop_ratio=1.0) == [{1}, {1}]
    assert assigned(Y, scores, [0, 0], overlap=3, capacity=1e6, primary_drop_ratio=0.7) == [{1, 2}, {1}]
    assert assigned(Y, scores, [1, 1], overlap=2, capacity=1e6, primary_drop_ratio=1.0) == [{0, 1}, {1}]
    assert assigned(Y, scores, [0, 0], overlap=3, capacity=1e6, primary_drop_ratio=0) == [{0, 1, 2}, {0, 1}]


def test_labels_that_are_never_found_keep_their_home():
    Y, scores, primary = draw(3)
    scores[Y[:, 2] > 0] = 0
    found = assigned(Y, scores, primary, overlap=4, capacity=1e6)
    assert found[2] == {primary[2]}
    assert max(map(len, found)) > 1
    scores[:] = 0
    assert assigned(Y, scores, primary, overlap=4, capacity=1e6) == [{h} for h in primary]


def test_threads_do_not_matter():
    Y, scores, primary = draw(0, n=400, n_labels=60, n_clusters=12)
    found = [assigned(Y, scores, primary, overlap=3, n_jobs=n) for n in (1, 2, 3)]
    assert found[0] == found[1] == found[2]


def test_a_tree_keeps_its_upper_levels_and_its_labels_places():
    rng = np.random.default_rng(1)
    tree = LabelTree.from_parents([[0, 0, 1, 1], rng.integers(0, 4, 20)])
    Y, scores, _ = draw(1, n=90, n_labels=20)
    primary = [set(tree.slot_cluster[tree.slots(label)].tolist()) for label in range(20)]
    new = assign_clusters(sp.csr_array(Y), sp.csr_array(scores), tree, overlap=2, primary_drop_ratio=0)
    assert all(map(np.array_equal, new.child_ptrs[:-1], tree.child_ptrs[:-1]))
    clusters = [set(new.slot_cluster[new.slots(label)].tolist()) for label in range(20)]
    assert all(before <= after for before, after in zip(primary, clusters, strict=True))
    assert clusters == assigned(Y, scores, [own.copy().pop() for own in primary], overlap=2, primary_drop_ratio=0)
    counts = Y.sum(axis=0)[new.slot_label]
    assert all(
        (np.diff(counts[a:b]) <= 0).all()
        for a, b in zip(*(new.child_ptrs[-1][s:e] for s, e in ((0, -1), (1, None))), strict=True)
    )
    # what has several clusters already keeps them, and gets more only below lambda
    again = assign_clusters(sp.csr_array(Y), sp.csr_array(scores), new, overlap=2, capacity=1e6, primary_drop_ratio=0)
    assert all(own <= set(again.slot_cluster[again.slots(label)].tolist()) for label, own in enumerate(clusters))
    assert again.overlap == 2


def test_bad_input():
    Y, scores, primary = draw(0)
    Y, scores = sp.csr_array(Y), sp.csr_array(scores)
    with pytest.raises(InputTypeError, match=r"^Y\b"):
        assign_clusters(Y.toarray(), scores, primary)
    with pytest.raises(InputError, match=r"scores.*23.*Y.*24"):
        assign_clusters(Y, scores[:23], primary)
    with pytest.raises(InputError, match=r"^scores\b"):
        assign_clusters(Y, -scores, primary)
    with pytest.raises(InputError, match=r"scores.*NaN"):
        assign_clusters(Y, scores * np.nan, primary)
    with pytest.raises(InputError, match=r"primary_cluster.*3"):
        assign_clusters(Y, scores, [*primary[1:], 4])
    with pytest.raises(InputError, match=r"primary_cluster.*5.*4.*6.*4"):
        assign_clusters(Y, scores, primary[1:])
    with pytest.raises(InputTypeError, match=r"primary_cluster.*LabelTree"):
        assign_clusters(Y, scores, [0.5] * 6)
    with pytest.raises(InputError, match=r"primary_cluster.*6.*2"):
        assign_clusters(Y, scores, LabelTree.from_parents([[0, 0, 0, 1, 1, 1]]))
    for name, value in (
        ("overlap", 0),
        ("capacity", -1.0),
        ("min_gain", -0.1),
        ("coverage", "yes"),
        ("per_label", 2),
        ("primary_drop_ratio", 2.0),
    ):
        with pytest.raises(InputError, match=f"'{name}' parameter of assign_clusters"):
            assign_clusters(Y, scores, primary, **{name: value})
