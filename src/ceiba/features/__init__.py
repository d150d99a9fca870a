"""FeatureMatrix: texts to the sparse matrix X that everything else works on."""

from ceiba.features.store import load_vectorizer, save_vectorizer
from ceiba.features.tfidf import TfidfVectorizer

__all__ = ["TfidfVectorizer", "load_vectorizer", "save_vectorizer"]
