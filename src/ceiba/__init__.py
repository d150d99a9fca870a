"""Ceiba: extreme multi-label classification. Text in, the few right labels out of millions, ranked."""

__version__ = "0.1.0"
