"""Tokens of texts, and batches of like length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceiba.encoders import load_encoder
from ceiba.encoders.tokens import TokenRows, encoding_batches, length_groups, training_batches

lengths = st.lists(st.integers(0, 40), min_size=1, max_size=200).map(np.array)


def test_tokens_are_the_tokenizers(tiny_encoder, small_corpus):
    encoder = load_encoder(tiny_encoder, max_length=8)
    tokens = encoder.tokenize(small_corpus[0])
    for row, text in enumerate(small_corpus[0]):
        theirs = encoder.tokenizer(text, truncation=True, max_length=8)["input_ids"]
        assert tokens.ids[tokens.ptr[row] : tokens.ptr[row + 1]].tolist() == theirs
    assert tokens.lengths.max() == 8


def test_no_texts(tiny_encoder):
    tokens = load_encoder(tiny_encoder).tokenize([])
    assert (tokens.n_rows, len(tokens.ids)) == (0, 0)


def test_padding_stands_on_the_right():
    tokens = TokenRows(np.array([0, 2, 2, 5]), np.array([7, 8, 4, 5, 6], np.int32))
    ids, real = tokens.padded(np.array([2, 0, 1]), pad=9)
    assert ids.tolist() == [[4, 5, 6], [7, 8, 9], [9, 9, 9]]
    assert real.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_cut_to_their_beginnings():
    tokens = TokenRows(np.array([0, 2, 2, 5]), np.array([7, 8, 4, 5, 6], np.int32))
    cut = tokens.truncate(2)
    assert (cut.ptr.tolist(), cut.ids.tolist()) == ([0, 2, 2, 4], [7, 8, 4, 5])
    assert tokens.truncate(3) is tokens


@given(lengths, st.integers(1, 9), st.integers(0, 99))
def test_an_epoch_holds_every_text_once(lengths, batch_size, seed):
    batches = training_batches(lengths, batch_size, np.random.default_rng(seed), window=4)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert max(map(len, batches)) <= batch_size


def test_batches_are_of_like_length_and_in_random_order():
    lengths = np.random.default_rng(0).integers(1, 100, 3200)
    batches = training_batches(lengths, 32, np.random.default_rng(1))
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert padded < 1.1 * lengths.sum()
    means = [lengths[rows].mean() for rows in batches]
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3


@given(lengths, st.integers(1, 60))
def test_encoding_batches_hold_every_text_once_within_the_limit(lengths, limit):
    batches = list(encoding_batches(lengths, limit))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * lengths[rows].max() <= limit


@given(lengths)
def test_groups_hold_every_text_once_and_little_padding(lengths):
    groups = length_groups(lengths)
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    for rows in groups:
        assert lengths[rows].min() >= 0.75 * lengths[rows].max()


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_same_seed_same_batches(batch_size):
    lengths = np.arange(50)
    first, second = (training_batches(lengths, batch_size, np.random.default_rng(3)) for _ in range(2))
    assert all(map(np.array_equal, first, second))
