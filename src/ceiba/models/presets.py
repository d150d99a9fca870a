"""Named settings of an estimator: several parameters by one word."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, Self

from ceiba._estimator import NamedParameters
from ceiba._params import Options, check


class Presets(NamedParameters):
    """Mixin for estimators that have presets."""

    _presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    _removed: ClassVar[Mapping[str, str]] = {"preset": 'Use {kind}.from_preset("accurate") or another preset.'}

    @classmethod
    def from_preset(cls, preset: str, **params: Any) -> Self:
        """Return an estimator with the parameters of a preset.

        Parameters
        ----------
        preset : {"fast", "balanced", "accurate"}
            Settings measured together (docs/explanation/accuracy.md).
        **params
            Parameters of your own, also nested ones such as ``vectorizer__min_df``. They count more than the preset.

        Returns
        -------
        estimator
            It has the preset's values as its parameters, so ``clone``, a search or a saved model need no preset.

        Raises
        ------
        InputError
            When there is no such preset or parameter.
        """
        check("preset", preset, [Options(*cls._presets)], f"{cls.__name__}.from_preset")
        return cls(**deepcopy(dict(cls._presets[preset]))).set_params(**params)
