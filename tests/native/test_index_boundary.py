"""Whatever arrays the index gets, it answers or raises; it never reads past them."""

import numpy as np
import pytest

from ceiba._native import core

I64, I32, F32 = np.int64, np.int32, np.float32
ROWS = (
    np.array([0, 2, 2, 3], I64),
    np.array([0, 3, 1], I32),
    np.array([1.0, 2.0, 3.0], F32),
)  # three rows, four features
PAIRS = np.array([0, 2, 2, 3], I64), np.array([0, 2, 1], I32)


def with_part(arrays, place, value):
    return (*arrays[:place], value, *arrays[place + 1 :])


def index(rows=ROWS, cols=4, **changes):
    names = ("list_ptr", "list_rows", "list_weights", "list_step")
    lists = dict(zip(names, core.invert_rows(*ROWS, 4), strict=True)) | changes
    return core.SparseIndex(*rows, cols, *lists.values())


def search(rows=ROWS, n=2, exclude=None, least=0.0, threads=1):
    return index().search(*rows, n, exclude, least, threads, None)


def score(rows=ROWS, pairs=PAIRS, threads=1):
    return index().score(*rows, *pairs, threads)


def invert(rows=ROWS, cols=4):
    return core.invert_rows(*rows, cols)


def test_the_examples_are_sound():
    assert search()[1].tolist() == [0, 2]
    assert search()[2].tolist() == [5.0, 9.0]
    assert score().tolist() == [5.0, 0.0, 0.0]
    assert invert()[1].tolist() == [0, 2, 0]


BAD_ROWS = {
    "indptr that falls": with_part(ROWS, 0, np.array([0, 3, 2, 3], I64)),
    "indptr not from 0": with_part(ROWS, 0, np.array([1, 2, 2, 3], I64)),
    "indptr beyond the end": with_part(ROWS, 0, np.array([0, 2, 2, 4], I64)),
    "no indptr": with_part(ROWS, 0, np.array([], I64)),
    "a column too many": with_part(ROWS, 1, np.array([0, 4, 1], I32)),
    "a negative column": with_part(ROWS, 1, np.array([-1, 3, 1], I32)),
    "columns that fall": with_part(ROWS, 1, np.array([3, 0, 1], I32)),
    "the same column twice": with_part(ROWS, 1, np.array([3, 3, 1], I32)),
    "fewer values": with_part(ROWS, 2, np.array([1.0, 2.0], F32)),
    "not a number": with_part(ROWS, 2, np.array([1.0, np.nan, 1.0], F32)),
    "infinity": with_part(ROWS, 2, np.array([1.0, np.inf, 1.0], F32)),
}


@pytest.mark.parametrize("name", BAD_ROWS)
@pytest.mark.parametrize("call", [index, search, score, invert])
def test_rows_that_are_not_sound(call, name):
    with pytest.raises(ValueError, match="CSR"):
        call(rows=BAD_ROWS[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"list_ptr": np.array([0, 1, 2, 2], I64)},
        {"list_ptr": np.array([0, 1, 2, 2, 4], I64)},
        {"list_ptr": np.array([0, 2, 1, 2, 3], I64)},
        {"list_ptr": np.array([], I64)},
        {"list_rows": np.array([0, 2, 3], I32)},
        {"list_rows": np.array([0, 2, -1], I32)},
        {"list_rows": np.array([0, 2], I32)},
        {"list_ptr": np.array([0, 2, 2, 2, 3], I64), "list_rows": np.array([2, 0, 0], I32)},
        {"list_ptr": np.array([0, 2, 2, 2, 3], I64), "list_rows": np.array([0, 0, 0], I32)},
        {"list_weights": np.array([1], np.uint8)},
        {"list_step": np.zeros(3, F32)},
        {"list_step": np.array([0, 0, np.nan, 0], F32)},
        {"list_step": np.array([0, 0, -1, 0], F32)},
        {"list_step": np.array([0, 0, np.inf, 0], F32)},
        {"cols": 5},
    ],
)
def test_lists_that_are_not_sound(changes):
    with pytest.raises(ValueError, match=r"index|lists"):
        index(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 0},
        {"least": -1.0},
        {"least": np.nan},
        {"threads": 0},
        {"exclude": np.array([0], I32)},
    ],
)
def test_options_that_are_out_of_range(changes):
    with pytest.raises(ValueError, match="search"):
        search(**changes)


