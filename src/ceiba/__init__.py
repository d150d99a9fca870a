"""Ceiba: extreme multi-label classification. Text in, the few right labels out of millions, ranked."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "HybridClassifier",
    "LabelTree",
    "MultilabelStratifiedKFold",
    "TfidfVectorizer",
    "XRLinear",
    "XRTransformer",
    "XTransformer",
    "assign_clusters",
    "from_pretrained",
    "iterative_train_test_split",
    "load",
    "metrics",
]

# Loaded on first use, so that `ceiba --help` does not wait for NumPy, SciPy and scikit-learn.
_HOMES = {
    "HybridClassifier": "ceiba.models",
    "LabelTree": "ceiba.tree",
    "MultilabelStratifiedKFold": "ceiba.model_selection",
    "TfidfVectorizer": "ceiba.features",
    "XRLinear": "ceiba.models",
    "XRTransformer": "ceiba.models",
    "XTransformer": "ceiba.models",
    "assign_clusters": "ceiba.tree.overlap",
    "from_pretrained": "ceiba.models.hub",
    "iterative_train_test_split": "ceiba.model_selection",
    "load": "ceiba.models",
}

if TYPE_CHECKING:
    from ceiba import metrics
    from ceiba.features import TfidfVectorizer
    from ceiba.model_selection import MultilabelStratifiedKFold, iterative_train_test_split
    from ceiba.models import HybridClassifier, XRLinear, XRTransformer, XTransformer, load
    from ceiba.models.hub import from_pretrained
    from ceiba.tree import LabelTree
    from ceiba.tree.overlap import assign_clusters


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("ceiba.metrics")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ceiba' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
