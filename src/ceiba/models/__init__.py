"""The models: trees, layers and search put together."""

from ceiba.models.saving import load
from ceiba.models.x_transformer import XTransformer
from ceiba.models.xr_linear import XRLinear
from ceiba.models.xr_transformer import XRTransformer

MODELS: dict[str, type] = {"XRLinear": XRLinear, "XRTransformer": XRTransformer, "XTransformer": XTransformer}

__all__ = ["MODELS", "XRLinear", "XRTransformer", "XTransformer", "load"]
