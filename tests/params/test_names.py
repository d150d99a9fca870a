"""Names of parameters: nested ones work at their defaults, and a wrong one is answered with the right one."""

import pickle

import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer as ScikitLearns
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from ceiba import TfidfVectorizer, XRLinear, XRTransformer, XTransformer
from ceiba._params import defaults
from ceiba.cli.settings import build
from ceiba.errors import InputError

TRANSFORMERS = [XRTransformer, XTransformer]
MODELS = [XRLinear, *TRANSFORMERS]
TEXTS = [f"{colour} {thing}" for colour in ("red", "green", "blue") for thing in ("car", "apple", "bird", "sea")] * 2
LABELS = [text.split() for text in TEXTS]


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [
        (XRTransformer, "n_trees", "ranker__n_trees"),
        (XTransformer, "C", "ranker__C"),
        (XRTransformer, "beam_size", "ranker__beam_size"),
        (XRTransformer, "min_df", "vectorizer__min_df"),
        (XRTransformer, "learning_rat", "learning_rate"),
        (XRTransformer, "batchsize", "batch_size"),
        (XRTransformer, "ranker__n_tree", "ranker__n_trees"),
        (XRLinear, "c", "C"),
        (XRLinear, "n_tree", "n_trees"),
        (XRLinear, "max_leaf", "max_leaf_size"),
        (XRLinear, "word_ngrams", "vectorizer__word_ngrams"),
        (TfidfVectorizer, "mindf", "min_df"),
        (TfidfVectorizer, "ngrams", "word_ngrams"),
    ],
)
def test_wrong_names_are_answered_with_the_right_one(kind, wrong, right):
    with pytest.raises(InputError, match=f"'{wrong}'.*'{right}'"):
        kind().set_params(**{wrong: 1})
    part, nested, name = right.partition("__")
    with pytest.raises(TypeError, match=f"'{wrong}'.*" + (rf"{part}=\w+\({name}=" if nested else f"'{right}'")):
        kind(**{wrong: 1})
    if kind is XRLinear and "__" not in wrong:
        with pytest.raises(InputError, match=f"'{wrong}'.*'{right}'"):
            build("xr-linear", [f"{wrong}=1"])


@pytest.mark.parametrize("kind", [*MODELS, TfidfVectorizer])
def test_other_names_are_answered_with_all(kind):
    for call in (lambda: kind(qqqqqq=1), lambda: kind().set_params(qqqqqq=1)):
        with pytest.raises((TypeError, ValueError), match=r"'qqqqqq'.* n_jobs\b"):
            call()


@pytest.mark.parametrize("kind", MODELS)
def test_nothing_is_set_where_one_name_is_wrong(kind):
    model = kind()
    for wrong in ({"n_jobs": 1, "nojobs": 2}, {"n_jobs": 1, "vectorizer__mindf": 2}, {"vectorizer__min_df": 2, "x": 1}):
        with pytest.raises(InputError):
            model.set_params(**wrong)
        assert model.get_params(False) == defaults(kind)


@pytest.mark.parametrize("kind", MODELS)
def test_nested_parameters_work_at_their_defaults(kind):
    model = kind(n_jobs=1).set_params(vectorizer__min_df=2)
    assert isinstance(model.vectorizer, TfidfVectorizer)
    assert (model.vectorizer.min_df, model.vectorizer.n_jobs) == (2, 1)
    again = kind(n_jobs=1).set_params(vectorizer="tfidf", vectorizer__min_df=2)
    assert again.get_params()["vectorizer__min_df"] == 2
    for params in (model.get_params(), kind().get_params()):
        assert set(params) >= {f"vectorizer__{name}" for name in defaults(TfidfVectorizer)}
    with pytest.raises(InputError, match="vectorizer is None"):
        kind(vectorizer=None).set_params(vectorizer__min_df=2)
    with pytest.raises(InputError, match="n_jobs"):
        kind().set_params(n_jobs__more=2)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_parameters_of_the_default_ranker(kind):
    listed = {name: value for name, value in kind().get_params().items() if name.startswith("ranker__")}
    assert listed["ranker__n_trees"] == kind.default_ranker().n_trees
    model = kind().set_params(ranker__n_trees=2, ranker__vectorizer__min_df=3)
    assert model.ranker.get_params(False) == {
        **kind.default_ranker().get_params(False),
        "n_trees": 2,
        "vectorizer": model.ranker.vectorizer,
    }
    assert model.get_params()["ranker__n_trees"] == 2
    assert kind().ranker is None  # of another model
    own = XRLinear(C=2.0)
    assert kind(ranker=own).set_params(ranker__n_trees=4).ranker is own
    assert (own.C, own.n_trees) == (2.0, 4)


@pytest.mark.parametrize("kind", MODELS)
def test_every_listed_parameter_can_be_set(kind):
    for name, value in kind().get_params().items():
        model = kind().set_params(**{name: value})
        found = model.get_params()[name]
        assert found == value or type(found) is type(value)


