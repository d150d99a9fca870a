"""Small made-up problems that have what real ones have: sparse rows, rare labels, neighbours that look alike."""

from __future__ import annotations

import signal
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import FeatureMatrix, as_features

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background; children would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Problem(NamedTuple):
    """Features and labels of N rows."""

    X: sp.csr_array
    Y: sp.csr_array

    @property
    def features(self) -> FeatureMatrix:
        return as_features(self.X)

    @property
    def positives(self) -> InstanceLists:
        return InstanceLists.from_columns(self.Y)

    @property
    def label_lists(self) -> list[list[int]]:
        return [row.tolist() for row in np.split(self.Y.indices, self.Y.indptr[1:-1])]


def _make_problem(
    n: int = 120, d: int = 60, n_labels: int = 30, *, seed: int = 0, zero_rows: int = 0, per_row: int = 3
) -> Problem:
    """Draw rows around the features of their labels; every label is positive at least once where n allows it."""
    rng = np.random.default_rng(seed)
    topics = max(1, n_labels // 6)
    topic = rng.random((topics, d)) * (rng.random((topics, d)) < 0.2)
    prototype = topic[np.arange(n_labels) % topics] + rng.random((n_labels, d)) * (rng.random((n_labels, d)) < 0.1)
    Y = np.zeros((n, n_labels), np.float32)
    Y[np.arange(n), np.arange(n) % n_labels] = 1
    share = 1 / np.arange(1, n_labels + 1)
    for row in range(n):
        more = rng.integers(0, per_row)
        if more:
            Y[row, rng.choice(n_labels, min(more, n_labels), replace=False, p=share / share.sum())] = 1
    X = Y @ prototype + rng.random((n, d)) * (rng.random((n, d)) < 0.05)
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-9)
    if zero_rows:
        X[rng.choice(n, zero_rows, replace=False)] = 0
    return Problem(sp.csr_array(X.astype(np.float32)), sp.csr_array(Y))


@pytest.fixture(scope="session")
def make_problem():
    """Return the function that draws a problem: ``make_problem(n, d, n_labels, seed=..., zero_rows=...)``."""
    return _make_problem


WORDS = ["red", "green", "blue", "apple", "car", "tree", "fast", "slow", "ripe", "old", "new", "##s", "a", "the", "of"]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """Make a folder with a random BERT of two layers, 16 wide, that knows fifteen words."""
    torch = pytest.importorskip("torch")
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*specials, *WORDS]))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(specials) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_corpus():
    """Return texts and label lists that a bag of words can learn: 90 texts, 18 labels."""
    rng = np.random.default_rng(0)
    colors, things, ways = WORDS[:3], WORDS[3:6], WORDS[6:11]
    texts, labels = [], []
    for _ in range(90):
        color, thing, way = rng.choice(colors), rng.choice(things), rng.choice(ways)
        texts.append(f"the {way} {color} {thing} {'of a ' * rng.integers(0, 4)}".strip())
        labels.append([f"{color} {thing}", str(thing), str(way)])
    return texts, labels
