"""The generator of long-tailed sets."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.synthetic import generate


def same(a, b):
    return a.shape == b.shape and (a != b).nnz == 0


def test_a_seed_is_a_set():
    first, again, other = generate(300, seed=1), generate(300, seed=1), generate(300, seed=2)
    for name in ("X", "Y", "X_test", "Y_test"):
        assert same(getattr(first, name), getattr(again, name))
    assert not same(first.Y, other.Y)


def test_sizes_and_tail():
    made = generate(2000, 6000, n_test=500)
    assert made.X.shape[0] == made.Y.shape[0] == 6000
    assert made.X_test.shape == (500, made.X.shape[1])
    assert made.Y_test.shape == (500, 2000)
    counts = np.asarray(made.Y.sum(axis=0)).ravel()
    assert counts.min() >= 1  # every label has a document
    assert counts.max() > 10 * np.median(counts)
    assert 2 < made.Y.nnz / 6000 < 4
    assert set(np.unique(made.Y.data)) == {1.0}


def test_labels_per_document_do_not_depend_on_their_number():
    few, many = generate(500), generate(8000)
    assert few.Y.nnz / few.Y.shape[0] == pytest.approx(many.Y.nnz / many.Y.shape[0], rel=0.1)


def test_rows_have_length_1():
    X = generate(400).X
    np.testing.assert_allclose(np.sqrt(X.multiply(X).sum(axis=1)).A1, 1, rtol=1e-5)


def test_what_cannot_be():
    with pytest.raises(ValueError, match=r"n_documents=5.*n_labels=10"):
        generate(10, 5)
