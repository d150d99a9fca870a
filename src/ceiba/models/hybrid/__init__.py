"""Several sources of candidates and one learned ranking: the estimator, and the recipe that trains its model."""

from ceiba.models.hybrid.estimator import HybridClassifier

__all__ = ["HybridClassifier"]
