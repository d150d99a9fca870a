"""Ceiba's estimators from the settings of a benchmark."""

from __future__ import annotations

from typing import Any


def make_estimator(kind: Any, settings: dict[str, Any], **params: Any) -> Any:
    """Return an estimator; the setting "preset" is what the others are set on top of."""
    given = {**params, **settings}
    preset = given.pop("preset", None)
    return kind(**given) if preset is None else kind.from_preset(preset, **given)
