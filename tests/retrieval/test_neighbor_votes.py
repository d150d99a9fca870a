"""Votes are counted as the twin counts them, one by one."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.errors import InputError, ModelFormatError
from ceiba.io.tensors import read_tensors, write_tensors
from ceiba.reference.neighbor_votes import count_votes, rank_votes
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.ranked import Ranked

NEIGHBORS = Ranked(np.array([0, 2, 2], np.int64), np.array([0, 2], np.int32), np.array([0.5, 0.25], np.float32))
Y = sp.csr_array(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]], np.float32))


def random_problem(rng, queries, rows, labels, most=40):
    Y = sp.random_array((rows, labels), density=0.1, format="csr", dtype=np.float32, random_state=rng)
    sizes = rng.integers(0, most, queries)
    ids = [rng.permutation(rows)[:size] for size in sizes]
    ptr = np.concatenate([[0], np.cumsum([len(each) for each in ids])]).astype(np.int64)
    scores = np.round(rng.uniform(-0.1, 1, ptr[-1]), 2).astype(np.float32)
    return Y, Ranked(ptr, np.concatenate([np.empty(0, np.int32), *ids]).astype(np.int32), scores)


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 60),
    labels=st.integers(1, 50),
    n=st.integers(1, 60),
    power=st.sampled_from([0.0, 0.5, 1.0, 4.0, 8.0]),
)
@settings(max_examples=100, deadline=None)
def test_votes_are_their_twin(seed, rows, labels, n, power):
    rng = np.random.default_rng(seed)
    Y, neighbors = random_problem(rng, 15, rows, labels)
    votes = NeighborVotes(Y)
    assert_same(votes.rank(neighbors, n, power=power), rank_votes(neighbors, Y, power, n))
    assert_same(votes.rank(neighbors, power=power), rank_votes(neighbors, Y, power, labels))
    ptr = np.arange(16, dtype=np.int64) * labels
    expected = [own.get(label, 0.0) for own in count_votes(neighbors, Y, power) for label in range(labels)]
    every = np.tile(np.arange(labels, dtype=np.int32), 15)
    np.testing.assert_array_equal(votes.score(neighbors, ptr, every, power=power), np.array(expected, np.float32))


def test_threads_do_not_change_the_answer():
    Y, neighbors = random_problem(np.random.default_rng(1), 1_000, 500, 200)
    votes = NeighborVotes(Y)
    expected = votes.rank(neighbors, 10, power=4)
    assert_same(votes.rank(neighbors, 10, power=4, n_threads=3), expected)
    scores = votes.score(neighbors, expected.ptr, expected.ids, power=4, n_threads=3)
    np.testing.assert_array_equal(scores, expected.scores)


def test_scores_do_not_depend_on_the_scale_of_the_neighbors():
    Y, neighbors = random_problem(np.random.default_rng(2), 20, 50, 30)
    votes = NeighborVotes(Y)
    tiny = neighbors._replace(scores=neighbors.scores * np.float32(2.0**-100))
    assert_same(votes.rank(tiny, power=8), votes.rank(neighbors, power=8))


def test_rows_of_no_positive_score_have_no_vote():
    found = NeighborVotes(Y).rank(NEIGHBORS._replace(scores=np.array([0.0, -1.0], np.float32)))
    assert found.ptr.tolist() == [0, 0, 0]


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_arrays_are_the_same_votes(tmp_path, mmap):
    write_tensors(tmp_path / "votes.safetensors", NeighborVotes(Y).arrays())
    votes = NeighborVotes.from_arrays(read_tensors(tmp_path / "votes.safetensors", mmap=mmap))
    assert (votes.n_rows, votes.n_labels) == (3, 3)
    assert_same(votes.rank(NEIGHBORS), NeighborVotes(Y).rank(NEIGHBORS))


@pytest.mark.parametrize(
    "change",
    [
        {"ptr": None},
        {"ptr": np.array([0, 2, 1, 4], np.int64)},
        {"ptr": np.array([0, 2, 3, 5], np.int64)},
        {"ptr": np.array([], np.int64)},
        {"ptr": np.array([0, 2, 3, 4], np.int32)},
        {"indices": np.array([0, 2, 1, 3], np.int32)},
        {"indices": np.array([0, 2, -1, 2], np.int32)},
        {"n_labels": np.array([2], np.int64)},
        {"n_labels": np.array([-1], np.int64)},
        {"n_labels": np.array([2**40], np.int64)},
        {"n_labels": np.array([], np.int64)},
    ],
)
def test_damaged_arrays_are_refused(change):
    arrays = {name: array for name, array in (NeighborVotes(Y).arrays() | change).items() if array is not None}
    with pytest.raises(ModelFormatError, match="labels"):
        NeighborVotes.from_arrays(arrays)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n": 0}, "n"),
        ({"power": -1.0}, "power"),
        ({"power": np.nan}, "power"),
        ({"n_threads": 0}, "n_threads"),
        ({"neighbors": NEIGHBORS._replace(ids=np.array([0, 3], np.int32))}, "neighbors"),
        ({"neighbors": NEIGHBORS._replace(ids=np.array([0, -1], np.int32))}, "neighbors"),
        ({"neighbors": NEIGHBORS._replace(ids=np.array([0.0, 1.0]))}, "neighbors"),
        ({"neighbors": NEIGHBORS._replace(ptr=np.array([0, 3, 2], np.int64))}, "neighbors"),
        ({"neighbors": NEIGHBORS._replace(ptr=np.array([0, 2, 3], np.int64))}, "neighbors"),
        ({"neighbors": NEIGHBORS._replace(scores=np.array([0.5], np.float32))}, "neighbors"),
        ({"neighbors": NEIGHBORS._replace(scores=np.array([0.5, np.nan], np.float32))}, "neighbors"),
        ({"neighbors": NEIGHBORS._replace(scores=np.array([0.5, np.inf], np.float32))}, "neighbors"),
    ],
)
def test_bad_arguments(changes, name):
    with pytest.raises((InputError, TypeError), match=name):
        NeighborVotes(Y).rank(**({"neighbors": NEIGHBORS, "n": 2} | changes))


@pytest.mark.parametrize(("ptr", "labels"), [([0, 1], [0]), ([0, 1, 2], [0]), ([0, 1, 1], [3]), ([0, 1, 1], [-1])])
def test_bad_pairs(ptr, labels):
    with pytest.raises(InputError, match="labels"):
        NeighborVotes(Y).score(NEIGHBORS, np.array(ptr, np.int64), np.array(labels, np.int32))
