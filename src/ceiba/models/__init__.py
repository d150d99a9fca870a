"""The models: trees, layers and search put together."""

from ceiba.models.saving import load
from ceiba.models.xr_linear import XRLinear

MODELS: dict[str, type] = {"XRLinear": XRLinear}

__all__ = ["MODELS", "XRLinear", "load"]
