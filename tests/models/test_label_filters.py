"""`allowed` and `denied`: labels that rows may and must not get, for all rows or for each."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from ceiba import XRLinear
from ceiba.errors import InputError, InputTypeError

N, L = 60, 40


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = sp.random_array((N, 30), density=0.3, format="csr", dtype=np.float32, rng=rng)
    Y = [rng.choice(L, 3, replace=False).tolist() for _ in range(N - 10)] + [[label] for label in range(10)]
    Y[0] = list(range(L))
    return X, Y


@pytest.fixture(scope="module")
def model(data):
    return XRLinear(max_leaf_size=5, branching_factor=3, n_trees=2, n_jobs=1, beam_size=3).fit(*data)


@pytest.fixture(scope="module")
def names(data):
    X, Y = data
    return XRLinear(max_leaf_size=5, branching_factor=3, n_jobs=1).fit(X, [[f"l{y:02}" for y in row] for row in Y])


def full(model, X):
    """Labels and scores of a search that leaves nothing out."""
    return model.predict_topk(X, L, beam_size=10**6)


def expected(model, X, may, k):
    """The k best of the labels that each row may get."""
    labels, scores = full(model, X)
    found = []
    for row, kept in zip(range(len(labels)), may, strict=True):
        pairs = [pair for pair in zip(labels[row].tolist(), scores[row].tolist(), strict=True) if pair[0] in kept]
        found.append(pairs[:k])
    return found


def found(model, X, k, **filters):
    labels, scores = model.predict_topk(X, k, **filters)
    return [
        [(label, score) for label, score in zip(*row, strict=True) if label is not None]
        for row in zip(labels.tolist(), scores.tolist(), strict=True)
    ]


FEW = [3, 17, 8, 30]
CONTAINERS = [list, tuple, set, np.array, pd.Series, pd.Index, iter]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_collection_counts_for_all_rows(kind, model, data):
    X, _ = data
    assert found(model, X, 3, allowed=kind(FEW)) == expected(model, X, [set(FEW)] * N, 3)
    rest = [set(range(L)) - set(FEW)] * N
    assert found(model, X, 3, denied=kind(FEW), beam_size=10**6) == expected(model, X, rest, 3)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_labels_that_are_names(kind, names, data):
    X, _ = data
    few = ["l03", "l17"]
    assert found(names, X, 3, allowed=kind(few)) == expected(names, X, [set(few)] * N, 3)


def test_each_row_has_its_own(model, data):
    X, _ = data
    rng = np.random.default_rng(1)
    lists = [rng.choice(L, size, replace=False).tolist() for size in rng.integers(0, 12, N)]
    indicator = np.zeros((N, L))
    for row, labels in enumerate(lists):
        indicator[row, labels] = 1
    allowed = expected(model, X, [set(row) for row in lists], 4)
    rest = expected(model, X, [set(range(L)) - set(row) for row in lists], 4)
    objects = np.empty(N, object)
    objects[:] = lists
    for given in (lists, [set(row) for row in lists], objects, indicator, sp.csr_array(indicator), indicator > 0):
        assert found(model, X, 4, allowed=given) == allowed
        assert found(model, X, 4, denied=given, beam_size=10**6) == rest


def test_both_at_once(model, data):
    X, Y = data
    may = [set(FEW) - set(row) for row in Y]
    assert found(model, X, 4, allowed=FEW, denied=Y) == expected(model, X, may, 4)
    each = [FEW] * N
    assert found(model, X, 4, allowed=each, denied=Y) == expected(model, X, may, 4)
    assert found(model, X, 4, allowed=each, denied=[3, 8]) == expected(model, X, [{17, 30}] * N, 4)


def test_allowed_labels_are_all_found_however_narrow_the_beam(model, data):
    X, _ = data
    for beam_size in (1, 3):
        rows = found(model, X, L, allowed=list(range(0, L, 2)), beam_size=beam_size)
        assert all(len(row) == L // 2 for row in rows)
    assert found(model, X, L, allowed=range(L), beam_size=1) == expected(model, X, [set(range(L))] * N, L)


@pytest.mark.parametrize("name", ["allowed", "denied"])
def test_unknown_labels_are_errors_that_name_them(name, model, names, data):
    X, _ = data
    with pytest.raises(InputError, match=f"{name}, entry 4.*999"):
        model.predict_topk(X, 3, **{name: [*FEW, 999]})
    with pytest.raises(InputError, match=f"{name}, entry 0.*'new'"):
        names.predict_topk(X, 3, **{name: ["new"]})
    with pytest.raises(InputError, match=f"{name}, row 1.*999"):
        model.predict_topk(X[:2], 3, **{name: [[3], [17, 999]]})
    frame = pd.DataFrame(np.ones((2, 2)), columns=["l03", "new"])
    with pytest.raises(InputError, match=f"{name}.*'new'"):
        names.predict_topk(X[:2], 3, **{name: frame})


def test_rows_that_may_get_nothing(model, data):
    X, _ = data
    assert found(model, X, 3, denied=[]) == found(model, X, 3)
    assert found(model, X[:2], 3, allowed=[[], [3]]) == [[], found(model, X[[1]], 3, allowed=[3])[0]]


def test_no_rows(model, data):
    X, _ = data
    for nothing in ([], FEW):
        assert model.predict_topk(X[:0], 3, allowed=nothing, denied=nothing)[0].shape == (0, 3)


@pytest.mark.parametrize("name", ["allowed", "denied"])
def test_bad_input_is_one_clear_error(name, model, names, data):
    X, Y = data
    for bad in ("l03", b"l03", 3, {3: 1}, np.array(3), [3, [4]], [[3]] * (N - 1) + [4], [3, None], [3.5], ["l03"]):
        with pytest.raises(InputTypeError, match=name):
            model.predict_topk(X, 3, **{name: bad})
    for bad in ([3], [["l03"]] * (N - 1) + ["l04"]):
        with pytest.raises(InputTypeError, match=name):
            names.predict_topk(X, 3, **{name: bad})
    for bad in (Y[:5], np.ones((5, L)), np.ones((N, L + 1))):
        with pytest.raises(InputError, match=name):
            model.predict_topk(X, 3, **{name: bad})


def test_no_label_that_is_allowed_is_an_error(model, data):
    for none in ([], [999]):
        with pytest.raises(InputError, match="allowed"):
            model.predict_topk(data[0], 3, allowed=none)


def test_the_former_name_says_what_to_write(model, data):
    X, Y = data
    with pytest.raises(InputTypeError, match="denied"):
        model.predict_topk(X, 3, filter=Y)


def test_predict_takes_filters_too():
    texts = ["a red apple", "a green apple", "a red car", "a green car"] * 3
    labels = [["fruit", "red"], ["fruit", "green"], ["car", "red"], ["car", "green"]] * 3
    model = XRLinear(prediction_threshold=0.3, n_jobs=1).fit(texts, labels)
    asked = texts[:2]
    assert [sorted(row) for row in model.predict_labels(asked)] == [["fruit", "red"], ["fruit", "green"]]
    assert [row.tolist() for row in model.predict_labels(asked, denied=["fruit"])] == [["red"], ["green"]]
    per_row = model.predict(asked, allowed=[["fruit"], ["green"]])
    assert [model.classes_[per_row[[i]].indices].tolist() for i in range(2)] == [["fruit"], ["green"]]
    with pytest.raises(InputError, match="denied"):
        model.predict(asked, denied=["boat"])
