"""Bad input gets one clear typed error that names the argument at fault."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import metrics
from ceiba.errors import InputError, InputTypeError
from ceiba.metrics import LabelCounts

TRUE = sp.csr_array(np.array([[1, 0, 1], [0, 1, 0]]))
SCORE = sp.csr_array(np.array([[0.5, 0.0, 0.1], [0.0, 0.3, 0.2]]))


def broken_csr():
    matrix = SCORE.copy()
    matrix.indices[0] = 7
    return matrix


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        # shapes
        ((TRUE, SCORE[:1]), InputError, "Y_true has 2 rows but Y_score has 1"),
        ((TRUE, SCORE[:, :2]), InputError, "Y_score has 2 label columns but Y_true has 3"),
        ((TRUE, SCORE, 1, TRUE[:, :2]), InputError, "Y_train has 2 label columns but Y_true has 3"),
        ((TRUE, SCORE, 1, LabelCounts([1], n=3)), InputError, "Y_train has 1 label columns"),
        ((TRUE[:0], SCORE[:0]), InputError, "Y_true has no rows"),
        ((TRUE, []), InputError, "Y_score has no rows"),
        ((TRUE, SCORE, 1, []), InputError, "Y_train has no rows"),
        ((np.ones(3), SCORE), InputError, r"Y_true must have two dimensions.*Got shape \(3,\)"),
        ((TRUE, np.ones(3)), InputError, "Y_score must have two dimensions"),
        ((TRUE, np.array([1, 2])), InputError, "Y_score must have two dimensions"),
        ((sp.coo_array(np.ones(3)), SCORE), InputError, "Y_true must have two dimensions"),
        # values
        ((TRUE, SCORE * np.nan), InputError, "Y_score holds NaN"),
        ((TRUE, np.full((2, 3), np.nan)), InputError, "Y_score holds NaN"),
        ((TRUE * np.nan, SCORE), InputError, "Y_true holds NaN or infinity"),
        ((np.full((2, 3), np.inf), SCORE), InputError, "Y_true holds NaN or infinity"),
        ((TRUE, broken_csr()), InputError, "Y_score is no valid sparse matrix"),
        ((broken_csr(), SCORE), InputError, "Y_true is no valid sparse matrix"),
        ((TRUE, SCORE * 1j), InputTypeError, "Y_score must hold real scores. Got dtype complex128"),
        # labels
        ((TRUE, [[0], [1, 3]]), InputError, "Row 1 of Y_score holds label 3, but Y_true has 3 label columns"),
        (([[0], [], [9]], np.ones((3, 2))), InputError, "Row 2 of Y_true holds label 9"),
        (([[0, -1], [0]], SCORE), InputError, "Row 0 of Y_true holds label -1"),
        ((TRUE, np.array([[0, 1], [-1, -2]])), InputError, "Row 1 of Y_score holds label -2.*-1 is an empty"),
        (([["a"], ["b"]], SCORE), InputError, "Y_true names labels by strings.*pass classes="),
        (([["a"], ["b"]], [[1], [2]]), InputTypeError, "Y_true holds strings but Y_score ints"),
        (([["a", 1], ["b"]], SCORE), InputTypeError, "labels in Y_true must be all ints or all strings"),
        (([["a", None], ["b"]], SCORE), InputTypeError, "Row 0 of Y_true holds None"),
        ((TRUE, [[0.5, 0.1], [0.2, 0.3]]), InputTypeError, "labels in Y_score.*Got float"),
        (([[True], [False]], SCORE), InputTypeError, "labels in Y_true.*Got bool"),
        (([[2**70], [0]], SCORE), InputError, "Y_true holds a label beyond 64 bits"),
        (
            (TRUE, np.array([[2**63], [0]], dtype=np.uint64)),
            InputError,
            "Y_score holds a label beyond 64 bits",
        ),
        (([["\ud800"], []], [["a"], []]), InputError, "Y_true holds a label that is no valid Unicode"),
        # containers
        (
            (TRUE, [{0, 1}, {2}]),
            InputTypeError,
            "Row 0 of Y_score must be a list of labels, best first. Got set",
        ),
        ((["a b", "c"], SCORE), InputTypeError, "Row 0 of Y_true must be a list or set of labels. Got str"),
        (([[0], 1], SCORE), InputTypeError, "Row 1 of Y_true must be a list or set of labels. Got int"),
        (([np.array(1), [0]], SCORE), InputTypeError, "Every row of Y_true must be"),
        ((None, SCORE), InputTypeError, "Y_true must be a matrix, an array or a list.*Got NoneType"),
        ((TRUE, "scores"), InputTypeError, "Y_score must be a matrix.*Got str"),
        (
            (TRUE, np.ones((2, 3), bool)),
            InputTypeError,
            "Y_score as an array must hold float.*Got dtype bool",
        ),
        ((TRUE, SCORE, 1, 5), InputTypeError, "Y_train must be a matrix"),
        # ks
        ((TRUE, SCORE, 0), InputError, r"'ks' parameter of evaluate must be an int in \[1, inf\). Got 0"),
        ((TRUE, SCORE, (1, -3)), InputError, "Got -3"),
        ((TRUE, SCORE, (1, 2.5)), InputError, "Got 2.5"),
        ((TRUE, SCORE, (True,)), InputError, "Got True"),
        ((TRUE, SCORE, ("3",)), InputError, "Got '3'"),
        ((TRUE, SCORE, "13"), InputTypeError, "'ks'.*evaluate"),
        ((TRUE, SCORE, ()), InputError, "'ks'.*evaluate"),
    ],
)
def test_evaluate(arguments, error, message):
    with pytest.raises(error, match=message):
        metrics.evaluate(*arguments)


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (["a", "b"], InputError, "classes has 2 labels but Y_true 3 label columns"),
        (["a", "b", "a"], InputError, "^classes"),
        ([4, 2, 4], InputError, "^classes"),
        ([], InputError, "classes holds no labels"),
        ("abc", InputTypeError, "classes must be a list or array of labels. Got str"),
        (3, InputTypeError, "classes must be a list or array of labels. Got int"),
        ([1.5, 2, 3], InputTypeError, "classes"),
    ],
)
def test_classes(classes, error, message):
    with pytest.raises(error, match=message):
        metrics.evaluate(TRUE, SCORE, classes=classes)


def test_classes_of_another_kind_than_the_labels():
    with pytest.raises(InputTypeError, match=r"classes.*Y_true"):
        metrics.evaluate([["a"], ["b"]], SCORE, classes=[1, 2, 3])


@pytest.mark.parametrize("parameter", [{"A": -1}, {"B": 0}, {"A": np.nan}, {"B": np.inf}, {"A": "0.5"}])
def test_propensity_parameters(parameter):
    (name,) = parameter
    with pytest.raises(InputError, match=f"'{name}'.*evaluate"):
        metrics.evaluate(TRUE, SCORE, Y_train=TRUE, **parameter)
    with pytest.raises(InputError, match=f"'{name}'.*inverse_propensity"):
        metrics.inverse_propensity(TRUE, **parameter)


@pytest.mark.parametrize(
    ("counts", "n", "message"),
    [
        ([[1]], 3, "must be a vector"),
        (["1"], 3, "must be a vector of numbers"),
        ([1, 4], 3, r"must be in \[0, n=3\]"),
        ([-1], 3, "must be in"),
        ([np.nan], 3, "must be in"),
        ([0], 0, "'n'.*LabelCounts"),
    ],
)
def test_label_counts(counts, n, message):
    with pytest.raises(InputError, match=message):
        LabelCounts(counts, n=n)


def test_single_metrics_name_themselves():
    with pytest.raises(InputError, match=r"'k'.*recall_at_k"):
        metrics.recall_at_k(TRUE, SCORE, (1, 3))
    with pytest.raises(InputError, match=r"'k'.*top_k"):
        metrics.top_k(SCORE, 0)
    with pytest.raises(InputTypeError, match="psp_at_k needs Y_train"):
        metrics.psp_at_k(TRUE, SCORE, 1, None)
