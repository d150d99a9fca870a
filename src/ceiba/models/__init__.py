"""The models: trees, layers and search put together."""

from ceiba.models.hybrid import HybridClassifier
from ceiba.models.saving import MODELS, load
from ceiba.models.x_transformer import XTransformer
from ceiba.models.xr_linear import XRLinear
from ceiba.models.xr_transformer import XRTransformer

__all__ = ["MODELS", "HybridClassifier", "XRLinear", "XRTransformer", "XTransformer", "load"]
