"""What cannot be used gets one typed error that names it, before any work; what was fitted stays."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import LabelTree, XRLinear
from ceiba.errors import CeibaError, InputError, InputTypeError

X = np.eye(4)
Y = [[0], [1], [0, 1], [2]]
TEXTS = ["a b", "c", "b c", "d"]
BROKEN = {
    "an index out of range": lambda: _broken(indices=[0, 1, 2, 9]),
    "a negative index": lambda: _broken(indices=[0, 1, 2, -1]),
    "indptr that falls": lambda: _broken(indptr=[0, 3, 2, 3, 4]),
    "indptr beyond the end": lambda: _broken(indptr=[0, 1, 2, 3, 400]),
    "indptr too short": lambda: _broken(indptr=[0, 4]),
}


def _broken(**arrays):
    matrix = sp.csr_array(np.eye(4))
    for name, values in arrays.items():
        setattr(matrix, name, np.array(values, np.int32))
    return matrix


def raises(kind, message, call):
    """Check the error: of one type, one line, without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind, match=message) as caught:
            call()
    assert isinstance(caught.value, CeibaError)
    assert "\n" not in str(caught.value)


FIT = {
    "no X": (None, Y, InputError, "X: Expected 2D array"),
    "X of one axis": ([1.0, 2.0], [[0], [1]], InputError, r"X: Expected 2D array \(N, D\). Got shape \(2,\)"),
    "X of three axes": (np.zeros((2, 2, 2)), [[0], [1]], InputError, "X: Expected 2D array"),
    "X without rows": (np.zeros((0, 4)), [], InputError, "X is empty"),
    "X without features": (np.zeros((4, 0)), Y, InputError, "X has 0 feature"),
    "ragged X": ([[1, 2], [1]], [[0], [1]], InputTypeError, "X cannot be read as numbers"),
    "NaN in X": (np.full((4, 4), np.nan), Y, InputError, "X contains NaN"),
    "infinity in X": (np.where(X > 0, np.inf, 0), Y, InputError, "X contains NaN, infinity"),
    "NaN in sparse X": (sp.csr_array(np.full((4, 4), np.nan)), Y, InputError, "X contains NaN"),
    "X too large for float32": (X * 1e39, Y, InputError, "X contains NaN, infinity or a value too large"),
    "squares too large for float32": (X * 1e20, Y, InputError, r"X holds a value of magnitude 1e\+20"),
    "complex X": (X * 1j, Y, InputError, "Complex data not supported in X"),
    "dates in X": (np.full((4, 4), np.datetime64("2020")), Y, InputTypeError, "X holds values of type datetime64"),
    "strings in X": (np.full((4, 4), "x"), Y, InputTypeError, "X holds strings"),
    "a single text": ("a text", [[0]], InputTypeError, "X is a single str"),
    "texts and numbers": (["a", 1.0, "b", "c"], Y, InputTypeError, "."),
    "fewer rows in Y": (X, Y[:3], InputError, "Y has 3 rows, X has 4"),
    "fewer texts than rows in Y": (TEXTS[:3], Y, InputError, "Y has 4 rows, X has 3"),
    "fewer texts in a stream": (iter(TEXTS[:3]), Y, InputError, "Y has 4 rows, X has 3"),
    "no Y": (X, None, InputError, "the target y is None"),
    "empty Y": (X, [], InputError, "Y is empty"),
    "no labels at all": (X, [[], [], [], []], InputError, "Y holds no labels"),
    "Y as numbers": (X, [0, 1, 0, 2], InputTypeError, "Y, row 0: expected a list of labels"),
    "Y as strings": (X, ["a", "b", "a", "c"], InputTypeError, "Y, row 0: expected a list of labels"),
    "a str and an int": (X, [["a"], [1], [2], [3]], InputTypeError, "Y, row 1"),
    "a float label": (X, [[0.5], [1], [2], [3]], InputTypeError, "Y, row 0"),
    "Y of three axes": (X, np.zeros((4, 2, 2)), InputError, "Y must be a list of label lists or an"),
    "NaN in Y": (X, np.full((4, 2), np.nan), InputError, "Y holds NaN"),
    "negative Y": (X, np.where(X > 0, 1, -1), InputError, "Y holds negative values"),
    "a column never positive": (
        X,
        np.eye(4) * [1, 1, 0, 1],
        InputError,
        "1 of the 4 labels in Y are never positive, .*2",
    ),
    **{f"X: {name}": (make(), Y, InputError, "X is not a valid sparse matrix") for name, make in BROKEN.items()},
    **{f"Y: {name}": (X, make(), InputError, "Y is not a valid sparse matrix") for name, make in BROKEN.items()},
}


