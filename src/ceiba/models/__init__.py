"""The models: trees, layers and search put together."""

from ceiba.models.saving import MODELS, load
from ceiba.models.x_transformer import XTransformer
from ceiba.models.xr_linear import XRLinear
from ceiba.models.xr_transformer import XRTransformer

__all__ = ["MODELS", "XRLinear", "XRTransformer", "XTransformer", "load"]
