"""Dense features beside sparse ones, or alone."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba.errors import InputError
from ceiba.features.matrix import FeatureMatrix, as_features, stacked

SPARSE = as_features(sp.csr_array(np.array([[0, 2, 0], [1, 0, 0]], np.float32)))
DENSE = np.array([[0.5, 0.0], [-1.0, 3.0]], np.float32)
JOINED = [[0, 2, 0, 0.5, 0], [1, 0, 0, -1, 3]]


def test_dense_features_come_after_the_sparse_ones():
    X = SPARSE.with_block("dense", DENSE)
    assert (X.n_rows, X.n_features, X.n_sparse) == (2, 5, 3)
    assert X.to_scipy().toarray().tolist() == JOINED
    assert X.row_sizes().tolist() == [3, 3]
    assert X.arrays()[3] is X.dense


def test_nothing_is_copied():
    X = SPARSE.with_block("dense", DENSE)
    assert X.dense is DENSE
    assert X.indices is SPARSE.indices
    given = np.ones((4, 3), np.float32)
    assert np.shares_memory(as_features(given).dense, given)
    assert as_features(X) is X


def test_dense_features_beside_dense_ones():
    first = SPARSE.with_block("given", DENSE)
    X = first.with_block("embedding", 2 * DENSE[:, :1])
    assert X.to_scipy().toarray().tolist() == [JOINED[0] + [1], JOINED[1] + [-2]]
    assert X.dense.flags.c_contiguous
    assert (X.n_features, X.n_sparse) == (6, 3)
    assert X.block("given").tolist() == DENSE.tolist()
    assert X.block("embedding").tolist() == [[1], [-2]]
    assert list(X.block_features("given")) == [3, 4]
    assert list(X.block_features("embedding")) == [5]
    assert first.dense is DENSE  # what a block was put beside is as it was


def test_blocks_are_found_by_name():
    X = SPARSE.with_block("embedding", DENSE)
    assert X.block("embedding") is DENSE
    assert not X.has_block("given")
    with pytest.raises(InputError, match="'given'"):
        X.block("given")
    with pytest.raises(InputError, match="'embedding'"):
        SPARSE.block("embedding")
    with pytest.raises(InputError, match="'embedding'"):
        X.with_block("embedding", DENSE)
    with pytest.raises(InputError, match="'given' has 1 rows"):
        X.with_block("given", DENSE[:1])


def test_rows_and_parts_keep_their_blocks():
    X = SPARSE.with_block("given", DENSE).with_block("embedding", 2 * DENSE)
    for some in (X.rows(np.array([1])), X.part(1, 2)):
        assert some.to_scipy().toarray().tolist() == X.to_scipy().toarray()[1:].tolist()
        assert some.block("given").tolist() == [[-1, 3]]
        assert some.block("embedding").tolist() == [[-2, 6]]
    assert np.shares_memory(X.part(1, 2).dense, X.dense)


def test_a_matrix_cannot_be_changed():
    X = SPARSE.with_block("given", DENSE)
    for name in ("indptr", "indices", "data", "dense", "blocks", "n_sparse"):
        with pytest.raises(FrozenInstanceError):
            setattr(X, name, None)


def test_neighbouring_parts_are_put_together_without_a_copy():
    X = FeatureMatrix.from_block("embedding", np.arange(20, dtype=np.float32).reshape(10, 2))
    inner = X.part(1, 9)
    above, below = inner.part(0, 3), inner.part(3, 6)
    both = stacked(above, below)
    assert np.shares_memory(both.dense, X.dense)
    assert both.block("embedding").tolist() == X.dense[1:7].tolist()
    for apart in (stacked(above, inner.part(4, 6)), stacked(below, above), stacked(above, X.rows(np.arange(4, 7)))):
        assert not np.shares_memory(apart.dense, X.dense)
    assert stacked(above, inner.part(4, 6)).dense.tolist() == X.dense[[1, 2, 3, 5, 6]].tolist()
    assert stacked(below, above).dense.tolist() == X.dense[[4, 5, 6, 1, 2, 3]].tolist()


@pytest.mark.parametrize("dense", [DENSE[:, ::-1], DENSE.astype(np.float64), np.asfortranarray(DENSE)])
def test_any_order_and_type_becomes_the_core_s(dense):
    X = FeatureMatrix.from_block("dense", dense)
    assert X.dense.dtype == np.float32
    assert X.dense.flags.c_contiguous
    assert X.to_scipy().toarray().tolist() == dense.tolist()
    assert X.n_sparse == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e16])
def test_values_that_cannot_be_learned_from(value):
    bad = DENSE.copy()
    bad[1, 1] = value
    with pytest.raises(InputError, match="dense"):
        SPARSE.with_block("dense", bad)
    with pytest.raises(InputError, match="rows of mine"):
        as_features(bad, name="rows of mine")


@pytest.mark.parametrize(("zeros", "is_dense"), [(0, True), (5, True), (6, False), (10, False)])
def test_an_array_stays_dense_when_half_of_it_is_not_zero(zeros, is_dense):
    array = np.arange(1.0, 11.0).reshape(2, 5)
    array.flat[:zeros] = 0
    X = as_features(array)
    assert (X.dense is not None) == is_dense
    assert X.to_scipy().toarray().tolist() == array.tolist()
    assert X.n_features == 5


def test_features_that_do_not_fit_the_model():
    for X in (SPARSE.with_block("dense", DENSE), np.ones((2, 5))):
        assert as_features(X, 5).n_features == 5
        with pytest.raises(InputError, match=r"5 features.*4"):
            as_features(X, 4)
    with pytest.raises(InputError, match="empty"):
        as_features(FeatureMatrix.from_block("dense", np.ones((0, 3), np.float32)))
