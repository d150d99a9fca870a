"""Parameters by name: nested ones work at their defaults, and a wrong name raises an error that names the right one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ceiba._params import Constraint
from ceiba.errors import InputError, InputTypeError

_Method = TypeVar("_Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class Nested:
    """A parameter that is an estimator: its default in the signature, and what makes the estimator it stands for.

    What is made gets the values of the `shared` parameters from the estimator that it is a parameter of.
    """

    default: Any
    make: Callable[[], Any]
    shared: tuple[str, ...] = ()

    def is_default(self, value: Any) -> bool:
        return value is self.default or (isinstance(value, str) and value == self.default)

    def made_for(self, params: Mapping[str, Any]) -> Any:
        return self.make().set_params(**{name: params[name] for name in self.shared})


@dataclass(frozen=True)
class Renamed:
    """What a former parameter is called today, and how its values are written today.

    Attributes
    ----------
    name : str
        The parameter's name.
    was : sequence of Constraint, default=()
        The values that the former parameter had, where they are written differently today.
    value : callable, default=None
        Turns one of them into the value of today.
    """

    name: str
    was: Sequence[Constraint] = ()
    value: Callable[[Any], Any] | None = None

    def translate(self, value: Any) -> Any:
        """Return today's value for a former one; a value that was never allowed stays as it is."""
        if self.value is None or not any(constraint.accepts(value) for constraint in self.was):
            return value
        return self.value(value)

    def translate_text(self, text: str) -> str:
        """Return what to write on the command line in place of a former value."""
        for constraint in self.was:
            with suppress(ValueError):
                return str(self.translate(constraint.parse(text)))
        return text


class NamedParameters:
    """Mixin for estimators; stands before scikit-learn's ``BaseEstimator``, whose methods it extends.

    A subclass declares in ``_nested`` which of its parameters are estimators. It declares former parameters too: in
    ``_renamed`` those that have another name today, in ``_removed`` what to use in place of the others.
    """

    _nested: ClassVar[Mapping[str, Nested]] = {}
    _renamed: ClassVar[Mapping[str, Renamed]] = {}
    _removed: ClassVar[Mapping[str, str]] = {}

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # parameters, which groups of settings declare

    def __new__(cls, *args: Any, **params: Any) -> Self:
        known = _own_names(cls)
        for name, value in params.items():
            if name not in known and not _takes_more(cls):
                hint = _hint(cls, name, value, constructor=True)
                raise InputTypeError(f"{cls.__name__} has no parameter {name!r}.{hint}")
        return super().__new__(cls)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; see scikit-learn.

        With `deep` also those of nested estimators, even where a default such as "tfidf" stands for one.
        """
        base: Any = super()
        params = base.get_params(deep=deep)
        for part, nested in self._nested.items() if deep else ():
            if part in params and nested.is_default(params[part]):
                inner = nested.made_for(params).get_params()
                params.update({f"{part}__{name}": value for name, value in inner.items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; see scikit-learn.

        A nested one, such as ``vectorizer__min_df``, puts the estimator in the place of a default that stands for it.
        """
        base: Any = super()
        own: dict[str, Any] = base.get_params(deep=False)
        made: dict[str, Any] = {}
        for name, value in params.items():
            part, inner, rest = name.partition("__")
            if part not in own:
                raise InputError(
                    f"Invalid parameter {name!r} for {type(self).__name__}.{_hint(type(self), name, value)}"
                )
            if not inner:
                continue
            target = made.get(part, params.get(part, own[part]))
            if part in self._nested and self._nested[part].is_default(target):
                target = made[part] = self._nested[part].made_for({**own, **params})
            if isinstance(target, type) or not hasattr(target, "get_params"):
                raise InputError(f"{name!r} cannot be set: {part} is {target!r}, which has no parameters.")
            if rest not in target.get_params():
                found = closest(rest, target.get_params())
                hint = f" Did you mean {f'{part}__{found}'!r}?" if found else ""
                now = _renamed_parameter(type(target), rest)
                if now is not None:
                    hint = f" It is called {now.name!r} now: write {part}__{now.name}={now.translate(value)!r}."
                known = ", ".join(sorted(target.get_params(deep=False)))
                raise InputError(
                    f"Invalid parameter {name!r}: {part} is a {type(target).__name__}.{hint} "
                    f"Its parameters are: {known}."
                )
        base.set_params(**{**params, **made})
        return self


def named_arguments(former: Mapping[str, str] | None = None, **meant: str) -> Callable[[_Method], _Method]:
    """Decorate a method: a keyword that it does not have raises InputTypeError with the one that was meant.

    Parameters
    ----------
    former : dict or None, default=None
        Names that arguments had before: the name of today for each. They still work.
    **meant : str
        Names that users of other libraries try: the method's own name for each.
    """
    renamed = former or {}

    def decorate(method: _Method) -> _Method:
        names = [name for name in inspect.signature(method).parameters if name != "self"]

        @functools.wraps(method)
        def checked(self: Any, *args: Any, **given: Any) -> Any:
            for name in list(given):
                now = renamed.get(name, name)
                if now not in names or now in names[: len(args)] or (now != name and now in given):
                    raise InputTypeError(_wrong_argument(type(self), method.__name__, name, now, names, meant))
                if now != name:
                    given[now] = given.pop(name)
            return method(self, *args, **given)

        return checked  # type: ignore[return-value]

    return decorate


