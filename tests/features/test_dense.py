"""Dense features beside sparse ones, or alone."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba.errors import InputError
from ceiba.features.dense import dense_features, with_dense
from ceiba.features.matrix import as_features

SPARSE = as_features(sp.csr_array(np.array([[0, 2, 0], [1, 0, 0]], np.float32)))
DENSE = np.array([[0.5, 0.0], [-1.0, 3.0]], np.float32)
JOINED = [[0, 2, 0, 0.5, 0], [1, 0, 0, -1, 3]]


def test_dense_features_come_after_the_sparse_ones():
    X = with_dense(SPARSE, DENSE)
    assert (X.n_rows, X.n_features, X.n_sparse) == (2, 5, 3)
    assert X.to_scipy().toarray().tolist() == JOINED
    assert X.row_sizes().tolist() == [3, 3]
    assert X.arrays()[3] is X.dense


def test_nothing_is_copied():
    X = with_dense(SPARSE, DENSE)
    assert X.dense is DENSE
    assert X.indices is SPARSE.indices
    given = np.ones((4, 3), np.float32)
    assert np.shares_memory(as_features(given).dense, given)
    assert as_features(X) is X


def test_dense_features_beside_dense_ones():
    X = with_dense(with_dense(SPARSE, DENSE), 2 * DENSE)
    assert X.to_scipy().toarray().tolist() == [JOINED[0] + [1, 0], JOINED[1] + [-2, 6]]
    assert X.dense.flags.c_contiguous
    assert (X.n_features, X.n_sparse) == (7, 3)


@pytest.mark.parametrize("dense", [DENSE[:, ::-1], DENSE.astype(np.float64), np.asfortranarray(DENSE)])
def test_any_order_and_type_becomes_the_core_s(dense):
    X = dense_features(dense)
    assert X.dense.dtype == np.float32
    assert X.dense.flags.c_contiguous
    assert X.to_scipy().toarray().tolist() == dense.tolist()
    assert X.n_sparse == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e16])
def test_values_that_cannot_be_learned_from(value):
    bad = DENSE.copy()
    bad[1, 1] = value
    with pytest.raises(InputError, match="dense"):
        with_dense(SPARSE, bad)
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
    for X in (with_dense(SPARSE, DENSE), np.ones((2, 5))):
        assert as_features(X, 5).n_features == 5
        with pytest.raises(InputError, match="has 5 features, but the model is expecting 4"):
            as_features(X, 4)
    with pytest.raises(InputError, match="empty"):
        as_features(dense_features(np.ones((0, 3), np.float32)))
