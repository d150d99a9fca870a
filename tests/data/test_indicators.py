"""Indicators are read the same way whatever holds them, or refused; they are never lists of the labels 0 and 1."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from ceiba import XRLinear, metrics
from ceiba.data import encode_labels, encode_with
from ceiba.errors import CeibaError, InputError, InputTypeError

Y = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1], [1, 0, 0]])
NAMES = ["b", "a", "c"]
FRAME = pd.DataFrame(Y, columns=NAMES)


class Tensor:
    """Looks like an array of another library."""

    ndim = 2
    shape = Y.shape

    def __array__(self, dtype=None, copy=None):
        return Y.astype(dtype)

    def __iter__(self):
        return iter(Y)


UNNAMED = {
    "int": Y,
    "bool": Y.astype(bool),
    "uint8": Y.astype(np.uint8),
    "float": Y.astype(float),
    "object of int": Y.astype(object),
    "object of float": Y.astype(float).astype(object),
    "object of bool": Y.astype(bool).astype(object),
    "object of NumPy's": np.array([[np.int8(v) for v in row] for row in Y], object),
    "matrix": np.asmatrix(Y),
    "matrix of objects": np.asmatrix(Y.astype(object)),
    "Fortran": np.asfortranarray(Y),
    "backwards": Y[::-1][::-1],
    "tensor": Tensor(),
    "pandas": pd.DataFrame(Y),
    "pandas, another index": pd.DataFrame(Y, index=[7, 3, 3, 1]),
    "csr": sp.csr_array(Y),
    "coo matrix": sp.coo_matrix(Y),
    "lil": sp.lil_array(Y),
}
NAMED = {
    "pandas": FRAME,
    "pandas bool": FRAME.astype(bool),
    "pandas float": FRAME.astype(float),
    "pandas object": FRAME.astype(object),
    "pandas Int64": FRAME.astype("Int64"),
    "pandas boolean": FRAME.astype(bool).astype("boolean"),
    "pandas Float32": FRAME.astype("Float32"),
    "pandas Arrow": FRAME.astype(pd.ArrowDtype(pa.int8())),
    "pandas sparse": FRAME.astype(pd.SparseDtype(int, 0)),
    "pandas sparse bool": FRAME.astype(bool).astype(pd.SparseDtype(bool, False)),
    "pandas mixed": FRAME.astype({"b": "Int64", "a": bool, "c": float}),
    "polars": pl.DataFrame(Y, schema=NAMES),
    "polars bool": pl.DataFrame(Y.astype(bool), schema=NAMES),
    "polars UInt8": pl.DataFrame(Y, schema=dict.fromkeys(NAMES, pl.UInt8)),
    "Arrow": pa.table({name: Y[:, j] for j, name in enumerate(NAMES)}),
    "Arrow bool": pa.table({name: Y[:, j].astype(bool) for j, name in enumerate(NAMES)}),
    "Arrow batch": pa.record_batch({name: Y[:, j] for j, name in enumerate(NAMES)}),
    "Arrow chunks": pa.concat_tables([pa.table({n: Y[:2, j] for j, n in enumerate(NAMES)})] * 1
                                     + [pa.table({n: Y[2:, j] for j, n in enumerate(NAMES)})]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNNAMED)
def test_indicators_without_names(name):
    matrix, classes = encode_labels(UNNAMED[name])
    assert matrix.toarray().tolist() == Y.tolist()
    assert classes.tolist() == [0, 1, 2]
    matrix, classes = encode_labels(UNNAMED[name], classes=NAMES)
    assert matrix.toarray().tolist() == Y.tolist()
    assert classes.tolist() == NAMES
    matrix, n_unknown = encode_with(UNNAMED[name], NAMES)
    assert matrix.toarray().tolist() == Y.tolist()
    assert n_unknown == 0


@pytest.mark.parametrize("name", NAMED)
def test_names_of_columns_become_the_classes(name):
    matrix, classes = encode_labels(NAMED[name])
    assert matrix.toarray().tolist() == Y.tolist()
    assert classes.tolist() == NAMES
    matrix, n_unknown = encode_with(NAMED[name], ["c", "a", "z"])
    assert matrix.toarray().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert n_unknown == 2
    assert encode_labels(NAMED[name], classes=NAMES)[1].tolist() == NAMES


@pytest.mark.parametrize("name", NAMED)
def test_names_that_contradict_classes(name):
    with pytest.raises(InputError, match=r"column 0.*'b'.*'a'"):
        encode_labels(NAMED[name], classes=["a", "b", "c"])
    with pytest.raises(InputError, match=r"column 2.*'c'"):
        encode_with(NAMED[name], NAMES, names=["b", "a", "z"])
    with pytest.raises(InputError, match=r"3 columns.*classes.*2"):
        encode_labels(NAMED[name], classes=["b", "a"])


def test_names_that_are_ints():
    frame = pd.DataFrame(Y, columns=[30, 10, 20])
    assert encode_labels(frame)[1].tolist() == [30, 10, 20]
    with pytest.raises(InputError, match=r"named 30"):
        encode_labels(frame, classes=[10, 20, 30])
    with pytest.raises(InputError, match=r"named 30"):
        encode_labels(frame, classes=NAMES)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", 1, "b"], "header"),
        ([0.5, 1.5, 2.5], "header"),
        (pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")]), "header"),
        (["a", "b", "a"], "header.*'a'"),
        (["a", "\ud800", "b"], "surrogate"),
    ],
)
def test_names_that_are_none(columns, message):
    frame = pd.DataFrame(Y)
    frame.columns = columns if isinstance(columns, pd.MultiIndex) else pd.Index(columns, dtype=object)
    with pytest.raises((InputError, InputTypeError), match=message):
        encode_labels(frame)
    if "must be" in message:
        assert encode_labels(frame, classes=NAMES)[1].tolist() == NAMES


def with_value(value):
    frame = pd.DataFrame(Y, columns=NAMES).astype(object)
    frame.iloc[2, 1] = value
    return frame


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT])
def test_missing_values_are_named(value):
    frame = with_value(value)
    for given in (frame, frame.convert_dtypes(), frame.to_numpy()):
        with pytest.raises(InputError, match=r"Y, row 2, column (1|'a').*missing"):
            encode_labels(given)


@pytest.mark.parametrize("values", [[0, 1, None, 0], [True, False, None, True], [0.0, 1.0, float("nan"), 0]])
def test_missing_values_of_polars_and_arrow(values):
    for frame in (pl.DataFrame({"x": [0, 1, 1, 0], "a": values}), pa.table({"x": [0, 1, 1, 0], "a": values})):
        with pytest.raises(InputError, match=r"Y, row 2, column 'a'.*missing"):
            encode_labels(frame)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (with_value("x"), InputTypeError, "row 2, column 'a'.*number"),
        (with_value([1]), InputTypeError, "row 2, column 'a'.*number"),
        (with_value(-1), InputError, "negative"),
        (with_value(float("inf")), InputError, "infinite|NaN"),
        (with_value(-1).to_numpy(), InputError, "0 and 1"),
        (with_value(7).to_numpy(), InputError, "0 and 1"),
        (Y.astype(str), InputError, "strings '0' and '1'"),
        (Y.astype(str).astype(object), InputError, "strings '0' and '1'"),
        (Y.astype(np.dtypes.StringDType()), InputError, "strings '0' and '1'"),
        (
            pd.DataFrame({"x": [1, 0], "labels": [["a"], []]}),
            InputTypeError,
            "row 0, column 'labels'",
        ),
        (
            pl.DataFrame({"x": [1, 0], "labels": [["a"], []]}),
            InputTypeError,
            "row 0, column 'labels'",
        ),
        (pa.table({"labels": ["a", "b", "", "c"]}), InputTypeError, "row 0, column 'labels'"),
        (pl.DataFrame({"a": [1, 0, 1, -1]}), InputError, "negative"),
    ],
)
def test_what_is_no_indicator_is_refused(given, kind, message):
    with pytest.raises(kind, match=message):
        encode_labels(given)
    with pytest.raises(kind, match=message) as refused:
        encode_with(given, NAMES, argument="denied")
    assert re.findall(r"\bdenied\b|\bY\b", str(refused.value)) == ["denied"]


def test_nested_lists_stay_lists_of_labels():
    assert encode_labels(Y.tolist())[1].tolist() == [0, 1]
    assert encode_labels(tuple(map(tuple, Y.tolist())))[1].tolist() == [0, 1]


LISTS = [["b", "a"], [], ["a"], ["c"]]
COLUMNS = {
    "pandas": pd.Series(LISTS, index=[3, 1, 2, 0]),
    "polars": pl.Series(LISTS),
    "polars of categories": pl.Series(LISTS, dtype=pl.List(pl.Categorical)),
    "Arrow": pa.array(LISTS),
    "Arrow large": pa.array(LISTS, pa.large_list(pa.large_string())),
    "Arrow chunks": pa.chunked_array([LISTS[:1], LISTS[1:]]),
    "object array": np.array([*LISTS, None], object)[:4],
    "rows of arrays": [np.array(["b", "a"]), np.array([], str), np.array(["a"], object), pd.Series(["c"])],
    "rows of Arrow": [pa.array(["b", "a"]), pa.array([], pa.string()), pl.Series(["a"]), pd.Index(["c"])],
    "rows of StringDType": [np.array(row, np.dtypes.StringDType()) for row in LISTS],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_label_lists_are_alike(name):
    matrix, classes = encode_labels(COLUMNS[name])
    assert classes.tolist() == ["a", "b", "c"]
    assert matrix.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_columns_of_classes_are_alike():
    for make in (np.array, pd.Series, pd.Index, pl.Series, pa.array, tuple):
        assert encode_labels(Y, classes=make(NAMES))[1].tolist() == NAMES


@pytest.mark.parametrize("half", ["\ud800", "b\udfff", "é\udc80"])
def test_half_a_surrogate_pair_in_a_label(half):
    rows = [["a"], ["b"], ["a", half, "c"], [half]]
    for Y_ in (rows, (row for row in rows), np.array([*rows, None], object)[:4], [map(np.str_, row) for row in rows]):
        with pytest.raises(InputError, match=r"Y, row 2: .*surrogate"):
            encode_labels(Y_)
    with pytest.raises(InputError, match=r"Y, row 70000: .*surrogate"):
        encode_labels([["a", "é"]] * 70_000 + [["a", half]])
    with pytest.raises(InputError, match=r"classes.*surrogate"):
        encode_labels(Y, classes=["a", half, "c"])
    model = XRLinear(n_jobs=1)
    with pytest.raises(InputError, match=r"Y, row 2: .*surrogate"):
        model.fit(["a", "b", "c", "d"], rows)
    assert not hasattr(model, "classes_")


X = np.eye(4)


@pytest.mark.parametrize("name", NAMED)
def test_models_take_them(name):
    model = XRLinear(n_jobs=1).fit(X, NAMED[name])
    assert model.classes_.tolist() == NAMES
    expected = XRLinear(n_jobs=1).fit(X, Y, classes=NAMES)
    assert (model.decision_function(X).toarray() == expected.decision_function(X).toarray()).all()
    assert model.score(X, NAMED[name]) == expected.score(X, Y)
    labels, _ = model.predict_topk(X, k=3, denied=NAMED[name])
    assert (labels == expected.predict_topk(X, k=3, denied=sp.csr_array(Y))[0]).all()
    scores = model.score_labels(X, NAMED[name])
    assert (scores != expected.score_labels(X, sp.csr_array(Y))).nnz == 0


def test_candidates_are_never_guessed():
    model = XRLinear(n_jobs=1).fit(X, Y)
    expected = model.score_labels(X, sp.csr_array(Y))
    assert (model.score_labels(X, Y.astype(bool)) != expected).nnz == 0
    for given in (Y, Y.astype(float), Y.astype(object)):
        with pytest.raises(InputError, match=r"candidates.*0 and 1"):
            model.score_labels(X, given)
    ranked, scores = model.predict_topk(X, k=2)
    again = model.score_labels(X, ranked)
    assert np.allclose(np.array(again), scores)
    assert np.array_equal(np.array(model.score_labels(X, ranked.astype(int))), np.array(again))
    columns = pl.Series(ranked.tolist()), pa.array(ranked.tolist()), pd.Series(ranked.tolist())
    assert all(np.array_equal(np.array(model.score_labels(X, rows)), np.array(again)) for rows in columns)


@pytest.mark.parametrize("name", ["pandas Int64", "pandas boolean", "polars", "Arrow", "pandas object"])
def test_metrics_take_them(name):
    scores = np.random.default_rng(0).random(Y.shape)
    assert metrics.precision_at_k(NAMED[name], scores, 2) == metrics.precision_at_k(Y, scores, 2)


def test_metrics_do_not_guess():
    scores = np.random.default_rng(0).random(Y.shape)
    with pytest.raises(CeibaError):
        metrics.precision_at_k(with_value(None), scores, 2)
    try:
        found = metrics.precision_at_k(Y.astype(object), scores, 2)
    except CeibaError:
        return
    assert found == metrics.precision_at_k(Y, scores, 2)