def _wrong_argument(kind: type, method: str, name: str, now: str, names: list[str], others: Mapping[str, str]) -> str:
    call = f"{kind.__name__}.{method}()"
    known = f"Its arguments are: {', '.join(names)}."
    meant = others.get(name) or (closest(name, names) if now not in names else None)
    hint = f" Did you mean {meant!r}?" if meant else ""
    if now in names:
        twice = f"{now!r} twice" if now == name else f"both {now!r} and {name!r}, which are the same"
        return f"{call} got {twice}.{hint} {known}"
    if name in _own_names(kind):
        return f"{call} has no argument {name!r}, which is a parameter of {kind.__name__} itself: set it there."
    parameter = _renamed_parameter(kind, name)
    if parameter is not None:
        return f"{call} has no argument {name!r}. It is the parameter {parameter.name!r} of {kind.__name__} now."
    return f"{call} has no argument {name!r}.{hint} {known}"


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another one, in whichever case it is written; None if none is."""
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def renamed_arguments(**former: str) -> Callable[[_Method], _Method]:
    """Decorate a function: a former name of an argument raises InputTypeError with the name of today.

    Parameters
    ----------
    **former : str
        The name of today for each former one.
    """

    def decorate(function: _Method) -> _Method:
        @functools.wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            for name in given:
                if name in former:
                    raise InputTypeError(
                        f"{function.__name__}() has no argument {name!r}. It is called {former[name]!r} now."
                    )
            return function(*args, **given)

        return checked  # type: ignore[return-value]

    return decorate


def translate_parameter(kind: type, name: str, value: Any) -> tuple[str, Any]:
    """Return name and value of today for a parameter of an older model; others are returned as they are."""
    now = _renamed_parameter(kind, name)
    return (name, value) if now is None else (now.name, now.translate(value))


def renamed_on_command_line(kind: type, name: str, text: str, prefix: str = "") -> str | None:
    """Return ``name=value`` of today for a former parameter in a ``--set``; None where the name is no former one."""
    now = _renamed_parameter(kind, name)
    return None if now is None else f"{prefix}{now.name}={now.translate_text(text)}"


def nested_estimators(kind: type[NamedParameters]) -> dict[str, Any]:
    """Return, for each nested parameter of a class, the estimator that its default makes."""
    return {part: nested.make() for part, nested in kind._nested.items()}


def meant_parameter(kind: type[NamedParameters], name: str) -> str | None:
    """Return the parameter of a class, own or nested, that a wrong name is most like; None where none is like it."""
    made = nested_estimators(kind)
    nested = {part: list(each.get_params(deep=False)) for part, each in made.items()}
    for part, names in nested.items():
        if name in names:
            return f"{part}__{name}"
        now = _renamed_parameter(type(made[part]), name)
        if now is not None:
            return f"{part}__{now.name}"
    part, inner, rest = name.partition("__")
    if inner and part in nested:
        found = closest(rest, nested[part])
        return f"{part}__{found}" if found else None
    found = closest(name, _own_names(kind))
    if found:
        return found
    for part, names in nested.items():
        found = closest(name, names)
        if found:
            return f"{part}__{found}"
    return None


def _renamed_parameter(kind: type, name: str) -> Renamed | None:
    renamed: Mapping[str, Renamed] = getattr(kind, "_renamed", {})
    return renamed.get(name)


def _hint(kind: type[NamedParameters], name: str, value: Any, *, constructor: bool = False) -> str:
    """Return what to write in place of a wrong parameter name, and the names that there are."""
    known = f" Its parameters are: {', '.join(sorted(_own_names(kind)))}."
    now = _renamed_parameter(kind, name)
    if now is not None:
        return f" It is called {now.name!r} now: write {now.name}={now.translate(value)!r}."
    if name in kind._removed:
        return f" {kind._removed[name].format(kind=kind.__name__)}"
    found = meant_parameter(kind, name)
    if found is None:
        return known
    part, inner, rest = found.partition("__")
    if constructor and inner:
        of = type(kind._nested[part].make()).__name__
        return f" Write {part}={of}({rest}=...), or set_params({found}=...) afterwards.{known}"
    return f" Did you mean {found!r}?{known}"


def _own_names(kind: Any) -> frozenset[str]:
    """Return the parameters in the signature of a class."""
    return frozenset(inspect.signature(kind.__init__).parameters) - {"self"}


def _takes_more(kind: type) -> bool:
    """Tell whether a class, such as a user's own that is derived from an estimator, takes keywords without a name."""
    own = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in own)
