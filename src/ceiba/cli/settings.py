"""Parameters of a model on the command line: read, checked and listed by what the estimator declares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ceiba.errors import InputError

# the name of a model on the command line -> its class in `ceiba`
MODELS = {"xr-linear": "XRLinear"}
_NESTED = "vectorizer__"
_SHORTCUTS = {"random_state": "--seed", "n_jobs": "--threads"}


def model_class(name: str) -> Any:
    """Return the estimator of a model's name on the command line."""
    if name not in MODELS:
        raise InputError(f"there is no model {name!r}. The models are: {', '.join(MODELS)}.")
    import ceiba

    return getattr(ceiba, MODELS[name])


def build(name: str, settings: Sequence[str], *, seed: int | None = None, threads: int | None = None) -> Any:
    """Return an estimator with the parameters of ``--set``, ``--seed`` and ``--threads``.

    Parameters
    ----------
    name : str
        A model's name on the command line.
    settings : sequence of str
        ``name=value`` each; ``vectorizer__name=value`` is a parameter of the TF-IDF, as scikit-learn writes nested
        parameters. A value is a number, a word, "none", "true", "false", or a JSON list.
    seed, threads : int or None, default=None
        ``random_state`` and ``n_jobs``, for short.

    Raises
    ------
    InputError
        When a parameter is unknown, named twice, or its value is not one it may have.
    """
    from ceiba import TfidfVectorizer
    from ceiba._params import parse

    kind = model_class(name)
    shortcuts = {"random_state": seed, "n_jobs": threads}
    params: dict[str, Any] = {key: value for key, value in shortcuts.items() if value is not None}
    nested: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        key, text = key.strip(), text.strip()
        if not sign or not key:
            raise InputError(f"--set takes name=value, such as --set C=2. Got {setting!r}.")
        inner = key.startswith(_NESTED)
        short, target = key.removeprefix(_NESTED), nested if inner else params
        if short in target:
            other = f" ({_SHORTCUTS[key]} sets it too)" if shortcuts.get(key) is not None else ""
            raise InputError(f"--set gives {key!r} more than once{other}.")
        if not inner and "." in key:
            raise InputError(f"there is no parameter {key!r}; nested ones are written {_NESTED}word_ngrams=[1,2].")
        owner = TfidfVectorizer if inner else kind
        target[short] = parse(short, text, owner._constraints, owner.__name__)
    if nested and params.get("vectorizer", "tfidf") != "tfidf":
        raise InputError(f"--set gives parameters of the TF-IDF, but vectorizer is {params['vectorizer']!r}.")
    if nested:
        params["vectorizer"] = TfidfVectorizer(**nested)
    return kind(**params)


@dataclass(frozen=True)
class Parameter:
    """A parameter as the help lists it."""

    name: str
    default: Any
    values: str
    description: str


def parameters(name: str) -> list[Parameter]:
    """List every parameter of a model, those of its TF-IDF last, from signature, constraints and docstring."""
    from ceiba import TfidfVectorizer

    return _own_parameters(model_class(name)) + _own_parameters(TfidfVectorizer, _NESTED)


def _own_parameters(kind: Any, prefix: str = "") -> list[Parameter]:
    from ceiba._params import defaults, describe

    words = describe_parameters(kind)
    return [
        Parameter(prefix + name, default, describe(kind._constraints[name]), words.get(name, ""))
        for name, default in defaults(kind).items()
    ]


def describe_parameters(kind: Any) -> dict[str, str]:
    """Return the description of each parameter in a numpydoc docstring, without line breaks."""
    section = re.search(r"\nParameters\n-+\n(.*?)(?=\n\n\w[\w ]*\n-+\n|\Z)", inspect.getdoc(kind) or "", re.DOTALL)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].split("\n") if section else []:
        if line and not line[0].isspace():
            names = [name.strip() for name in line.split(" : ")[0].split(",")]
            found.update(dict.fromkeys(names, ""))
        for name in names if line[:1].isspace() else ():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
