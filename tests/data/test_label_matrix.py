"""Labels: Y by row and by label."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import XRLinear
from ceiba.data.label_matrix import as_labels
from ceiba.errors import InputError, InputTypeError

Y = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_rows_and_labels_say_the_same():
    labels, classes = as_labels([["a", "c"], [], ["a"], ["c"]], ["a", "b", "c"])
    assert classes.tolist() == ["a", "b", "c"]
    assert (labels.n_rows, labels.n_labels) == (4, 3)
    assert labels.by_row.toarray().tolist() == Y.tolist()
    assert labels.by_label.ptr.tolist() == [0, 2, 2, 4]
    assert labels.by_label.indices.tolist() == [0, 2, 0, 3]
    assert labels.counts.tolist() == [2, 0, 2]


def test_parts_of_the_instances():
    labels, _ = as_labels(Y)
    assert labels.part(1, 3).by_row.toarray().tolist() == Y[1:3].tolist()
    assert labels.part(1, 3).counts.tolist() == [1, 0, 0]
    assert labels.take(np.array([3, 0])).by_row.toarray().tolist() == Y[[3, 0]].tolist()


def test_labels_are_taken_as_they_are():
    labels, classes = as_labels(Y)
    assert as_labels(labels, classes) == (labels, classes)
    assert labels.by_label is labels.by_label


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_relevance_by_row_is_the_relevance_given(make_problem, norm):
    problem = make_problem(150, 40, 30)
    sizes = np.diff(problem.Y.indptr)
    weights = np.repeat(sizes, sizes) ** {"l1": -1.0, "l2": -0.5}[norm]
    relevance = sp.csr_array((weights / weights.mean(), problem.Y.indices, problem.Y.indptr), shape=problem.Y.shape)
    given = XRLinear(max_leaf_size=10).fit(problem.X, problem.Y, relevance=relevance)
    made = XRLinear(max_leaf_size=10, relevance_norm=norm).fit(problem.X, problem.Y)
    assert (made.predict_topk(problem.X)[1] == given.predict_topk(problem.X)[1]).all()


def test_relevance_that_does_not_fit(make_problem):
    problem = make_problem(60, 20, 10)
    lacking = problem.Y.astype(float)
    lacking.data[5] = 0
    for relevance in (problem.Y[:, :-1], lacking, -problem.Y, problem.Y.toarray()):
        with pytest.raises((InputError, InputTypeError), match="relevance"):
            XRLinear().fit(problem.X, problem.Y, relevance=relevance)


class Conversions:
    """Counts the changes between rows and columns of matrices of one shape."""

    def __init__(self, monkeypatch, shape):
        self.n = 0
        for kind, name in ((sp.csr_array, "tocsc"), (sp.csc_array, "tocsr")):
            monkeypatch.setattr(kind, name, self.counted(getattr(kind, name), shape))

    def counted(self, convert, shape):
        def counting(matrix, *args, **kwargs):
            self.n += matrix.shape == shape
            return convert(matrix, *args, **kwargs)

        return counting


@pytest.mark.parametrize("params", [{}, {"relevance_norm": "l1"}, {"n_trees": 2, "overlap": 2}])
def test_columns_are_made_once(make_problem, monkeypatch, params):
    problem = make_problem(200, 60, 50)
    conversions = Conversions(monkeypatch, problem.Y.shape)
    XRLinear(max_leaf_size=20, **params).fit(problem.X, problem.Y)
    assert conversions.n == 1


def test_columns_are_made_once_for_a_frozen_encoder(tiny_encoder, small_corpus, monkeypatch):
    from ceiba import XRTransformer

    texts, lists = small_corpus
    shape = len(texts), len({label for row in lists for label in row})
    conversions = Conversions(monkeypatch, shape)
    XRTransformer(encoder=f"frozen:{tiny_encoder}", max_length=16, n_jobs=1).fit(texts, lists)
    assert conversions.n == 1