def test_nested_parameters_of_another_vectorizer():
    model = XRLinear(vectorizer=make_pipeline(ScikitLearns()))
    model.set_params(vectorizer__tfidfvectorizer__min_df=2)
    assert model.vectorizer[0].min_df == 2
    with pytest.raises(InputError, match="'vectorizer__tfidfvectorizer__min_df'"):
        model.set_params(vectorizer__tfidfvectorizer__mindf=2)


def test_in_a_grid_and_a_pipeline():
    grid = {"vectorizer__word_ngrams": [(1, 1), (1, 2)], "vectorizer__min_df": [1, 2], "n_trees": [1]}
    search = GridSearchCV(XRLinear(n_jobs=1), grid, cv=2, error_score="raise").fit(TEXTS, LABELS)
    assert search.best_estimator_.vectorizer.min_df == search.best_params_["vectorizer__min_df"]
    assert len(search.cv_results_["params"]) == 4
    pipeline = make_pipeline(XRLinear()).set_params(xrlinear__vectorizer__min_df=2)
    assert pipeline[0].vectorizer.min_df == 2
    copy = clone(search.best_estimator_)
    assert copy.get_params()["vectorizer__min_df"] == search.best_params_["vectorizer__min_df"]


def test_a_grid_over_the_rankers_parameters():
    pytest.importorskip("torch")
    grid = {"ranker__n_trees": [1, 2], "vectorizer__min_df": [1]}
    model = XRTransformer(encoder="frozen:static:8", n_jobs=1)
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(TEXTS, LABELS)
    assert len(search.best_estimator_.trees_) == search.best_params_["ranker__n_trees"]


def test_classes_of_a_users_own_keep_their_parameters():
    class Mine(XRLinear):
        def __init__(self, *, extra=1, n_trees=1):
            super().__init__(n_trees=n_trees)
            self.extra = extra

    class Loose(XRLinear):
        def __init__(self, **more):
            super().__init__(**{"n_trees": 2, **more})

    assert clone(Mine(extra=3)).extra == 3
    assert Mine.from_preset is not None
    assert Loose(C=2.0).C == 2.0
    with pytest.raises(TypeError, match="'extra'"):
        Mine(extre=2)
    with pytest.raises(TypeError, match="'c'"):
        Loose(c=2.0)
    assert pickle.loads(pickle.dumps(XRLinear(C=3.0))).C == 3.0


def test_the_names_of_scikit_learn_are_taken():
    model = XRLinear(n_jobs=1).fit(X=TEXTS, y=LABELS)
    assert model.score(TEXTS, y=LABELS) == model.score(X=TEXTS, y=LABELS) == model.score(TEXTS, LABELS)
    again = XRLinear(n_jobs=1).fit(TEXTS, Y=LABELS)  # the name of before works too
    assert again.score(TEXTS, Y=LABELS) == model.score(TEXTS, LABELS)
    assert again.predict_topk(TEXTS)[1].tobytes() == model.predict_topk(TEXTS)[1].tobytes()


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_the_names_of_scikit_learn_are_taken_by_transformer_models(kind):
    pytest.importorskip("torch")
    model = kind(encoder="frozen:static:8", n_jobs=1).fit(TEXTS, y=LABELS)
    for named in ({"X": TEXTS, "y": LABELS}, {"texts": TEXTS, "Y": LABELS}):
        again = kind(encoder="frozen:static:8", n_jobs=1).fit(**named)
        assert again.score(TEXTS, y=LABELS) == model.score(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("call", "wrong", "right"),
    [
        (lambda: XRLinear().fit(TEXTS, LABELS, Y=LABELS), "y", "Y"),
        (lambda: XRLinear().fit(TEXTS, y=LABELS, Y=LABELS), "y", "Y"),
        (lambda: XRLinear().fit(texts=TEXTS, y=LABELS), "texts", "X"),
        (lambda: XRLinear().fit(TEXTS, LABELS, label_text=[]), "label_text", "label_texts"),
        (lambda: XRLinear().fit(TEXTS, LABELS, clases=[]), "clases", "classes"),
        (lambda: XRLinear().score(TEXTS, labels=LABELS), "labels", "y"),
        (lambda: XRTransformer().fit(TEXTS, LABELS, texts=TEXTS), "X", "texts"),
        (lambda: XTransformer().fit(TEXTS, LABELS, X=[[1.0]]), "X", "features"),
        (lambda: XRTransformer().fit(TEXTS, labels=LABELS), "labels", "y"),
    ],
)
def test_wrong_arguments_are_answered_with_the_right_one(call, wrong, right):
    with pytest.raises(TypeError, match=f"'{wrong}'.*'{right}'"):
        call()


def test_a_parameter_is_not_an_argument_of_fit():
    with pytest.raises(TypeError, match=r"'n_trees'.*parameter of XRLinear"):
        XRLinear().fit(TEXTS, LABELS, n_trees=2)
    with pytest.raises(TypeError, match="'X' twice"):
        XRLinear().fit(TEXTS, X=TEXTS, y=LABELS)
