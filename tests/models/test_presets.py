"""Settings by one word: what they set, what counts more, and that clones, searches and files keep them."""

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from ceiba import XRLinear, XRTransformer, XTransformer, load
from ceiba._params import defaults
from ceiba.errors import InputError

MODELS = [XRLinear, XRTransformer, XTransformer]


@pytest.mark.parametrize("kind", MODELS)
def test_presets_are_parameters_the_model_has(kind):
    assert list(kind._presets) == ["fast", "balanced", "accurate"]
    for preset, values in kind._presets.items():
        model = kind(preset=preset)
        params = model.get_params(deep=False)
        assert {name: params[name] for name in values} == values
        rest = params.keys() - values.keys() - {"preset"}
        assert {name: params[name] for name in rest} == {name: defaults(kind)[name] for name in rest}
        for name, value in values.items():
            assert any(constraint.accepts(value) for constraint in kind._constraints[name])


def test_what_is_given_counts_more():
    model = XRLinear(preset="accurate", n_trees=7)
    assert (model.n_trees, model.preset) == (7, "accurate")
    assert model.overlap == XRLinear._presets["accurate"]["overlap"]


@pytest.mark.parametrize("kind", MODELS)
def test_clones_are_the_same(kind):
    for preset in kind._presets:
        model = kind(preset=preset, random_state=3)
        assert clone(model).get_params(deep=False) == model.get_params(deep=False)


def test_a_preset_can_be_changed_and_ended():
    model = XRLinear(preset="accurate", C=2.0)
    model.set_params(preset="balanced")
    assert model.get_params() == XRLinear(preset="balanced", C=2.0).get_params()
    model.set_params(preset=None)
    assert model.get_params() == XRLinear(C=2.0).get_params()
    model.set_params(preset="accurate", n_trees=1)  # the plain default, although the preset says another
    assert (model.n_trees, model.preset) == (1, None)
    assert model.overlap == XRLinear._presets["accurate"]["overlap"]
    assert clone(model).get_params() == model.get_params()


def test_what_was_set_stays_when_the_preset_changes():
    model = XRLinear(preset="accurate").set_params(n_trees=9)
    assert model.set_params(preset="fast").n_trees == 9
    assert model.preset == "fast"


def test_trains_searches_and_saves(make_problem, tmp_path):
    problem = make_problem()
    given = XRLinear(preset="balanced", n_jobs=1)
    plain = XRLinear(**XRLinear._presets["balanced"], n_jobs=1).fit(problem.X, problem.Y)
    top, _ = given.fit(problem.X, problem.Y).predict_topk(problem.X, 3)
    assert top.tolist() == plain.predict_topk(problem.X, 3)[0].tolist()
    given.save(tmp_path / "model")
    found = load(tmp_path / "model")
    assert found.get_params() == given.get_params()
    grid = {"preset": ["fast", "balanced"]}
    search = GridSearchCV(XRLinear(empty_labels="keep", n_jobs=1), grid, cv=2, error_score="raise")
    search.fit(problem.X, problem.Y)
    assert search.best_estimator_.preset == search.best_params_["preset"]


@pytest.mark.parametrize("bad", ["best", "", 3, ["fast"]])
def test_other_presets_are_named(make_problem, bad):
    problem = make_problem()
    with pytest.raises(InputError, match=r"'preset' parameter of XRLinear must be None or one of 'fast', 'balanced'"):
        XRLinear(preset=bad).fit(problem.X, problem.Y)
    with pytest.raises(InputError, match="'preset' parameter"):
        XRLinear().set_params(preset=bad).fit(problem.X, problem.Y)
