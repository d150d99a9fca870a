"""Pairs of rows and labels: the core's union, look-up and ranking are those of their twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba._native import core
from ceiba.data.offsets import offsets
from ceiba.reference import pair_features as twin
from ceiba.retrieval.ranked import Ranked

N_LABELS = 9
ROWS = st.lists(st.lists(st.integers(0, N_LABELS - 1), unique=True, max_size=N_LABELS), min_size=3, max_size=3)
SCORES = np.array([0, -0.0, 0.25, 0.5, 0.5, 1, -1, 2, 0.125], np.float32)


def ranked(rows):
    ids = np.array([label for row in rows for label in row], np.int32)
    return Ranked(offsets([len(row) for row in rows]), ids, SCORES[(ids * 5 + 1) % N_LABELS])


def as_tuples(rankings):
    return [tuple(each) for each in rankings]


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=3), ROWS, st.integers(0, N_LABELS + 1))
def test_any_rankings_are_taken_as_by_the_twin(all_rows, asked, most):
    rankings = [ranked(rows) for rows in all_rows]
    ptr, labels = core.union_of_rankings(as_tuples(rankings), 3, N_LABELS)
    expected_ptr, expected = twin.union_of_rankings(rankings, 3)
    assert ptr.tolist() == expected_ptr.tolist()
    assert labels.tolist() == expected.tolist()

    pairs = offsets([len(row) for row in asked]), np.array([j for row in asked for j in sorted(row)], np.int32)
    ranks = np.log1p(np.arange(most + 1, dtype=np.float32))
    found = core.look_up_pairs(as_tuples(rankings), *pairs, ranks, 0.001, N_LABELS)
    for own, other in zip(found, twin.look_up_pairs(rankings, *pairs, ranks, 0.001), strict=True):
        assert own.shape == other.shape
        assert (own == other).all()

    rng = np.random.default_rng(len(found[0]))
    widths = (len(all_rows), 0, 2)
    blocks = [rng.random((len(pairs[1]), width), np.float32) for width in widths]
    given = *found, blocks, rng.random((N_LABELS, most), np.float32), pairs[1]
    features = core.join_features(*given)
    assert features.shape == (len(pairs[1]), 3 * len(all_rows) + 2 + most)
    assert (features == twin.join_features(*given)).all()


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(0, N_LABELS), st.sampled_from([-np.inf, 0.0, 0.3, 0.5]))
def test_any_pairs_are_ranked_as_by_the_twin(rows, n, least):
    ptr, labels, scores = ranked([sorted(row) for row in rows])
    found = core.rank_pairs(ptr, labels, scores, n, least)
    for own, other in zip(found, twin.rank_pairs(ptr, labels, scores, n, least), strict=True):
        assert own.tolist() == other.tolist()


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(0, N_LABELS + 1))
def test_any_rankings_are_padded_as_by_the_twin(rows, width):
    rankings = ranked(rows)
    for own, other in zip(rankings.padded(width), twin.pad_rankings(*rankings, width), strict=True):
        assert own.dtype == other.dtype
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("changes", [{"scores": np.zeros(2, np.float32)}, {"width": -1}, {"ptr": np.array([0, 3, 2])}])
def test_rankings_that_cannot_be_padded(changes):
    given = {"ptr": PTR, "labels": LABELS, "scores": SCORE, "width": 2} | changes
    with pytest.raises(ValueError, match=r"pairs|lists"):
        core.pad_rankings(*given.values())


PTR, LABELS, SCORE = np.array([0, 2, 3]), np.array([1, 4, 2], np.int32), np.array([1, 2, 3], np.float32)
RANKS = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    "ranking",
    [
        (PTR, LABELS, SCORE[:2]),
        (PTR[:2], LABELS, SCORE),
        (np.array([0, 3]), LABELS, SCORE),
        (np.array([0, 3, 2]), LABELS, SCORE),
        (PTR, np.array([1, N_LABELS, 2], np.int32), SCORE),
        (PTR, np.array([1, -1, 2], np.int32), SCORE),
    ],
)
def test_rankings_that_are_not_sound(ranking):
    with pytest.raises(ValueError):
        core.union_of_rankings([ranking], 2, N_LABELS)
    with pytest.raises(ValueError):
        core.look_up_pairs([ranking], PTR, LABELS, RANKS, 0.0, N_LABELS)


@pytest.mark.parametrize("ranking", [(PTR, LABELS), (PTR, LABELS.astype(np.int64), SCORE), None])
def test_rankings_of_another_type(ranking):
    with pytest.raises((RuntimeError, TypeError)):
        core.union_of_rankings([ranking], 2, N_LABELS)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([4, 1, 2], np.int32)},
        {"labels": np.array([1, 1, 2], np.int32)},
        {"labels": np.array([1, N_LABELS, 2], np.int32)},
        {"ranks": RANKS[:0]},
        {"ptr": PTR[:2]},
    ],
)
def test_pairs_that_are_not_sound(changes):
    given = {"ptr": PTR, "labels": LABELS, "ranks": RANKS} | changes
    with pytest.raises(ValueError, match=r"pairs|lists"):
        core.look_up_pairs([(PTR, LABELS, SCORE)], *given.values(), 0.0, N_LABELS)


OF_PAIRS, OF_LABELS = np.ones((1, 3), np.float32), np.ones((N_LABELS, 2), np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {"score": OF_PAIRS[:, :2].copy()},
        {"rank": OF_PAIRS[:0]},
        {"blocks": [np.ones((2, 1), np.float32)]},
        {"of_labels": OF_LABELS[:4]},
        {"labels": LABELS[:2]},
        {"labels": -LABELS},
    ],
)
def test_features_that_are_not_of_the_pairs(changes):
    given = {"score": OF_PAIRS, "rank": OF_PAIRS, "blocks": [], "of_labels": OF_LABELS, "labels": LABELS} | changes
    with pytest.raises(ValueError, match="pairs"):
        core.join_features(*given.values())


@pytest.mark.parametrize(
    "changes", [{"scores": SCORE[:2]}, {"scores": SCORE * np.nan}, {"n": -1}, {"least": np.nan}, {"ptr": PTR[:2]}]
)
def test_scores_that_are_not_sound(changes):
    given = {"ptr": PTR, "labels": LABELS, "scores": SCORE, "n": 2, "least": 0.0} | changes
    with pytest.raises(ValueError, match=r"pairs|lists"):
        core.rank_pairs(*given.values())
