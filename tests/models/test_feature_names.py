"""The columns of a data frame are known by their names."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from ceiba import XRLinear, load
from ceiba.errors import CeibaError, InputTypeError

NAMES = ["width", "height", "depth"]
VALUES = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
LABELS = [["a"], ["b"], ["c"], ["a", "b"]]
FRAMES = {
    "pandas": lambda values, names: pd.DataFrame(values, columns=names),
    "pandas Float64": lambda values, names: pd.DataFrame(values, columns=names).astype("Float64"),
    "polars": lambda values, names: pl.DataFrame(values, schema=names),
    "Arrow": lambda values, names: pa.table({name: values[:, j] for j, name in enumerate(names)}),
}
METHODS = {
    "predict_topk": lambda model, X: model.predict_topk(X, k=2)[1],
    "predict": lambda model, X: model.predict(X).toarray(),
    "decision_function": lambda model, X: model.decision_function(X).toarray(),
    "score": lambda model, X: model.score(X, LABELS),
    "score_labels": lambda model, X: np.concatenate(model.score_labels(X, LABELS)),
}


@pytest.fixture(params=FRAMES)
def make(request):
    return FRAMES[request.param]


@pytest.mark.parametrize("method", METHODS)
def test_other_names_are_refused(make, method):
    model = XRLinear(n_jobs=1).fit(make(VALUES, NAMES), LABELS)
    assert model.feature_names_in_.tolist() == NAMES
    ask = METHODS[method]
    expected = ask(XRLinear(n_jobs=1).fit(VALUES, LABELS), VALUES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(ask(model, make(VALUES, NAMES)), expected)
    order = [2, 0, 1]
    for names, columns in (([NAMES[j] for j in order], order), (["width", "height", "length"], [0, 1, 2])):
        with pytest.raises(ValueError, match="feature names should match") as caught:
            ask(model, make(VALUES[:, columns], names))
        assert isinstance(caught.value, CeibaError)
    with pytest.raises(ValueError, match="feature"):
        ask(model, make(VALUES[:, :2], NAMES[:2]))


def test_names_on_one_side_only_are_warned_of(make):
    named = XRLinear(n_jobs=1).fit(make(VALUES, NAMES), LABELS)
    for X in (VALUES, sp.csr_array(VALUES), VALUES.tolist()):
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            named.predict(X)
    unnamed = XRLinear(n_jobs=1).fit(VALUES, LABELS)
    assert not hasattr(unnamed, "feature_names_in_")
    with pytest.warns(UserWarning, match="fitted without feature names"):
        unnamed.predict(make(VALUES, NAMES))


def test_names_of_the_last_fit_count(make):
    model = XRLinear(n_jobs=1).fit(make(VALUES, NAMES), LABELS)
    model.fit(make(VALUES, list("xyz")), LABELS)
    assert model.feature_names_in_.tolist() == list("xyz")
    with pytest.raises(ValueError, match="empty"):
        model.fit(make(VALUES[:0], NAMES), [])
    assert model.feature_names_in_.tolist() == list("xyz")
    model.fit(VALUES, LABELS)
    assert not hasattr(model, "feature_names_in_")


def test_names_that_are_no_str():
    model = XRLinear(n_jobs=1).fit(pd.DataFrame(VALUES), LABELS)
    assert not hasattr(model, "feature_names_in_")
    with pytest.raises(InputTypeError, match="Feature names are only supported"):
        model.fit(pd.DataFrame(VALUES, columns=["a", "b", 3]), LABELS)


def test_names_last(make, tmp_path):
    model = XRLinear(n_jobs=1).fit(make(VALUES, NAMES), LABELS)
    model.save(tmp_path / "model")
    for other in (load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert other.feature_names_in_.tolist() == NAMES
        assert other.feature_names_in_.dtype == object
        with pytest.raises(ValueError, match="feature names should match"):
            other.predict(make(VALUES, NAMES[::-1]))
    assert not hasattr(clone(model), "feature_names_in_")
    XRLinear(n_jobs=1).fit(VALUES, LABELS).save(tmp_path / "other")
    assert not hasattr(load(tmp_path / "other"), "feature_names_in_")


def test_explanations_name_the_columns(make):
    model = XRLinear(n_jobs=1).fit(make(VALUES, NAMES), LABELS)
    found = model.explain(make(VALUES[:1], NAMES), "a")
    assert {part.feature for step in found.steps for part in step.contributions} <= set(NAMES)
    assert "width" in str(found)


def test_features_beside_texts_are_known_by_their_names(make, tmp_path):
    pytest.importorskip("torch")
    from ceiba import XRTransformer

    texts = ["wide", "high", "deep", "wide and high"]
    model = XRTransformer(encoder="static:8", epochs=1, n_jobs=1).fit(texts, LABELS, make(VALUES, NAMES))
    model.save(tmp_path / "model")
    for each in (model, load(tmp_path / "model")):
        assert each.feature_names_in_.tolist() == NAMES
        assert each.predict_topk((texts, make(VALUES, NAMES)))[0].shape == (4, 3)
        with pytest.raises(ValueError, match="feature names should match") as caught:
            each.predict_topk((texts, make(VALUES[:, [2, 0, 1]], [NAMES[j] for j in (2, 0, 1)])))
        assert isinstance(caught.value, CeibaError)
    model.fit(texts, LABELS, VALUES)
    assert not hasattr(model, "feature_names_in_")
