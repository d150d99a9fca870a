"""Ceiba: extreme multi-label classification. Text in, the few right labels out of millions, ranked."""

from ceiba import metrics
from ceiba.features import TfidfVectorizer
from ceiba.models import XRLinear, load
from ceiba.tree import LabelTree

__version__ = "0.1.0"

__all__ = ["LabelTree", "TfidfVectorizer", "XRLinear", "load", "metrics"]
