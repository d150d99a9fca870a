"""Settings by one word: what they set, what counts more, and that clones, searches and files keep them."""

import json
import shutil
from pathlib import Path

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from ceiba import HybridClassifier, XRLinear, XRTransformer, XTransformer, load
from ceiba._params import defaults
from ceiba._settings import constraints_of
from ceiba.cli.settings import build
from ceiba.errors import InputError

MODELS = [XRLinear, XRTransformer, XTransformer]


@pytest.mark.parametrize("kind", MODELS)
def test_presets_are_parameters_the_model_has(kind):
    assert list(kind._presets) == ["fast", "balanced", "accurate"]
    for preset, values in kind._presets.items():
        model = kind.from_preset(preset)
        assert type(model) is kind
        assert model.get_params(deep=False) == {**defaults(kind), **values}
        for name, value in values.items():
            assert any(constraint.accepts(value) for constraint in constraints_of(kind)[name])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("preset", ["fast", "balanced", "accurate"])
def test_what_is_written_counts_more(kind, preset):
    for name, usual in defaults(kind).items():
        assert getattr(kind.from_preset(preset, **{name: usual}), name) == usual  # even where it is the plain default
    for name in kind._presets[preset]:
        model = kind.from_preset(preset, **{name: 7})
        assert model.get_params(deep=False) == {**defaults(kind), **kind._presets[preset], name: 7}


def test_the_plain_default_trains_one_tree(make_problem):
    problem = make_problem()
    model = XRLinear.from_preset("accurate", n_trees=1, n_jobs=1).fit(problem.X, problem.Y)
    assert len(model.trees_) == 1
    assert model.overlap == XRLinear._presets["accurate"]["overlap"]


def test_nested_parameters_beside_a_preset():
    model = XRTransformer.from_preset("fast", ranker__n_trees=5, vectorizer__min_df=2)
    assert (model.epochs, model.ranker.n_trees, model.vectorizer.min_df) == (0.25, 5, 2)


def test_presets_of_the_hybrid_model():
    assert list(HybridClassifier._presets) == ["fast", "balanced", "accurate"]
    for preset, values in HybridClassifier._presets.items():
        model = HybridClassifier.from_preset(preset, n_neighbors=7)
        expected = {**defaults(HybridClassifier), **values, "n_neighbors": 7}
        params = model.get_params(deep=False)
        assert {name: str(value) for name, value in params.items()} == {n: str(v) for n, v in expected.items()}
        for name, value in params.items():
            assert any(constraint.accepts(value) for constraint in constraints_of(HybridClassifier)[name])
        texts, labels = ["red car", "green tree", "red tree", "green car"] * 3, [["a"], ["b"], ["a"], ["b"]] * 3
        assert model.set_params(fusion="logistic", n_jobs=1).fit(texts, labels).score(texts, labels) == 1


def test_a_model_of_a_preset_shares_nothing_with_the_next():
    usual = HybridClassifier.from_preset("fast").base.n_trees
    HybridClassifier.from_preset("fast", base__n_trees=usual + 4)
    HybridClassifier.from_preset("fast").base.set_params(n_trees=usual + 4)
    assert HybridClassifier.from_preset("fast").base.n_trees == usual


@pytest.mark.parametrize("name", ["xr-linear", "xr-transformer", "x-transformer"])
def test_the_command_line_does_the_same(name):
    kind = type(build(name, []))
    for preset, values in kind._presets.items():
        assert build(name, [], preset=preset).get_params(False) == kind.from_preset(preset).get_params(False)
        for each in values:
            written = build(name, [f"{each}={defaults(kind)[each]}"], preset=preset)
            assert getattr(written, each) == defaults(kind)[each]
    with pytest.raises(InputError, match="'fast', 'balanced', 'accurate'"):
        build(name, [], preset="best")
    with pytest.raises(InputError, match="--preset"):
        build(name, ["preset=fast"])


@pytest.mark.parametrize("kind", MODELS)
def test_clones_are_the_same(kind):
    for preset in kind._presets:
        model = kind.from_preset(preset, random_state=3)
        assert clone(model).get_params(deep=False) == model.get_params(deep=False)


def test_trains_searches_and_saves(make_problem, tmp_path):
    problem = make_problem()
    given = XRLinear.from_preset("balanced", n_jobs=1)
    plain = XRLinear(**XRLinear._presets["balanced"], n_jobs=1).fit(problem.X, problem.Y)
    top, _ = given.fit(problem.X, problem.Y).predict_topk(problem.X, 3)
    assert top.tolist() == plain.predict_topk(problem.X, 3)[0].tolist()
    given.save(tmp_path / "model")
    found = load(tmp_path / "model")
    assert found.get_params(False) == given.get_params(False)
    grid = {"C": [0.5, 1.0]}
    search = GridSearchCV(XRLinear.from_preset("balanced", empty_labels="keep", n_jobs=1), grid, cv=2)
    assert search.fit(problem.X, problem.Y).best_estimator_.n_trees == 3


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("bad", ["best", "", 3, ["fast"], None])
def test_other_presets_are_named(kind, bad):
    with pytest.raises(InputError, match=r"'preset'.*from_preset.*'fast', 'balanced'"):
        kind.from_preset(bad)


@pytest.mark.parametrize("kind", MODELS)
def test_the_parameter_of_before_names_what_to_use(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__}\.from_preset\("):
        kind(preset="accurate")
    with pytest.raises(InputError, match=rf"{kind.__name__}\.from_preset\("):
        kind().set_params(preset="accurate")


def test_models_that_were_saved_with_a_preset_load(tmp_path):
    shutil.copytree(Path(__file__).parent / "format-2" / "xr_linear", tmp_path / "model")
    expected = load(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    manifest = json.loads(path.read_text())
    manifest["params"]["preset"] = "balanced"
    path.write_text(json.dumps(manifest))
    found = load(tmp_path / "model")
    assert str(found.get_params()) == str(expected.get_params())
