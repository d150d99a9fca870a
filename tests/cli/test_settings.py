"""Parameters on the command line: one source, and no value that is passed over."""

from __future__ import annotations

import pytest

from ceiba import TfidfVectorizer, XRLinear
from ceiba._params import defaults
from ceiba.cli.settings import build, parameters
from ceiba.errors import InputError


def test_values_reach_the_estimator():
    settings = ["C=2", "n_trees=3", "combine=log-sigmoid", "negatives=man", "vectorizer=none"]
    model = build("xr-linear", settings, seed=5, threads=2)
    assert isinstance(model, XRLinear)
    given = {"C": 2.0, "n_trees": 3, "combine": "log-sigmoid", "negatives": "man", "vectorizer": None}
    expected = {**XRLinear().get_params(deep=False), **given, "random_state": 5, "n_jobs": 2}
    assert model.get_params() == expected


def test_nested_values_make_a_vectorizer():
    settings = ["vectorizer__word_ngrams=[1,2]", "vectorizer__lowercase=false", "vectorizer__min_df=0.5"]
    vectorizer = build("xr-linear", settings).vectorizer
    assert isinstance(vectorizer, TfidfVectorizer)
    expected = {**TfidfVectorizer().get_params(), "word_ngrams": [1, 2], "lowercase": False, "min_df": 0.5}
    assert vectorizer.get_params() == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["C"], "name=value.*'C'"),
        (["=1"], "name=value"),
        (["c=1"], "no parameter 'c'.*C, "),
        (["C=0"], r"'C' parameter of XRLinear must be a float in \(0, inf\). Got '0'"),
        (["C=nan"], "'C' parameter"),
        (["C=two"], "Got 'two'"),
        (["n_trees=1.5"], "'n_trees'"),
        (["negatives=tnf"], "one of 'tfn'"),
        (["tree=oak"], "'tree'"),
        (["C=1", "C=2"], "'C' more than once"),
        (["vectorizer__word_ngrams=[1,"], "'word_ngrams' parameter of TfidfVectorizer"),
        (["vectorizer__word_ngrams=[1]"], "a list of 2"),
        (["vectorizer__ngrams=[1,2]"], "no parameter 'ngrams'"),
        (["vectorizer.word_ngrams=[1,2]"], "vectorizer__word_ngrams"),
        (["vectorizer=none", "vectorizer__min_df=2"], "vectorizer is None"),
    ],
)
def test_what_cannot_be_used_is_an_error(settings, message):
    with pytest.raises(InputError, match=message):
        build("xr-linear", settings)


def test_two_ways_to_one_parameter_are_an_error():
    with pytest.raises(InputError, match=r"'random_state'.*--seed"):
        build("xr-linear", ["random_state=1"], seed=2)
    with pytest.raises(InputError, match="--threads"):
        build("xr-linear", ["n_jobs=1"], threads=2)


def test_a_parameter_of_another_model_is_answered_with_that_model():
    with pytest.raises(InputError, match=r"'n_trees'.*--model xr-linear"):
        build("hybrid", ["n_trees=3"])
    with pytest.raises(InputError, match=r"'epochs'.*--model xr-transformer"):
        build("xr-linear", ["epochs=3"])


def test_unknown_model():
    with pytest.raises(InputError, match="xr-linear"):
        build("xr-liner", [])


def test_every_parameter_is_listed_with_words():
    listed = {parameter.name: parameter for parameter in parameters("xr-linear")}
    own, nested = XRLinear().get_params(), TfidfVectorizer().get_params()
    assert list(listed) == [*defaults(XRLinear), *(f"vectorizer__{name}" for name in nested_order())]
    assert {name: listed[name].default for name in own} == own
    assert all(listed[f"vectorizer__{name}"].default == value for name, value in nested.items())
    assert all(parameter.description and parameter.values for parameter in listed.values())


def nested_order():
    return defaults(TfidfVectorizer)


def test_params_command(run):
    result = run("params", "xr-linear")
    assert result.code == 0
    assert "\nbeam_size=10\n" in result.out
    assert "\nvectorizer__word_ngrams=[1,1]\n" in result.out
    assert "\nn_jobs=none\n" in result.out
    listed = run("params", "xr-linear", "--json").json
    assert listed["bias"] == {
        "default": 1.0,
        "values": "a float in [0, inf)",
        "description": "The value of a constant feature; 0 leaves the intercept out.",
    }
    assert "n_candidates" in run("params", "--json").json, "those of the model that is trained by default"
    assert "xr-linear" in run("params", "parabel").error()
