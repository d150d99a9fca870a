"""Fusion: scores of several sources to one ranking, probabilities and decisions."""
