"""A second look at the most probable labels of a row."""

import pickle

import numpy as np
import pytest

from ceiba.data.offsets import offsets
from ceiba.fusion.row_context import HeldOutPairs, RowContext, context_features
from ceiba.retrieval.dense_labels import DenseLabels


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_context_of_a_small_row():
    embeddings = DenseLabels(np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], np.float32), name="e")
    ptr, labels = np.array([0, 0, 3]), np.array([0, 2, 3], np.int32)
    first = np.array([0.2, 0.5, 0.1], np.float32)
    at, found = context_features(ptr, labels, first, embeddings)
    assert at.tolist() == [1, 0, 2]
    p = np.array([0.5, 0.2, 0.1])
    log_odds = np.log(p / (1 - p))
    expected = [
        log_odds,
        [0, 1, 2],
        log_odds - log_odds[0],
        [0.8] * 3,
        [0.8, 0.3, 0.1],
        [0.5] * 3,
        [0, 0.5, 0.7],
        [(0.6 * 0.2 + 0.6 * 0.1) / 0.3, (0.6 * 0.5 + 0.1) / 0.6, (0.6 * 0.5 + 0.2) / 0.7],
        [0, 0.6, 1.0],
        [0, 0.3, 0.3],
    ]
    np.testing.assert_allclose(found, np.transpose(expected), atol=1e-6)


def rows_of_topics(n, seed):
    """Return pairs where the labels near to the first one are right; their features and probabilities do not tell."""
    rng = np.random.default_rng(seed)
    topics = unit(np.eye(6)[np.arange(90) % 6] + 0.1 * np.random.default_rng(0).normal(size=(90, 6)))
    labels = np.concatenate([np.sort(rng.choice(90, 60, replace=False)) for _ in range(n)]).astype(np.int32)
    first = np.full(len(labels), 0.1, np.float32) + rng.random(len(labels)).astype(np.float32) * 0.02
    leading = np.arange(n) * 60 + rng.integers(0, 60, n)
    first[leading] = 0.9
    topic = np.repeat(labels[leading] % 6, 60)
    right = (labels % 6 == topic) & (rng.random(len(labels)) < 0.9)
    return HeldOutPairs(offsets([60] * n), labels, rng.random((len(labels), 3), np.float32), right, first), topics


@pytest.fixture(scope="module")
def learned():
    pytest.importorskip("lightgbm")
    pairs, topics = rows_of_topics(300, 1)
    return RowContext.fitted([pairs], DenseLabels(topics, name="label-embeddings"), seed=0, n_threads=1)


def test_labels_that_are_like_the_first_are_moved_up(learned):
    pairs, _ = rows_of_topics(40, 2)
    second = learned.rerank(pairs.ptr, pairs.labels, pairs.features, pairs.first)
    changed = second != pairs.first
    assert changed.reshape(40, 60).sum(axis=1).max() <= 50
    assert np.mean(second[changed & pairs.right]) > np.mean(second[changed & ~pairs.right]) + 0.5
    assert ((second >= 0) & (second <= 1)).all()


def test_a_row_alone_and_among_others_has_the_same_probabilities(learned):
    pairs, _ = rows_of_topics(30, 3)
    together = learned.rerank(pairs.ptr, pairs.labels, pairs.features, pairs.first)
    for row in (0, 13, 29):
        own = slice(60 * row, 60 * row + 60)
        alone = learned.rerank(np.array([0, 60]), pairs.labels[own], pairs.features[own], pairs.first[own])
        np.testing.assert_array_equal(alone, together[own])


def test_no_rows_and_rows_without_labels(learned):
    nothing = np.empty(0, np.int32), np.empty((0, 3), np.float32), np.empty(0, np.float32)
    assert not len(learned.rerank(np.array([0]), *nothing))
    assert not len(learned.rerank(np.array([0, 0, 0]), *nothing))


def test_the_number_of_threads_does_not_matter_and_copies_are_alike(learned):
    pairs, topics = rows_of_topics(40, 1)
    one, two = (
        RowContext.fitted([pairs], DenseLabels(topics, name="label-embeddings"), seed=0, n_threads=n) for n in (1, 2)
    )
    for a, b in ((one, two), (learned, pickle.loads(pickle.dumps(learned)))):
        np.testing.assert_array_equal(*(each.rerank(*pairs[:3], pairs.first) for each in (a, b)))
