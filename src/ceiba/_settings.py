"""Estimators made of groups of settings: signature, constraints and documentation of their parameters.

A group is a frozen dataclass whose fields are made by `ceiba._params.setting`. The same group is the argument of the
functions that do the work, so a parameter is declared once, where it is used.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from ceiba._params import Constraint, check_all

_Estimator = TypeVar("_Estimator", bound=type)
_Group = TypeVar("_Group")

_WIDTH = 120
_PLACE = re.compile(r"^( *)\{parameters\}\n", re.MULTILINE)  # in a docstring, where the parameters are described


@dataclass(frozen=True)
class Declared:
    """A parameter of an estimator."""

    name: str
    default: Any
    constraints: tuple[Constraint, ...]
    doc: str
    annotation: Any

    def heading(self) -> str:
        """Return name, type and default as numpydoc has them."""
        words = list(dict.fromkeys(constraint.type_words for constraint in self.constraints))
        words.sort(key=lambda word: word == "None")
        default = f'"{self.default}"' if isinstance(self.default, str) else repr(self.default)
        return f"{self.name} : {' or '.join(words)}, default={default}"


_OF_CLASS: dict[type, Mapping[str, Declared]] = {}


def declared(group: type) -> dict[str, Declared]:
    """Return the parameters that a frozen dataclass of settings declares."""
    return {
        field.name: Declared(
            field.name, field.default, field.metadata["constraints"], field.metadata["doc"], field.type
        )
        for field in dataclasses.fields(group)
    }


def parameters(*groups: type) -> Callable[[_Estimator], _Estimator]:
    """Decorate an estimator: its parameters are the fields of some groups of settings.

    The class gets ``__init__`` with their signature, and their descriptions in place of the line ``{parameters}`` of
    its docstring. A field of a later group replaces one of the same name. The order is that of the groups.
    """
    found: dict[str, Declared] = {}
    for group in groups:
        found.update(declared(group))

    def decorate(kind: _Estimator) -> _Estimator:
        estimator: Any = kind
        _OF_CLASS[kind] = MappingProxyType(found)
        estimator.__init__ = _make_init(kind, found)
        if kind.__doc__ is not None:  # with -OO there is none
            estimator.__doc__ = _PLACE.sub(lambda place: _section(found, place[1]), kind.__doc__)
        return kind

    return decorate


def keyword_settings(group: type) -> Callable[[_Estimator], _Estimator]:
    """Decorate a class whose ``__init__`` takes a group of settings as ``**settings``, and checks them.

    The group's fields stand in its signature, and their descriptions in place of the line ``{parameters}`` of its
    docstring, with the parameters that the docstring has before or after it.
    """
    found = declared(group)

    def decorate(kind: _Estimator) -> _Estimator:
        init: Any = kind.__init__  # type: ignore[misc]
        own = inspect.signature(init)
        kept = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        init.__signature__ = own.replace(parameters=[*kept, *_keywords(found)])
        if kind.__doc__ is not None:
            kind.__doc__ = _PLACE.sub(lambda place: _entries(found, place[1]), kind.__doc__)
        return kind

    return decorate


def settings_from(group: type[_Group], values: Mapping[str, Any], owner: str) -> _Group:
    """Return checked settings; InputError for a value that is not allowed, TypeError for a name that is not there."""
    constraints = {name: each.constraints for name, each in declared(group).items()}
    unknown = values.keys() - constraints.keys()
    if unknown:
        raise TypeError(f"{owner} has no parameter {min(unknown)!r}. Its settings are: {', '.join(constraints)}.")
    check_all(values, {name: constraints[name] for name in values}, owner)
    return group(**values)


def parameters_of(kind: type) -> Mapping[str, Declared]:
    """Return the declared parameters of an estimator's class by name; a derived class has those of its base."""
    return next(_OF_CLASS[each] for each in kind.__mro__ if each in _OF_CLASS)


def constraints_of(kind: type) -> dict[str, tuple[Constraint, ...]]:
    """Return the constraints of an estimator's class by parameter."""
    return {name: each.constraints for name, each in parameters_of(kind).items()}


def check_parameters(estimator: Any) -> None:
    """Raise InputError where a parameter of an estimator has a value that is not allowed."""
    values = estimator.get_params(deep=False)
    constraints = {name: each for name, each in constraints_of(type(estimator)).items() if name in values}
    check_all(values, constraints, type(estimator).__name__)


def settings_of(estimator: Any, group: type[_Group]) -> _Group:
    """Return the values that an estimator's parameters give to a group of settings."""
    names = [field.name for field in dataclasses.fields(group)]  # type: ignore[arg-type]
    return group(**{name: getattr(estimator, name) for name in names})


def _make_init(kind: type, found: Mapping[str, Declared]) -> Callable[..., None]:
    defaults = {name: each.default for name, each in found.items()}

    def __init__(self: Any, **params: Any) -> None:
        unknown = params.keys() - defaults.keys()
        if unknown:  # a derived class passed it on; others are told by NamedParameters.__new__
            raise TypeError(f"{kind.__name__} has no parameter {min(unknown)!r}.")
        for name, default in defaults.items():
            setattr(self, name, params.get(name, default))

    signature = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *_keywords(found)]
    __init__.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{kind.__qualname__}.__init__"
    __init__.__module__ = kind.__module__
    return __init__


def _keywords(found: Mapping[str, Declared]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.annotation)
        for name, each in found.items()
    ]


def _section(found: Mapping[str, Declared], indent: str) -> str:
    return f"{indent}Parameters\n{indent}----------\n{_entries(found, indent)}"


def _entries(found: Mapping[str, Declared], indent: str) -> str:
    lines: list[str] = []
    for each in found.values():
        lines.append(each.heading())
        lines += textwrap.wrap(
            each.doc,
            _WIDTH - len(indent),
            initial_indent="    ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "".join(f"{indent}{line}\n" for line in lines)
