"""Retrieval: candidate generators, which find labels for rows and score them."""
