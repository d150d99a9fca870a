"""Declared parameters: one source for defaults, checks, the command line and the docs.

A group of parameters is a frozen dataclass whose fields are made by `setting`, with a default, constraints and a
description. A value is valid when any one of its constraints accepts it.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from ceiba._cpus import usable_cpus
from ceiba.errors import InputError


class Constraint:
    """One kind of value a parameter may have."""

    def accepts(self, value: Any) -> bool:
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        """Read a value from a command-line word; raise ValueError where the word is not of this kind."""
        raise ValueError(text)

    @property
    def type_words(self) -> str:
        """The type as numpydoc writes it."""
        raise NotImplementedError


class Interval(Constraint):
    """Numbers between two bounds; None is no bound, ``closed`` says which bounds belong to it."""

    def __init__(self, kind: type, low: float | None = None, high: float | None = None, *, closed: str = "both"):
        self.kind, self.low, self.high = kind, low, high
        self.closed_low = closed in ("both", "left")
        self.closed_high = closed in ("both", "right")

    def accepts(self, value: Any) -> bool:
        if type(value) is float:  # the most frequent types need no look at the abstract ones
            if self.kind is int or not math.isfinite(value):
                return False
        elif type(value) is not int:
            if isinstance(value, (bool, np.bool_)):
                return False
            if not isinstance(value, Integral if self.kind is int else Real):
                return False
            if not isinstance(value, Integral) and not math.isfinite(value):
                return False
        number: Any = value
        above = self.low is None or number > self.low or (self.closed_low and number == self.low)
        below = self.high is None or number < self.high or (self.closed_high and number == self.high)
        return above and below

    def __str__(self) -> str:
        left = "(-inf" if self.low is None else f"{'[' if self.closed_low else '('}{self.low}"
        right = "inf)" if self.high is None else f"{self.high}{']' if self.closed_high else ')'}"
        return f"{'an int' if self.kind is int else 'a float'} in {left}, {right}"

    def parse(self, text: str) -> Any:
        return self.kind(text)

    @property
    def type_words(self) -> str:
        return self.kind.__name__


class Options(Constraint):
    """One of a few strings."""

    def __init__(self, *options: str):
        self.options = options

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.options

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(option) for option in self.options)

    def parse(self, text: str) -> Any:
        if text in self.options:
            return text
        raise ValueError(text)

    @property
    def type_words(self) -> str:
        written = ", ".join(f'"{option}"' for option in self.options)
        return written if len(self.options) == 1 else f"{{{written}}}"


class Text(Constraint):
    """Any string that is not empty."""

    def __init__(self, description: str):
        self.description = description

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and bool(value.strip())

    def __str__(self) -> str:
        return self.description

    def parse(self, text: str) -> Any:
        return text

    @property
    def type_words(self) -> str:
        return "str"


class Exactly(Constraint):
    """A single value, such as None or True."""

    def __init__(self, *values: Any):
        self.values = values

    def accepts(self, value: Any) -> bool:
        return any(value is allowed for allowed in self.values)

    def __str__(self) -> str:
        return " or ".join(repr(value) for value in self.values)

    def parse(self, text: str) -> Any:
        for value in self.values:
            if text.lower() == str(value).lower():
                return value
        raise ValueError(text)

    @property
    def type_words(self) -> str:
        return str(self)


class Flag(Exactly):
    """True or False."""

    def __init__(self) -> None:
        super().__init__(True, False)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (bool, np.bool_))

    def __str__(self) -> str:
        return "a bool"

    @property
    def type_words(self) -> str:
        return "bool"


class Instance(Constraint):
    """An object of given types, or with given methods; cannot be written on the command line."""

    def __init__(self, description: str, *types: type, methods: Sequence[str] = ()):
        self.description, self.types, self.methods = description, types, methods

    def accepts(self, value: Any) -> bool:
        if isinstance(value, type):
            return False
        if self.types and isinstance(value, self.types):
            return True
        return bool(self.methods) and all(hasattr(value, name) for name in self.methods)

    def __str__(self) -> str:
        return self.description

    @property
    def type_words(self) -> str:
        return self.description.removeprefix("an ").removeprefix("a ")


class JsonList(Constraint):
    """A list or tuple whose every item satisfies one constraint; written as JSON on the command line."""

    def __init__(self, item: Constraint, *, length: int | None = None):
        self.item, self.length = item, length

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, (list, tuple)) or (self.length is not None and len(value) != self.length):
            return False
        return all(self.item.accepts(item) for item in value)

    def __str__(self) -> str:
        size = "" if self.length is None else f" of {self.length}"
        return f"a list{size} with each item {self.item}"

    def parse(self, text: str) -> Any:
        value = json.loads(text)
        if not isinstance(value, list):
            raise ValueError(text)
        return value

    @property
    def type_words(self) -> str:
        if self.length is None:
            return f"list of {self.item.type_words}"
        return f"({', '.join([self.item.type_words] * self.length)})"


Constraints = Mapping[str, Sequence[Constraint]]


COUNT = Interval(int, 1, None)
POSITIVE = Interval(float, 0, None, closed="neither")
NOT_NEGATIVE = Interval(float, 0, None)
SHARE = Interval(float, 0, 1)


def setting(default: Any, *constraints: Constraint, doc: str) -> Any:
    """Declare a field of a frozen dataclass of settings.

    Parameters
    ----------
    default : object
        A value that cannot be changed in place, such as a tuple in place of a list.
    *constraints : Constraint
        The kinds of values that are allowed; one of them has to accept a value.
    doc : str
        What the field means, in sentences for the reader of an estimator's documentation.
    """
    return dataclasses.field(default=default, metadata={"constraints": constraints, "doc": doc})


N_JOBS = (Exactly(None), Interval(int, None, -1), Interval(int, 1, None))  # as joblib reads it

_MOST_THREADS = 1024  # more than any machine has use for, and few enough to ask for


def available_threads(n_jobs: int | None) -> int:
    """Return how many threads `n_jobs` stands for.

    None and -1 are all processors that this process may use, -2 all but one, and so on; never less than one.
    """
    if n_jobs is not None and n_jobs > 0:
        return min(n_jobs, _MOST_THREADS)
    cpus = usable_cpus()
    if cpus > _MOST_THREADS:
        cpus = _MOST_THREADS
    return cpus if n_jobs is None else max(1, cpus + 1 + n_jobs)


def describe(constraints: Sequence[Constraint]) -> str:
    """Return the words for a set of alternatives, as used in messages and docs."""
    return " or ".join(str(constraint) for constraint in constraints)


def check(name: str, value: Any, constraints: Sequence[Constraint], owner: str) -> None:
    """Raise InputError with the one uniform message unless some constraint accepts the value."""
    for constraint in constraints:
        if constraint.accepts(value):
            return
    raise InputError(f"The {name!r} parameter of {owner} must be {describe(constraints)}. Got {value!r} instead.")


def check_all(params: Mapping[str, Any], constraints: Constraints, owner: str) -> None:
    """Check every declared parameter of an estimator."""
    for name, alternatives in constraints.items():
        check(name, params[name], alternatives, owner)


def parse(name: str, text: str, constraints: Constraints, owner: str) -> Any:
    """Turn ``text`` from ``--set name=text`` into the value of a declared parameter."""
    if name not in constraints:
        known = ", ".join(sorted(constraints))
        raise InputError(f"{owner} has no parameter {name!r}. Its parameters are: {known}.")
    for constraint in constraints[name]:
        try:
            value = constraint.parse(text)
        except ValueError:
            continue
        if constraint.accepts(value):
            return value
    raise InputError(f"The {name!r} parameter of {owner} must be {describe(constraints[name])}. Got {text!r} instead.")


def defaults(estimator: Callable) -> dict[str, Any]:
    """Return the defaults of an estimator's signature by parameter name."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(estimator).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
