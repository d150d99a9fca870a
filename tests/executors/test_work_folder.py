"""Finished pieces are found again for equal inputs and for no others; what cannot be compared is refused."""

from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import XRLinear
from ceiba.errors import InputTypeError
from ceiba.executors import LocalExecutor, Piece

CALLS = []


@dataclass(frozen=True)
class Settings:
    C: float = 1.0
    n_threads: int = 1


@dataclass(frozen=True, eq=False)
class Rows:
    data: np.ndarray
    _scale: float = 1.0
    _cache: object = field(default=None, compare=False)


Context = namedtuple("Context", ["beam_size", "n_threads"])


class Plain:
    def __init__(self, value=1):
        self.value = value


class Slotted:
    __slots__ = ()


def count(*, value, context):
    CALLS.append(value)
    return {"x": np.array([len(CALLS)])}


def calls_for(tmp_path, *values):
    """Return how many of the values are worked on, each by an executor of its own in the same folder."""
    CALLS.clear()
    for value in values:
        list(LocalExecutor(work_dir=tmp_path).map(count, [Piece("p")], shared={"value": value}, stage="counting"))
    return len(CALLS)


@pytest.mark.parametrize(
    "pair",
    [
        (Settings(n_threads=1), Settings(n_threads=8)),
        (Context(10, 1), Context(10, 8)),
        (Rows(np.arange(3)), Rows(np.arange(3), _cache=object())),
        ({"a": 1, 2: "b"}, {2: "b", "a": 1}),
        (np.array(["a", "b"], object), np.array(["a", "b"], object)),
        ([b"a", None, True], [b"a", None, True]),
    ],
    ids=lambda pair: type(pair[0]).__name__,
)
def test_equal_inputs_are_found_again(tmp_path, pair):
    assert calls_for(tmp_path, *pair) == 1


@pytest.mark.parametrize(
    "pair",
    [
        (Settings(C=1.0), Settings(C=2.0)),
        (Context(10, 1), Context(11, 1)),
        (Rows(np.arange(3)), Rows(np.arange(3), _scale=2.0)),
        ({"n_threads": "a thread"}, {"n_threads": "another text"}),  # labels may have any name
        ({"a": 1, 2: "b"}, {"a": 1, 2: "c"}),
        (["ab", "c"], ["a", "bc"]),
        (["1"], [1]),
        ([b"a"], ["a"]),
        ([["a"], ["b"]], [["a", "b"], []]),
        (np.zeros(4, np.float32), np.zeros(2, np.float64)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (sp.csr_array(np.eye(3)), sp.csr_array(np.eye(3)[::-1].copy())),
        (1, True),
        (None, "None"),
    ],
    ids=lambda pair: type(pair[0]).__name__,
)
def test_other_inputs_are_not(tmp_path, pair):
    assert calls_for(tmp_path, *pair) == 2


@pytest.mark.parametrize(
    "value", [Plain(), Slotted(), {1, 2}, object(), [Plain()], {"a": Plain()}, print, Settings, XRLinear()]
)
def test_what_cannot_be_compared_is_refused_before_the_work(tmp_path, value):
    with pytest.raises(InputTypeError, match="work_dir"):
        calls_for(tmp_path, value)
    assert not CALLS
    assert not list(tmp_path.iterdir())
