"""Long-tailed text-like sets of any size: how training time grows with the number of labels.

Labels stand in topics of some 50 labels, topics in fields of some 50 topics, so that a label tree has something to
find. Label frequencies follow a power law with at least one document per label, as in the public sets. A document has
words of its labels, of their topic, of its field, and of everyday language, whose frequencies follow Zipf's law; the
vocabulary grows with the square root of the number of documents (Heaps' law). Features are TF-IDF rows of length 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_LABELS_PER_TOPIC = 50
_TOPICS_PER_FIELD = 50
_BLOCK = 100_000  # documents made at a time
_LABEL_WORDS, _TOPIC_WORDS, _FIELD_WORDS = 12, 40, 200  # characteristic words of each
_WORDS = 60  # of a document, repeated ones included
_SHARES = np.cumsum(
    [0.40, 0.20, 0.10]
)  # of a document's words: its labels', its topic's, its field's; the rest is everyday


@dataclass
class SyntheticSet:
    """Training and test features and labels, as sparse matrices of float32."""

    X: sp.csr_matrix
    Y: sp.csr_matrix
    X_test: sp.csr_matrix
    Y_test: sp.csr_matrix


def generate(n_labels: int, n_documents: int | None = None, *, n_test: int = 10_000, seed: int = 0) -> SyntheticSet:
    """Draw a set.

    Parameters
    ----------
    n_labels : int
        L; every label has a training document.
    n_documents : int or None, default=None
        N of the training set, at least L; L when None.
    n_test : int, default=10_000
        Test documents, drawn as the training documents are but for the guarantee that every label occurs.
    seed : int, default=0
        The same seed gives the same set.
    """
    n_documents = n_labels if n_documents is None else n_documents
    if n_labels < 1 or n_documents < n_labels:
        raise ValueError(f"n_documents={n_documents} must be at least n_labels={n_labels}, which must be at least 1")
    rng = np.random.default_rng(seed)
    popularity = _popularity(n_labels, rng)
    n_words = 2_000 + int(300 * n_documents**0.5)
    first = np.concatenate([np.arange(n_labels), rng.choice(n_labels, n_documents - n_labels, p=popularity)])
    rng.shuffle(first)
    counts, Y = _documents(first, popularity, n_words, rng)
    test_counts, Y_test = _documents(rng.choice(n_labels, n_test, p=popularity), popularity, n_words, rng)
    df = np.bincount(counts.indices, minlength=n_words)
    idf = np.log((1 + n_documents) / (1 + df)) + 1
    return SyntheticSet(_tfidf(counts, idf), Y, _tfidf(test_counts, idf), Y_test)


def _popularity(n_labels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the labels' shares: a power law in random order."""
    weights = 1.0 / (np.arange(n_labels) + 10.0) ** 0.9
    rng.shuffle(weights)
    return weights / weights.sum()


def _documents(
    first: NDArray, popularity: NDArray, n_words: int, rng: np.random.Generator
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return word counts and labels of documents, given one label of each."""
    counts, labels = [], []
    cumulative = np.cumsum(popularity)
    for start in range(0, len(first), _BLOCK):
        own = _labels(first[start : start + _BLOCK], cumulative, rng)
        words = _words(own, n_words, rng)
        n = len(own)
        ends = np.arange(n + 1) * _WORDS
        block = sp.csr_matrix((np.ones(words.size, np.float32), words.ravel(), ends), shape=(n, n_words))
        block.sum_duplicates()
        counts.append(block)
        wanted = own >= 0
        ends = np.concatenate([[0], np.cumsum(wanted.sum(axis=1))])
        block = sp.csr_matrix((np.ones(ends[-1], np.float32), own[wanted], ends), shape=(n, len(popularity)))
        block.sum_duplicates()
        block.data[:] = 1
        labels.append(block)
    return sp.vstack(counts, format="csr"), sp.vstack(labels, format="csr")


def _labels(first: NDArray, cumulative: NDArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return up to five labels of each document, three on average, most of them of the first one's topic."""
    n, n_labels = len(first), len(cumulative)
    own = np.full((n, 5), -1, np.int64)
    own[:, 0] = first
    more = np.minimum(rng.poisson(2.1, n), 4)
    topic = first // _LABELS_PER_TOPIC * _LABELS_PER_TOPIC
    for place in range(1, 5):
        # within a topic the first labels are the frequent ones, so that co-occurrence has a long tail too
        near = topic + (rng.random(n) ** 3 * np.minimum(_LABELS_PER_TOPIC, n_labels - topic)).astype(np.int64)
        far = np.minimum(np.searchsorted(cumulative, rng.random(n)), n_labels - 1)
        own[:, place] = np.where(place <= more, np.where(rng.random(n) < 0.85, near, far), -1)
    return own


def _words(own: NDArray, n_words: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the words of documents, (n, _WORDS)."""
    n = len(own)
    number = (own >= 0).sum(axis=1)
    words = np.empty((n, _WORDS), np.int32)
    topic = own[:, 0] // _LABELS_PER_TOPIC
    for place in range(_WORDS):
        kind = np.searchsorted(_SHARES, rng.random(n))
        label = own[np.arange(n), (rng.random(n) * number).astype(np.int64)]
        source = np.select([kind == 0, kind == 1, kind == 2], [label, topic, topic // _TOPICS_PER_FIELD], 0)
        size = np.array([_LABEL_WORDS, _TOPIC_WORDS, _FIELD_WORDS, 1])[kind]
        which = (rng.random(n) ** 2 * size).astype(np.int64)
        characteristic = _scatter(source * 4 + kind, which, n_words)
        everyday = np.minimum(np.exp(rng.random(n) * np.log(n_words)).astype(np.int64) - 1, n_words - 1)
        words[:, place] = np.where(kind == 3, everyday, characteristic)
    return words


def _scatter(source: NDArray, which: NDArray, n_words: int) -> NDArray[np.int64]:
    """Return a fixed pseudo-random word for each source and number; lower words are more often shared."""
    key = source.astype(np.uint64) * np.uint64(1_000_003) + which.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    key ^= key >> np.uint64(31)
    return ((key >> np.uint64(11)).astype(np.float64) / 2**53 * n_words).astype(np.int64)


def _tfidf(counts: sp.csr_matrix, idf: NDArray) -> sp.csr_matrix:
    """Weigh counts sublinearly and scale rows to length 1."""
    X = counts.astype(np.float32)
    X.data = ((1 + np.log(X.data)) * idf[X.indices]).astype(np.float32)
    lengths = np.sqrt(np.add.reduceat(np.append(X.data, 0) ** 2, X.indptr[:-1]))
    X.data /= np.repeat(lengths, np.diff(X.indptr)).astype(np.float32)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X