def test_any_row_may_be_excluded():
    assert search(exclude=np.array([10**6, -5, 2], I32))[1].tolist() == [0]


@pytest.mark.parametrize(
    "pairs",
    [
        (np.array([0, 3], I64), PAIRS[1]),
        (np.array([0, 2, 2, 4], I64), PAIRS[1]),
        (PAIRS[0], np.array([0, 3, 1], I32)),
        (PAIRS[0], np.array([0, -1, 1], I32)),
    ],
)
def test_pairs_that_are_not_sound(pairs):
    with pytest.raises(ValueError, match=r"lists|score"):
        score(pairs=pairs)


def test_lists_of_other_rows_are_no_crash():
    """Lists that are sound but not of this matrix may miss rows; what is found is scored from the matrix."""
    other = index(
        list_ptr=np.array([0, 1, 1, 1, 1], I64), list_rows=np.array([2], I32), list_weights=np.array([0], np.uint8)
    )
    assert other.search(*ROWS, 3, None, 0.0, 1, None)[1].tolist() == []


NEIGHBORS = np.array([0, 2], I64), np.array([0, 2], I32), np.array([0.5, 0.25], F32)


def votes(labels=PAIRS, n_labels=3, neighbors=NEIGHBORS, power=1.0, n=5, threads=1):
    return core.NeighborVotes(*labels, n_labels).rank(*neighbors, power, n, threads)


def vote_scores(pairs=NEIGHBORS[:2], power=1.0, threads=1):
    return core.NeighborVotes(*PAIRS, 3).score(*NEIGHBORS, power, *pairs, threads)


def test_the_examples_of_votes_are_sound():
    assert votes()[1].tolist() == [0, 2, 1]
    assert vote_scores()[0] == vote_scores()[1] == np.float32(2 / 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": with_part(PAIRS, 1, np.array([0, 3, 1], I32))},
        {"labels": with_part(PAIRS, 1, np.array([0, -1, 1], I32))},
        {"labels": with_part(PAIRS, 0, np.array([0, 3, 2, 3], I64))},
        {"n_labels": -1},
        {"n_labels": 2**40},
        {"neighbors": with_part(NEIGHBORS, 0, np.array([0, 3], I64))},
        {"neighbors": with_part(NEIGHBORS, 0, np.array([], I64))},
        {"neighbors": with_part(NEIGHBORS, 1, np.array([0, 3], I32))},
        {"neighbors": with_part(NEIGHBORS, 1, np.array([0, -1], I32))},
        {"neighbors": with_part(NEIGHBORS, 2, np.array([0.5], F32))},
        {"neighbors": with_part(NEIGHBORS, 2, np.array([0.5, np.nan], F32))},
        {"power": -1.0},
        {"power": np.inf},
        {"n": 0},
        {"threads": 0},
    ],
)
def test_votes_that_are_not_sound(changes):
    with pytest.raises(ValueError, match=r"votes|lists"):
        votes(**changes)


@pytest.mark.parametrize("pairs", [([0, 1, 2], [0, 2]), ([0, 2], [0, 3]), ([0, 2], [0, -1]), ([0, 3], [0, 2])])
def test_pairs_of_votes_that_are_not_sound(pairs):
    with pytest.raises(ValueError, match=r"votes|lists"):
        vote_scores((np.array(pairs[0], I64), np.array(pairs[1], I32)))
