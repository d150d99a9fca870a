"""Kinds of values a parameter may have."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba._params import (
    Exactly,
    Flag,
    Instance,
    Interval,
    JsonList,
    Options,
    check,
    check_all,
    defaults,
    describe,
    parse,
)
from ceiba.errors import InputError

NOTHING_LIKE_IT = [None, "x", [], {}, object(), 1j, True, np.nan]


@pytest.mark.parametrize(
    ("constraint", "good", "bad", "words"),
    [
        (Interval(int, 1, None), [1, 5, np.int64(3), 10**30], [0, -1, 1.0, 1.5], "an int in [1, inf)"),
        (Interval(int, None, 3), [3, -9], [4], "an int in (-inf, 3]"),
        (Interval(int, -1, -1), [-1], [0, -2], "an int in [-1, -1]"),
        (
            Interval(float, 0, None, closed="neither"),
            [1, 0.5, np.float32(2), 1e300],
            [0, 0.0, -1e-9],
            "a float in (0, inf)",
        ),
        (Interval(float, 0, 1), [0, 1, 0.5], [1.0001, -0.1], "a float in [0, 1]"),
        (Interval(float, 0, 1, closed="left"), [0], [1], "a float in [0, 1)"),
        (Interval(float, 0, 1, closed="right"), [1], [0], "a float in (0, 1]"),
        (Options("a", "b"), ["a", "b"], ["A", "", "ab", 1], "one of 'a', 'b'"),
        (Exactly(None), [None], [0, "None", False], "None"),
        (Flag(), [True, False, np.True_], [0, 1, "True"], "a bool"),
        (
            Instance("an array", np.ndarray, sp.sparray),
            [np.zeros(2), sp.csr_array((1, 1))],
            [[1], np.ndarray],
            "an array",
        ),
        (Instance("a transformer", methods=("fit", "transform")), [], [list, 3], "a transformer"),
        (
            JsonList(Interval(int, 1, None)),
            [[1, 2], (3,), []],
            [[0], [1, "x"], 1, "12"],
            "a list with each item an int in [1, inf)",
        ),
        (JsonList(Options("a"), length=2), [["a", "a"]], [["a"], []], "a list of 2 with each item one of 'a'"),
    ],
    ids=lambda value: str(value) if not isinstance(value, list) else "",
)
def test_what_is_accepted(constraint, good, bad, words):
    assert str(constraint) == words
    for value in good:
        assert constraint.accepts(value), value
    for value in bad:
        assert not constraint.accepts(value), value
    for value in NOTHING_LIKE_IT:
        fits = (
            (value is None and isinstance(constraint, Exactly) and not isinstance(constraint, Flag))
            or (value is True and isinstance(constraint, Flag))
            or (value == [] and isinstance(constraint, JsonList) and constraint.length is None)
        )
        assert constraint.accepts(value) == fits, value


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_outside_of_open_intervals(value):
    assert not Interval(float, None, None).accepts(value)


def test_the_message_is_uniform():
    constraints = [Interval(int, 1, None), Exactly(None)]
    assert describe(constraints) == "an int in [1, inf) or None"
    check("k", None, constraints, "F")
    message = r"^The 'k' parameter of F must be an int in \[1, inf\) or None\. Got 0 instead\.$"
    with pytest.raises(InputError, match=message):
        check("k", 0, constraints, "F")
    with pytest.raises(InputError, match="Got 'two' instead"):
        check_all({"k": "two", "free": 3}, {"k": constraints}, "F")
    check_all({"k": 2, "free": 3}, {"k": constraints}, "F")


@pytest.mark.parametrize(
    ("text", "constraints", "value"),
    [
        ("3", [Interval(int, 1, None)], 3),
        ("1e-3", [Interval(float, 0, None)], 0.001),
        ("a", [Options("a", "b")], "a"),
        ("none", [Exactly(None), Interval(int, 1, None)], None),
        ("4", [Exactly(None), Interval(int, 1, None)], 4),
        ("true", [Flag()], True),
        ("[1, 2]", [JsonList(Interval(int, 1, None))], [1, 2]),
    ],
)
def test_words_of_the_command_line(text, constraints, value):
    assert parse("p", text, {"p": constraints}, "F") == value
    assert type(parse("p", text, {"p": constraints}, "F")) is type(value)


@pytest.mark.parametrize(
    ("text", "constraints"),
    [
        ("0", [Interval(int, 1, None)]),
        ("1.5", [Interval(int, 1, None)]),
        ("nan", [Interval(float, 0, None)]),
        ("c", [Options("a", "b")]),
        ("x", [Instance("an array", np.ndarray)]),
        ("[1, 0]", [JsonList(Interval(int, 1, None))]),
        ("[1", [JsonList(Interval(int, 1, None))]),
        ("{}", [JsonList(Interval(int, 1, None))]),
        ("", [Flag()]),
    ],
)
def test_words_that_are_no_value(text, constraints):
    with pytest.raises(InputError, match=r"^The 'p' parameter of F must be .* Got .* instead"):
        parse("p", text, {"p": constraints}, "F")


def test_unknown_parameters_are_named_with_the_known():
    with pytest.raises(InputError, match=r"^F has no parameter 'q'. Its parameters are: a, p.$"):
        parse("q", "1", {"p": [Flag()], "a": [Flag()]}, "F")


def test_defaults_come_from_the_signature():
    def estimator(x, *, a=1, b=None):
        pass

    assert defaults(estimator) == {"a": 1, "b": None}
