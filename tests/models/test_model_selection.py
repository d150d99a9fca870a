"""Splits of multi-label data: every label is shared out, and scores are finite."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score

from ceiba import MultilabelStratifiedKFold, XRLinear, iterative_train_test_split
from ceiba.data import encode_labels
from ceiba.errors import InputError

COLOURS, THINGS = ("red", "green", "blue"), ("car", "apple", "bird", "sea")
TEXTS = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS] * 3
LABELS = [text.split() for text in TEXTS]
LABELS[5], LABELS[17], LABELS[30] = [*LABELS[5], "once"], [*LABELS[17], "only"], [*LABELS[30], "only"]
INDICATOR, NAMES = encode_labels(LABELS)


def random_labels(seed, n=400, n_labels=60):
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_labels + 1)
    rows = np.repeat(np.arange(n), 3)
    columns = rng.choice(n_labels, len(rows), p=share / share.sum())
    return encode_labels(sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n_labels)))[0]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_splits", [2, 5])
def test_every_label_is_shared_out(n_splits, shuffle):
    Y = random_labels(0)
    folds = MultilabelStratifiedKFold(n_splits, shuffle=shuffle, random_state=3 if shuffle else None, rare="spread")
    counts, sizes = Y.sum(axis=0), []
    tests = []
    for train, test in folds.split(None, Y):
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(400))
        tests.append(test)
        sizes.append(len(test))
        found = Y[test].sum(axis=0)
        assert (found[counts >= 2 * n_splits] > 0).all()
        assert (abs(found - counts / n_splits) <= np.maximum(2, 0.15 * counts)).all()
    assert len(tests) == folds.get_n_splits() == n_splits
    assert np.array_equal(np.sort(np.concatenate(tests)), np.arange(400))
    assert max(sizes) - min(sizes) <= 8


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 6), max_size=3), min_size=6, max_size=30),
    st.integers(2, 4),
    st.booleans(),
)
def test_every_label_is_in_every_training_part(rows, n_splits, shuffle):
    folds = MultilabelStratifiedKFold(n_splits, shuffle=shuffle)
    everything = set().union(*rows)
    try:
        parts = list(folds.split(None, [list(row) for row in rows]))
    except InputError:  # nothing left to test
        return
    tested = np.concatenate([test for _, test in parts])
    assert len(np.unique(tested)) == len(tested)
    for train, test in parts:
        assert set().union(*(rows[row] for row in train)) == everything
        assert len(test)
        assert len(train) + len(test) == len(rows)


def test_the_same_every_time_unless_it_is_shuffled():
    Y = random_labels(1)

    def tests(**options):
        return [test.tolist() for _, test in MultilabelStratifiedKFold(3, **options).split(None, Y)]

    assert tests() == tests()
    assert tests(shuffle=True, random_state=4) == tests(shuffle=True, random_state=4)
    assert tests(shuffle=True, random_state=4) != tests(shuffle=True, random_state=5)
    assert tests(shuffle=True) != tests(shuffle=True)
    one, other = (np.random.RandomState(7) for _ in range(2))
    assert tests(shuffle=True, random_state=one) == tests(shuffle=True, random_state=other)


def test_containers_of_labels_are_alike():
    dense = INDICATOR.toarray()
    forms = [LABELS, INDICATOR, dense, INDICATOR.tocsc(), pd.DataFrame(dense, columns=NAMES), pl.Series(LABELS)]
    found = [[test.tolist() for _, test in MultilabelStratifiedKFold(3).split(TEXTS, Y)] for Y in forms]
    assert all(tests == found[0] for tests in found)


@pytest.mark.parametrize("as_lists", [True, False])
def test_grid_search_gives_finite_scores(as_lists):
    Y = LABELS if as_lists else INDICATOR
    search = GridSearchCV(XRLinear(n_jobs=1), {"C": [0.1, 1.0]}, cv=MultilabelStratifiedKFold(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.fit(TEXTS, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ == 1
    dense = Y if as_lists else Y.toarray()  # cross_val_score takes no sparse y
    assert (cross_val_score(XRLinear(n_jobs=1), TEXTS, dense, cv=MultilabelStratifiedKFold(3)) == 1).all()


def test_unknown_labels_count_as_not_found():
    Y = [["a"], ["b"], ["a"], ["b"], ["c"], ["d"]]
    folds = MultilabelStratifiedKFold(2, rare="spread")
    scores = cross_val_score(XRLinear(n_jobs=1), ["x", "y", "x", "y", "z", "w"], Y, cv=folds)
    assert np.isfinite(scores).all()
    assert (scores < 1).all()


@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_cross_val_predict(method):
    model = XRLinear(n_jobs=1, empty_labels="keep")
    folds = MultilabelStratifiedKFold(3, rare="spread")
    Y = INDICATOR if method == "predict" else INDICATOR.toarray()
    found = cross_val_predict(model, TEXTS, Y, cv=folds, method=method)
    assert found.shape == INDICATOR.shape
    if method == "predict":
        assert found.multiply(INDICATOR).sum() >= 0.9 * found.sum() > 0


def test_a_split_of_many_containers():
    n = len(TEXTS)
    rows = np.arange(n)
    given = [
        TEXTS,
        LABELS,
        tuple(TEXTS),
        rows,
        sp.csc_array(np.diag(rows + 1)),
        pd.Series(rows, index=rows[::-1]),
        pd.DataFrame({"row": rows}),
        pl.Series(rows),
        pl.DataFrame({"row": rows}),
        pa.array(rows),
        pa.table({"row": rows}),
        INDICATOR,
    ]
    found = iterative_train_test_split(*given, test_size=1 / 3, random_state=0)
    assert len(found) == 2 * len(given)
    for part in (0, 1):
        texts, labels, as_tuple, chosen, sparse, series, frame, column, table, arrow, arrow_table, Y = found[part::2]
        assert texts == [TEXTS[row] for row in chosen] == list(as_tuple)
        assert labels == [LABELS[row] for row in chosen]
        assert isinstance(as_tuple, tuple)
        assert (sparse.toarray().max(axis=1) - 1 == chosen).all()
        for values in (series, frame["row"], column, table["row"], arrow, arrow_table["row"]):
            assert list(np.asarray(values)) == list(chosen)
        assert (INDICATOR[chosen] != Y).nnz == 0
    assert sorted([*found[6], *found[7]]) == list(range(n))
    assert {label for row in found[2] for label in row} == set(NAMES)
    assert 8 <= len(found[1]) <= 14


@pytest.mark.parametrize("test_size", [0.1, 0.25, 0.5, 40])
def test_the_size_of_a_split(test_size):
    Y = random_labels(2)
    train, test, Y_train, _ = iterative_train_test_split(range(400), Y, test_size=test_size, random_state=0)
    expected = test_size if test_size >= 1 else 400 * test_size
    assert abs(len(test) - expected) <= 12
    assert Y_train.shape[0] == len(train)
    assert ((Y_train.sum(axis=0) > 0) == (Y.sum(axis=0) > 0)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: list(MultilabelStratifiedKFold(1).split(None, LABELS)), "n_splits"),
        (lambda: list(MultilabelStratifiedKFold(99).split(None, LABELS)), "n_splits=99.*36 rows"),
        (lambda: list(MultilabelStratifiedKFold(rare="drop").split(None, LABELS)), "rare"),
        (lambda: list(MultilabelStratifiedKFold(random_state=1).split(None, LABELS)), "shuffle"),
        (lambda: list(MultilabelStratifiedKFold().split(None, None)), "y is None"),
        (lambda: list(MultilabelStratifiedKFold().split(TEXTS[1:], LABELS)), "Y has 36 rows, X has 35"),
        (lambda: list(MultilabelStratifiedKFold(2).split(None, [["a"], ["b"], ["c"]])), "no row to test.*spread"),
        (lambda: iterative_train_test_split([], []), "no rows|0 rows"),
        (lambda: iterative_train_test_split(TEXTS, LABELS, test_size=0.0), "test_size"),
        (lambda: iterative_train_test_split(TEXTS, LABELS, test_size=36), "test_size=36.*36 rows"),
        (lambda: iterative_train_test_split(TEXTS, LABELS, TEXTS[1:]), "35 rows"),
    ],
)
def test_what_cannot_be_split(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_many_rows_and_labels():
    rng = np.random.default_rng(0)
    rows, columns = np.repeat(np.arange(20_000), 4), (3_000 * rng.random(80_000) ** 3).astype(int)
    Y = encode_labels(sp.csr_array((np.ones(80_000), (rows, columns)), shape=(20_000, 3_000)))[0]
    share = Y.sum(axis=0) / 5

    def misses(folds):
        return np.mean([abs(Y[test].sum(axis=0) - share).mean() for _, test in folds.split(Y, Y)])

    assert misses(MultilabelStratifiedKFold(5)) < 0.5 * misses(KFold(5, shuffle=True, random_state=0))
