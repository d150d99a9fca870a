"""Every parameter of every estimator is declared, documented and checked."""

import inspect
import re

import numpy as np
import pytest

from ceiba import TfidfVectorizer, XRLinear, XRTransformer, XTransformer
from ceiba._params import defaults, describe
from ceiba._settings import constraints_of, declared, parameters_of, settings_of
from ceiba.errors import InputError
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.linear.solve import SolverSettings
from ceiba.models import MODELS
from ceiba.models.disentangle import OverlapSettings
from ceiba.models.linear_params import InstanceSettings, SearchSettings, TreeSettings

ESTIMATORS = [*MODELS.values(), TfidfVectorizer]
PARAMETERS = [(kind, name) for kind in ESTIMATORS for name in constraints_of(kind)]

# No parameter means any of these.
NONSENSE = ["no such option", -7, -0.5, float("nan"), object(), [], {"a": 1}, 1j]

X, Y = np.eye(3), [[0], [1], [0]]
TEXTS = ["a", "b c", "c d"]


def fit(estimator):
    return estimator.fit(TEXTS) if isinstance(estimator, TfidfVectorizer) else estimator.fit(X, Y)


def own_parameters(kind):
    return [p for p in inspect.signature(kind.__init__).parameters.values() if p.name != "self"]


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_declared_are_the_parameters_of_init(kind):
    assert list(constraints_of(kind)) == [p.name for p in own_parameters(kind)]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in own_parameters(kind))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_documented_are_the_parameters_of_init(kind):
    section = re.search(r"Parameters\n *-+\n(.*?)\n\n *\w+\n *---", inspect.getdoc(kind), re.S).group(1)
    documented = []
    for names, text in re.findall(r"^(\w[\w, ]*) : (.*)$", section, re.M):
        for name in names.split(", "):
            documented.append(name)
            default = re.search(r"default=(.*)$", text).group(1)
            assert default.strip() == _written(defaults(kind)[name]), name
    assert documented == [p.name for p in own_parameters(kind)]


def _written(value):
    return f'"{value}"' if isinstance(value, str) else repr(value)


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        *(
            (XRLinear, group)
            for group in (TreeSettings, OverlapSettings, InstanceSettings, SolverSettings, SearchSettings)
        ),
        *((kind, FineTuningSettings) for kind in (XRTransformer, XTransformer)),
    ],
)
def test_parameters_are_the_fields_of_settings(kind, group):
    assert settings_of(kind(), group) == group()
    for name, each in declared(group).items():
        assert parameters_of(kind)[name] == each
        assert each.doc.endswith(".")


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_defaults_are_accepted(kind):
    for name, value in defaults(kind).items():
        assert any(constraint.accepts(value) for constraint in constraints_of(kind)[name]), name


@pytest.mark.parametrize(("kind", "name"), PARAMETERS, ids=[f"{kind.__name__}-{name}" for kind, name in PARAMETERS])
def test_every_parameter_rejects_nonsense(kind, name):
    constraints = constraints_of(kind)[name]
    rejected = 0
    for value in NONSENSE:
        if any(constraint.accepts(value) for constraint in constraints):
            continue
        rejected += 1
        estimator = kind(**{name: value})  # checked at fit, not before, as scikit-learn has it
        message = f"The {name!r} parameter of {kind.__name__} must be {describe(constraints)}. Got {value!r} instead."
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            fit(estimator)
        assert not [attribute for attribute in vars(estimator) if attribute.endswith("_")]
    assert rejected >= len(NONSENSE) - 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_trees": np.int64(2), "beam_size": np.int32(3), "random_state": np.int64(5), "n_jobs": np.int64(1)},
        {"C": np.float32(0.5), "tolerance": np.float64(0.1), "weight_threshold": 0, "bias": 0, "cost_positive": 2},
        {"max_iter": 2**40, "branching_factor": 2**40, "max_leaf_size": 2**70, "beam_size": 2**70},
        {"n_jobs": 2**40, "random_state": 2**32 - 1},
        {"n_jobs": -1, "prediction_threshold": 1},
    ],
)
def test_numbers_of_every_size_and_kind(parameters):
    model = XRLinear(**parameters).fit(X, Y)
    assert model.predict_topk(X, k=1)[0].shape == (3, 1)