@pytest.fixture(scope="module")
def fitted():
    return XRLinear(n_jobs=1).fit(X, Y)


@pytest.fixture(scope="module")
def of_texts():
    return XRLinear(n_jobs=1).fit(TEXTS, [["x"], ["y"], ["x"], ["z"]])


def state_of(model):
    return pickle.dumps(model)


@pytest.mark.parametrize("name", FIT)
def test_fit(name):
    bad_X, bad_Y, kind, message = FIT[name]
    model = XRLinear(n_jobs=1).fit(X, Y)
    before = state_of(model)
    raises(kind, message, lambda: model.fit(bad_X, bad_Y))
    assert state_of(model) == before
    fresh = XRLinear(n_jobs=1)
    if name != "fewer texts in a stream":  # which was read
        raises(kind, message, lambda: fresh.fit(bad_X, bad_Y))
    assert not [attribute for attribute in vars(fresh) if attribute.endswith("_")]


class Untouchable:
    """A vectorizer that must not be reached."""

    def get_params(self, deep=True):
        return {}

    def fit(self, X, y=None):
        raise AssertionError("work began")

    transform = fit_transform = fit


TREE = LabelTree.from_parents([[0, 0, 1]])
RELEVANCE = sp.csr_array(np.ones((4, 3)))
ARGUMENTS = {
    "names of other columns": ({}, {"Y": np.eye(4), "classes": ["a", "b"]}, "Y has 4 columns, but classes has 2 names"),
    "a name twice": ({}, {"Y": np.eye(4), "classes": ["a", "b", "a", "c"]}, "classes names 'a' more than once"),
    "a label without a name": ({}, {"classes": [0, 1]}, "the label .*2.* is not among the classes"),
    "relevance that is dense": ({}, {"relevance": np.ones((4, 3))}, "relevance must be a sparse matrix"),
    "relevance of another shape": ({}, {"relevance": RELEVANCE[:3]}, "relevance must have Y's shape"),
    "relevance that misses a positive": ({}, {"relevance": sp.csr_array((4, 3))}, "relevance must be above 0"),
    "relevance below 0": ({}, {"relevance": -1 * RELEVANCE}, "relevance must be above 0"),
    "relevance of NaN": ({}, {"relevance": np.nan * RELEVANCE}, "relevance contains NaN"),
    "clusters without a tree": ({}, {"matched": sp.csr_array((4, 2))}, "matched names clusters of a tree of your own"),
    "clusters that are dense": ({"tree": TREE}, {"matched": np.ones((4, 2))}, "matched must be a sparse matrix"),
    "other clusters": ({"tree": TREE}, {"matched": sp.csr_array((4, 3))}, r"matched must have shape \(4, 2\)"),
    "a tree of other labels": ({"tree": LabelTree([[0, 9]], range(9))}, {}, "tree has 9 labels, Y has 3"),
    "embeddings of other labels": (
        {"label_embedding": np.ones((2, 5))},
        {},
        r"label_embedding must have 3 rows, one per label; its shape is \(2, 5\)",
    ),
    "embeddings of NaN": ({"label_embedding": np.full((3, 2), np.nan)}, {}, "label_embedding contains NaN"),
    "no texts of labels": (
        {"label_embedding": "text"},
        {},
        "needs label_texts, one for each of the 3 labels; got none",
    ),
    "fewer texts of labels": ({"label_embedding": "pifa+text"}, {"label_texts": ["a"]}, "got 1"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_fit(name):
    parameters, arguments, message = ARGUMENTS[name]
    model = XRLinear(vectorizer=Untouchable(), **parameters)
    call = {"X": TEXTS, "Y": Y, **arguments}
    raises((InputError, InputTypeError), message, lambda: model.fit(**call))


def test_texts_of_labels_need_texts():
    model = XRLinear(label_embedding="text")
    raises(InputError, "needs X to be texts", lambda: model.fit(X, Y, label_texts=["a", "b", "c"]))


def test_texts_without_a_vectorizer():
    raises(InputError, "X holds texts, but vectorizer is None", lambda: XRLinear(vectorizer=None).fit(TEXTS, Y))


def test_all_labels_empty():
    none = sp.csr_array((4, 3))
    raises(InputError, "3 of the 3 labels in Y are never positive", lambda: XRLinear(empty_labels="keep").fit(X, none))


PREDICT = {
    "other features": ((np.eye(3),), {}, InputError, "X has 3 features, but XRLinear is expecting 4"),
    "one axis": (([1.0, 0, 0, 0],), {}, InputError, "X: Expected 2D array"),
    "NaN": ((np.full((1, 4), np.nan),), {}, InputError, "X contains NaN"),
    "infinity": ((np.full((1, 4), -np.inf),), {}, InputError, "X contains NaN"),
    "texts": ((TEXTS,), {}, InputError, "X holds texts, but the model was fitted on features"),
    "a text": (("a text",), {}, InputTypeError, "X is a single str"),
    "k of 0": ((X,), {"k": 0}, InputError, r"The 'k' parameter of predict_topk must be an int in \[1, inf\). Got 0"),
    "k of half": ((X,), {"k": 1.5}, InputError, "The 'k' parameter"),
    "k of None": ((X,), {"k": None}, InputError, "The 'k' parameter"),
    "a beam of 0": ((X,), {"beam_size": 0}, InputError, "The 'beam_size' parameter"),
    "denied of fewer rows": ((X,), {"denied": [[0]] * 3}, InputError, "^denied.* 3 .*4"),
    "denied of other labels": ((X,), {"denied": np.ones((4, 9))}, InputError, "^denied.*9"),
    "denied of names": ((X,), {"denied": [["a"]] * 4}, InputTypeError, "^denied.*str"),
    "denied of mixed rows": ((X,), {"denied": [[0], 2, [1], [0]]}, InputTypeError, "^denied.*row 1"),
    **{name: ((make(),), {}, InputError, "X is not a valid sparse matrix") for name, make in BROKEN.items()},
}


@pytest.mark.parametrize("name", PREDICT)
def test_predict_topk(fitted, name):
    arguments, options, kind, message = PREDICT[name]
    raises(kind, message, lambda: fitted.predict_topk(*arguments, **options))


@pytest.mark.parametrize(
    ("indices", "indptr"), [([9], [0, 1]), ([-1], [0, 1]), ([1], [0, 5]), ([1], [1, 1]), ([1], [0])]
)
def test_a_single_broken_row(fitted, indices, indptr):
    row = sp.csr_array(np.eye(4)[:1])
    row.indices, row.indptr = np.array(indices, np.int32), np.array(indptr, np.int32)
    raises(InputError, "X is not a valid sparse matrix", lambda: fitted.predict_topk(row))


def test_the_other_methods(fitted, of_texts):
    for call, kind, message in [
        (lambda: fitted.decision_function(X, k=0), InputError, "The 'k' parameter of decision_function"),
        (lambda: fitted.decision_function(np.eye(3)), InputError, "X has 3 features"),
        (lambda: fitted.predict(np.eye(3)), InputError, "X has 3 features"),
        (lambda: fitted.score(X, [[0]]), InputError, "Y has 1 rows, X has 4"),
        (lambda: fitted.score(X, [0, 1, 2, 3]), InputTypeError, "Y, row 0"),
        (lambda: fitted.score_labels(X, [[0]]), InputError, "candidates has 1 rows, X has 4"),
        (lambda: fitted.score_labels(X, [[0], [1], [9], []]), InputError, "candidates: the label 9 is not among"),
        (lambda: fitted.score_labels(X, [[0], [[]], [1], []]), InputError, r"candidates: the label \[\] is not among"),
        (lambda: fitted.score_labels(X, [0, 1, 2, 3]), InputTypeError, "candidates, row 0: expected a list of labels"),
        (lambda: fitted.score_labels(X, "abcd"), InputTypeError, "^candidates"),
        (lambda: fitted.score_labels(X, None), InputTypeError, "^candidates"),
        (lambda: fitted.score_labels(X, sp.csr_array((4, 9))), InputError, "candidates has 9 columns"),
        (lambda: of_texts.score_labels(TEXTS, ["x", "y", "x", "z"]), InputTypeError, "candidates, row 0"),
        (lambda: of_texts.predict_topk(["a", None]), InputTypeError, "."),
        (lambda: of_texts.predict_topk(np.ones((2, 2))), InputError, "X has 2 features"),
        (lambda: of_texts.predict_topk(3), InputError, "X: Expected 2D array"),
    ]:
        raises(kind, message, call)


def test_more_features_than_can_be_numbered():
    wide = sp.csr_array((4, 2**33))
    raises(InputError, "more than the 2147483647", lambda: XRLinear().fit(wide, Y))


def test_the_largest_values_allowed():
    model = XRLinear().fit(X * 1e15, Y)
    labels, scores = model.predict_topk(X * 1e15, k=2)
    assert np.isfinite(scores).all()
    assert labels[0, 0] == 0
