"""scikit-learn's conventions."""

import pickle

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from ceiba import XRLinear

TEXTS = [f"{colour} {thing}" for colour in ("red", "green", "blue") for thing in ("car", "apple", "bird", "sea")] * 3
LABELS = [text.split() for text in TEXTS]


class WithoutProbabilities(XRLinear):
    """XRLinear as scikit-learn's checks of sparse input need it.

    They ask for probabilities of two or four classes where there is a predict_proba. It has a column for each label.
    """

    @property
    def predict_proba(self):
        raise AttributeError("predict_proba")


# The checks give y as a matrix with one column, an indicator of one label, because the estimator says that it takes no
# single output: a row's labels are a list, even of one.
@parametrize_with_checks([XRLinear(n_jobs=1)])
def test_checks_of_scikit_learn(estimator, check):
    if check.func.__name__.startswith("check_estimator_sparse"):
        estimator = WithoutProbabilities(n_jobs=1)
    check(estimator)


@pytest.mark.parametrize("method", ["predict", "decision_function", "predict_topk", "score", "score_labels"])
def test_every_method_checks_the_number_of_features(method):
    model = XRLinear().fit(np.eye(4), [[0], [1], [0], [1]])
    arguments = {"score": ([[0]],), "score_labels": ([[0]],)}.get(method, ())
    with pytest.raises(ValueError, match="X has 1 features, but XRLinear is expecting 4 features as input"):
        getattr(model, method)(np.ones((1, 1)), *arguments)


@pytest.mark.parametrize("method", ["predict", "decision_function", "predict_topk", "save", "trees_"])
def test_nothing_is_answered_before_fit(tmp_path, method):
    arguments = (tmp_path / "model",) if method == "save" else (TEXTS,)
    with pytest.raises(NotFittedError):
        getattr(XRLinear(), method)(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_parameters_are_kept_as_given():
    vectorizer = TfidfVectorizer()
    model = XRLinear(C=2, n_trees=np.int64(3), vectorizer=vectorizer)
    assert model.get_params(deep=False)["C"] == 2
    assert model.get_params()["vectorizer"] is vectorizer
    assert model.get_params()["vectorizer__lowercase"] is True
    copy = clone(model)
    assert copy.vectorizer is not vectorizer
    assert copy.get_params(deep=False) | {"vectorizer": None} == model.get_params(deep=False) | {"vectorizer": None}
    model.set_params(C=5, vectorizer__lowercase=False)
    assert (model.C, vectorizer.lowercase) == (5, False)
    with pytest.raises(ValueError, match="Invalid parameter 'c'"):
        model.set_params(c=1)
    with pytest.raises(TypeError):
        XRLinear(learning_rate=1)


def test_a_clone_is_not_fitted():
    model = XRLinear(max_leaf_size=3).fit(TEXTS, LABELS)
    copy = clone(model)
    assert not hasattr(copy, "partitions_")
    assert (copy.fit(TEXTS, LABELS).predict_topk(TEXTS)[1] == model.predict_topk(TEXTS)[1]).all()


def test_pipeline():
    pipeline = make_pipeline(TfidfVectorizer(), XRLinear(max_leaf_size=3, branching_factor=2))
    pipeline.fit(TEXTS, LABELS)
    assert pipeline.score(TEXTS, LABELS) == 1
    direct = XRLinear(max_leaf_size=3, branching_factor=2, vectorizer=TfidfVectorizer()).fit(TEXTS, LABELS)
    assert (pipeline.decision_function(TEXTS) != direct.decision_function(TEXTS)).nnz == 0
    assert pipeline.predict(TEXTS).shape == (36, 7)


@pytest.mark.parametrize("as_lists", [True, False])
def test_grid_search(as_lists):
    Y = LABELS
    parameters = {"C": [0.01, 1.0], "max_leaf_size": [2, 100]}
    if not as_lists:  # a split may leave a column of an indicator empty, which then is kept
        names = sorted({label for row in LABELS for label in row})
        Y = sp.csr_array(np.array([[name in row for name in names] for row in LABELS], float))
    model = XRLinear(empty_labels="keep", branching_factor=2, n_jobs=1)
    search = GridSearchCV(make_pipeline(TfidfVectorizer(), model), _prefixed(parameters), cv=3).fit(TEXTS, Y)
    assert search.best_score_ == 1
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(TEXTS).shape == (36, 7)


def _prefixed(parameters):
    return {f"xrlinear__{name}": values for name, values in parameters.items()}


def test_cross_validation_with_a_metric_of_scikit_learn():
    names = sorted({label for row in LABELS for label in row})
    Y = np.array([[name in row for name in names] for row in LABELS], int)  # scikit-learn takes no sparse y here
    scorer = make_scorer(f1_score, average="micro")
    scores = cross_val_score(XRLinear(empty_labels="keep"), TEXTS, Y, cv=3, scoring=scorer)
    assert (scores > 0.9).all()


@pytest.mark.parametrize("through", ["pickle", "joblib"])
def test_pickling(tmp_path, through):
    model = XRLinear(n_trees=2, max_leaf_size=3).fit(TEXTS, LABELS)
    expected = model.predict_topk(TEXTS, k=3)
    if through == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        joblib.dump(model, tmp_path / "model.joblib")
        other = joblib.load(tmp_path / "model.joblib")
    labels, scores = other.predict_topk(TEXTS, k=3)
    assert (labels == expected[0]).all()
    assert scores.tobytes() == expected[1].tobytes()
    assert other.trees_ == model.trees_
    unfitted = pickle.loads(pickle.dumps(XRLinear(C=3.0)))
    assert unfitted.C == 3.0


def test_repr_names_what_was_set():
    assert repr(XRLinear(C=2.0)) == "XRLinear(C=2.0)"
