"""Parameters of a model on the command line: read, checked and listed by what the estimator declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ceiba.errors import InputError

# the name of a model on the command line -> its class in `ceiba`
MODELS = {
    "hybrid": "HybridClassifier",
    "xr-linear": "XRLinear",
    "xr-transformer": "XRTransformer",
    "x-transformer": "XTransformer",
}
CLUSTER = "ray"  # in the place of a model, where parameters are listed
_OF_BASE = "base__"
_SHORTCUTS = {"random_state": "--seed", "n_jobs": "--threads", "encoder": "--encoder"}


def model_class(name: str) -> Any:
    """Return the estimator of a model's name on the command line."""
    if name not in MODELS:
        raise InputError(f"there is no model {name!r}. The models are: {', '.join(MODELS)}.")
    import ceiba

    return getattr(ceiba, MODELS[name])


def build(
    name: str,
    settings: Sequence[str],
    *,
    seed: int | None = None,
    threads: int | None = None,
    encoder: str | None = None,
    preset: str | None = None,
    base: str | None = None,
) -> Any:
    """Return an estimator with the parameters of ``--set``, ``--seed``, ``--encoder`` and the like.

    Parameters
    ----------
    name : str
        A model's name on the command line.
    settings : sequence of str
        ``name=value`` each; ``vectorizer__name=value`` is a parameter of the TF-IDF and ``ranker__name=value`` one of
        a Transformer model's rankers, as scikit-learn writes nested parameters. A value is a number, a word, "none",
        "true", "false", or a JSON list.
    seed, threads, encoder, preset : int, int, str, str or None, default=None
        ``random_state``, ``n_jobs``, ``encoder`` for short, and the preset to begin with. What is set counts more.
    base : str, default=None
        A model that is one of the sources of a hybrid one. Settings that begin with ``base__`` are its own. It gets an
        encoder that is to be tuned.

    Raises
    ------
    InputError
        When a parameter is unknown, named twice, or its value is not one it may have.
    """
    from ceiba._estimator import meant_parameter, nested_estimators, renamed_on_command_line
    from ceiba._params import parse
    from ceiba._settings import constraints_of

    kind = model_class(name)
    source = None
    if base is not None:
        source, settings, encoder = _source(name, base, settings, encoder)
    shortcuts = {"random_state": seed, "n_jobs": threads, "encoder": encoder}
    if encoder is not None and "encoder" not in constraints_of(kind):
        raise InputError(f"--encoder is for the models that read texts by one, not for {name}.")
    params: dict[str, Any] = {key: value for key, value in shortcuts.items() if value is not None}
    estimator = kind() if preset is None else kind.from_preset(preset)
    nested = nested_estimators(kind)
    for setting in settings:
        key, sign, text = setting.partition("=")
        key, text = key.strip(), text.strip()
        if not sign or not key:
            raise InputError(f"--set takes name=value, such as --set C=2. Got {setting!r}.")
        part, inner, rest = key.partition("__")
        if inner and part == "base" and "base" in constraints_of(kind) and source is None:
            raise InputError(f"--set {key} is for the model of --base, which is not given.")
        if not inner and "." in key:
            raise InputError(f"there is no parameter {key!r}; nested ones are written vectorizer__word_ngrams=[1,2].")
        if key == "preset":
            raise InputError("a preset is chosen with --preset, not with --set.")
        if key in params:
            other = f" ({_SHORTCUTS[key]} sets it too)" if shortcuts.get(key) is not None else ""
            raise InputError(f"--set gives {key!r} more than once{other}.")
        owner, short = kind, key
        if inner and part in nested:
            owner, short = type(nested[part]), rest
        constraints = constraints_of(owner)
        if short not in constraints:
            now = renamed_on_command_line(owner, short, text, f"{part}__" if inner else "")
            if now is not None:
                raise InputError(f"{owner.__name__} has no parameter {short!r} any more. Write --set {now}.")
            meant = meant_parameter(kind, key)
            hint = f" Did you mean {meant!r}?" if meant else _owner_hint(key)
            raise InputError(
                f"{owner.__name__} has no parameter {short!r}.{hint} "
                f"Its parameters are: {', '.join(sorted(constraints))}."
            )
        params[key] = parse(short, text, constraints, owner.__name__)
    if source is not None:
        params["base"] = [estimator.base, source] if estimator.base is not None and source.tunes_encoder else source
    return estimator.set_params(**params)


def _source(name: str, base: str, settings: Sequence[str], encoder: str | None) -> tuple[Any, list[str], str | None]:
    """Return the model of ``--base``, and the settings and the encoder that are left for the hybrid one."""
    from ceiba._settings import constraints_of
    from ceiba.encoders import FROZEN

    kind = model_class(name)
    if "base" not in constraints_of(kind):
        raise InputError(f"--base is for a hybrid model, not for {name}.")
    if base == name:
        raise InputError(f"--base: a hybrid model takes {', '.join(each for each in MODELS if each != name)}.")
    own = [each.removeprefix(_OF_BASE) for each in settings if each.startswith(_OF_BASE)]
    others = [each for each in settings if not each.startswith(_OF_BASE)]
    if any(each.partition("=")[0].strip() == "base" for each in others):
        raise InputError("--set gives 'base' more than once (--base sets it too).")
    tuned = encoder is not None and not encoder.startswith(FROZEN) and model_class(base).tunes_encoder
    source = build(base, own, encoder=encoder if tuned else None)
    return source, others, None if tuned else encoder


def _owner_hint(name: str) -> str:
    """Return which model has a parameter that another one lacks; nothing where none has it."""
    from ceiba._settings import constraints_of

    owner = next((model for model in MODELS if name in constraints_of(model_class(model))), None)
    return "" if owner is None else f" {MODELS[owner]} has it: add --model {owner}."


@dataclass(frozen=True)
class Parameter:
    """A parameter as the help lists it."""

    name: str
    default: Any
    values: str
    description: str


def parameters(name: str) -> list[Parameter]:
    """List every parameter of a model, those of its parts last; "ray" lists those of a cluster."""
    from ceiba._estimator import nested_estimators
    from ceiba._settings import declared, parameters_of

    if name == CLUSTER:
        from ceiba.executors.cluster_settings import ClusterSettings

        return _listed(declared(ClusterSettings))
    kind = model_class(name)
    listed = _listed(parameters_of(kind))
    for part, example in nested_estimators(kind).items():
        own = _listed(parameters_of(type(example)), f"{part}__", example)
        listed += [each for each in own if each.name not in _SHARED]
    return listed


# parameters of a ranker that the model sets
_SHARED = ("ranker__random_state", "ranker__n_jobs", "ranker__vectorizer")


def _listed(declared: Mapping[str, Any], prefix: str = "", example: Any = None) -> list[Parameter]:
    from ceiba._params import describe

    return [
        Parameter(
            prefix + name,
            each.default if example is None else getattr(example, name),
            describe(each.constraints),
            each.doc,
        )
        for name, each in declared.items()
    ]
