"""Names of single features, without those of all others."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

from ceiba.features.tfidf import TfidfVectorizer
from ceiba.features.vocabulary import packed


@singledispatch
def namer(vectorizer: Any) -> Callable[[int], str] | None:
    """Return a function that names a column of a vectorizer; None where it does not name its columns.

    Parameters
    ----------
    vectorizer : transformer or None
    """
    if not hasattr(vectorizer, "get_feature_names_out"):
        return None
    names = vectorizer.get_feature_names_out()
    return lambda column: names[column]


@namer.register
def _(vectorizer: TfidfVectorizer) -> Callable[[int], str]:
    if vectorizer.hash_features is not None:
        names = vectorizer.get_feature_names_out()
        return lambda column: names[column]
    begin, parts = 0, []
    for kind, vocabulary in vectorizer.vocabularies_.items():
        parts.append((begin, f"{kind}__" if len(vectorizer.vocabularies_) > 1 else "", packed(vocabulary)))
        begin += len(vocabulary)

    def name(column: int) -> str:
        first, kind, vocabulary = [part for part in parts if part[0] <= column][-1]
        return kind + vocabulary.ngram(column - first)

    return name
