"""Parameters declared in frozen dataclasses make an estimator's signature, constraints and documentation."""

import inspect
from dataclasses import FrozenInstanceError, dataclass

import pytest
from sklearn.base import BaseEstimator, clone

from ceiba._estimator import NamedParameters
from ceiba._params import COUNT, NOT_NEGATIVE, Exactly, Flag, Interval, JsonList, Options, Text, setting
from ceiba._settings import check_parameters, constraints_of, declared, parameters, settings_of
from ceiba.errors import InputError, InputTypeError


@dataclass(frozen=True)
class Growth:
    n_leaves: int = setting(8, COUNT, doc="Leaves.")
    rate: float | None = setting(None, Exactly(None), NOT_NEGATIVE, doc="How fast. None: as it likes.")


@dataclass(frozen=True)
class Kind:
    kind: str = setting("oak", Options("oak", "elm"), doc="Which tree. " * 30)
    rate: float = setting(0.5, NOT_NEGATIVE, doc="Another rate.")


@parameters(Growth, Kind)
class Tree(NamedParameters, BaseEstimator):
    """A tree.

    {parameters}

    Attributes
    ----------
    height_ : float
    """


class Bush(Tree):
    """Another plant with the same parameters."""


def test_signature():
    found = inspect.signature(Tree).parameters
    assert {name: each.default for name, each in found.items()} == {"n_leaves": 8, "rate": 0.5, "kind": "oak"}
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in found.values())
    assert inspect.signature(Bush) == inspect.signature(Tree)
    assert (found["n_leaves"].annotation, found["rate"].annotation) == (int, float)
    with pytest.raises(TypeError):
        Tree(3)


@pytest.mark.parametrize("kind", [Tree, Bush])
def test_parameters_are_those_of_scikit_learn(kind):
    tree = kind(n_leaves=3)
    assert tree.get_params() == {"n_leaves": 3, "rate": 0.5, "kind": "oak"}
    assert clone(tree.set_params(kind="elm")).get_params() == {"n_leaves": 3, "rate": 0.5, "kind": "elm"}
    with pytest.raises(InputTypeError, match="n_leaves"):
        kind(leaves=3)


def test_a_derived_class_that_passes_on_too_much():
    class Own(Tree):
        def __init__(self, **params):
            super().__init__(**params)

    assert Own(rate=2).rate == 2
    with pytest.raises(TypeError, match="nuts"):
        Own(nuts=1)


def test_settings_of_an_estimator_are_frozen():
    settings = settings_of(Tree(n_leaves=3, rate=1), Growth)
    assert settings == Growth(3, 1)
    with pytest.raises(FrozenInstanceError):
        settings.rate = 2


def test_constraints_and_descriptions():
    for kind in (Tree, Bush):
        assert list(constraints_of(kind)) == ["n_leaves", "rate", "kind"]
        assert [str(each) for each in constraints_of(kind)["rate"]] == ["a float in [0, inf)"]
        with pytest.raises(InputError, match="n_leaves"):
            check_parameters(kind(n_leaves=0))
    lines = inspect.getdoc(Tree).split("\n")
    assert lines[2:6] == ["Parameters", "----------", "n_leaves : int, default=8", "    Leaves."]
    assert 'kind : {"oak", "elm"}, default="oak"' in lines
    assert lines[-4:] == ["", "Attributes", "----------", "height_ : float"]
    assert max(len(line) for line in Tree.__doc__.split("\n")) <= 120


@pytest.mark.parametrize(
    ("default", "constraints", "words"),
    [
        (None, [Exactly(None), COUNT], "int or None, default=None"),
        ("auto", [Options("auto"), Flag()], '"auto" or bool, default="auto"'),
        ((1, 2), [JsonList(Interval(int, 1, None), length=2)], "(int, int), default=(1, 2)"),
        (None, [Exactly(None), COUNT, JsonList(COUNT)], "int or list of int or None, default=None"),
        ("cpu", [Text("a device")], 'str, default="cpu"'),
    ],
)
def test_headings(default, constraints, words):
    @dataclass(frozen=True)
    class Group:
        x: object = setting(default, *constraints, doc="")

    assert declared(Group)["x"].heading() == f"x : {words}"
