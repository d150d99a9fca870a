"""Named settings of an estimator: several parameters by one word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ceiba._params import defaults


class Presets:
    """Mixin for estimators with a parameter `preset`; before scikit-learn's base, whose ``set_params`` it extends.

    A preset gives its values to the parameters that are at their defaults, when the estimator is made and when
    `preset` is set, so that ``get_params`` says what is used, and ``clone`` and saving need not know of presets.
    """

    _presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    preset: str | None

    def _take_preset(self) -> None:
        """Give parameters at their defaults the preset's values; an unknown preset is left to the check of ``fit``."""
        for name, usual, value in self._changes():
            if _same(getattr(self, name), usual):
                setattr(self, name, value)

    def set_params(self, **params: Any) -> Any:
        """Set parameters; see scikit-learn.

        `preset` comes first: what the last one had set goes back to its default, what the new one says is set, then the
        other parameters given. Giving a parameter of the preset its plain default ends the preset, and leaves all
        else as it is.
        """
        base: Any = super()
        if "preset" in params:
            for name, usual, value in self._changes():
                if _same(getattr(self, name), value):
                    setattr(self, name, usual)
            self.preset = params.pop("preset")
            self._take_preset()
        base.set_params(**params)
        if any(_same(getattr(self, name), usual) for name, usual, _ in self._changes()):
            self.preset = None
        return self

    def _changes(self) -> list[tuple[str, Any, Any]]:
        """Return each parameter that the preset changes, its default, and the preset's value."""
        values = self._presets.get(self.preset, {}) if isinstance(self.preset, str) else {}
        if not values:  # the usual case, which needs no look at the signature
            return []
        usual = defaults(type(self))
        return [(name, usual[name], value) for name, value in values.items() if not _same(value, usual[name])]


def _same(a: Any, b: Any) -> bool:
    """Tell whether a parameter has a value; values of presets are plain, arrays and estimators are none of them."""
    return a is b or (isinstance(a, (int, float, str)) and type(a) is type(b) and a == b)
