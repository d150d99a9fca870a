"""Votes of several powers by the same neighbors: one search, saved once."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba import HybridClassifier
from ceiba.features.matrix import as_features
from ceiba.models import load
from ceiba.reference.sparse_index import merge_columns
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.neighbors import SPARSE, Neighbors
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.sparse_index import SparseIndex
from ceiba.retrieval.sparse_labels import merged_columns

X = as_features(sp.random_array((30, 12), density=0.4, rng=np.random.default_rng(0), format="csr", dtype=np.float32))
Y = sp.csr_array(np.eye(30, dtype=np.float32)[:, :30] + np.eye(30, k=1, dtype=np.float32))
CTX = SearchContext()


class Counting(SparseIndex):
    searches = 0

    def search(self, *args, **options):
        self.searches += 1
        return super().search(*args, **options)


def neighbors(index, power, name):
    return Neighbors(index, NeighborVotes(Y), name=name, block=SPARSE, power=power, n_neighbors=5)


def test_all_powers_are_of_one_search():
    index = Counting(X)
    first = neighbors(index, 1.0, "a")
    second = first.with_power(4.0, name="b")
    Q = Queries(X.part(0, 3))
    found = [each.candidates(Q, 4, ctx=CTX) for each in (first, second)]
    assert index.searches == 1
    for own, power, name in zip(found, (1.0, 4.0), ("a", "b"), strict=True):
        alone = neighbors(SparseIndex(X), power, name).candidates(Queries(X.part(0, 3)), 4, ctx=CTX)
        assert all((a == b).all() for a, b in zip(own, alone, strict=True))
    first.candidates(Queries(X.part(3, 6)), 4, ctx=CTX)  # other rows
    assert index.searches == 2


def test_what_is_computed_once_is_of_these_rows_alone():
    Q = Queries(X)
    assert Q.once("n", lambda: Q.n_rows) == Q.once("n", lambda: 0) == 30
    assert Q.part(0, 3).once("n", lambda: 3) == 3


def test_instances_are_saved_once(tmp_path):
    texts = [f"{a} {b}" for a in ("red", "green", "blue", "old") for b in ("car", "apple", "house", "boat")] * 2
    labels = [[text.split()[1]] for text in texts]
    model = HybridClassifier(sources=["neighbors"], fusion="logistic").fit(texts, labels)
    model.save(tmp_path / "m")
    assert len(list((tmp_path / "m").rglob("neighbors-*.safetensors"))) == 1
    again = load(tmp_path / "m")
    for a, b in zip(model.predict_topk(texts, k=3), again.predict_topk(texts, k=3), strict=True):
        assert (a == b).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0, 0.6))
def test_merged_columns_are_those_of_the_twin(seed, n_columns, density):
    rng = np.random.default_rng(seed)
    rows = as_features(
        sp.random_array((4, 20), density=density, rng=rng, format="csr", dtype=np.float32), allow_empty=True
    )
    merged = rng.integers(0, n_columns, 20).astype(np.int32)
    found = merged_columns(rows, merged, n_columns)
    for i, expected in enumerate(merge_columns(rows, merged, n_columns)):
        own = slice(found.indptr[i], found.indptr[i + 1])
        assert dict(zip(found.indices[own].tolist(), found.data[own], strict=True)) == expected


@pytest.mark.parametrize("merged", [[0, 1], [0, 1, 2], [0, 1, -1]])
def test_columns_that_there_are_not(merged):
    from ceiba._native import core

    with pytest.raises(ValueError):
        core.merge_columns(
            np.array([0, 1]), np.array([2], np.int32), np.ones(1, np.float32), np.array(merged, np.int32), 2
        )
