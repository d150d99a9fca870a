"""Explanations as JSON has them: words of the text, the path down the tree, sources of the score."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from ceiba.models.explain import Explanation
from ceiba.models.hybrid.explanation import FusedExplanation
from ceiba.models.nearest_texts import NearTrainingText
from ceiba.serve.served_model import Loaded

_FEATURES_OF_MARKS = 60  # per node: words are found even where the answer lists few features
_N_EXAMPLES = 3
_MOST_MARKS = 2000
_LONGEST_TEXT = 1000  # characters of a training text that are shown
_MOST_LABELS = 50  # of a training text
_MOST_TRIED = 48  # words that are left out, one at a time
_WORD = re.compile(r"\w+")


def explanation(loaded: Loaded, text: str, label: Any, n_features: int = 10) -> dict[str, Any]:
    """Return why a label has its score for a text."""
    found = loaded.model.explain(text, label, n_features=max(n_features, _FEATURES_OF_MARKS))
    return {"label": str(label), "text": loaded.text(label), **_parts(found, loaded, text, n_features)}


@singledispatch
def _parts(found: Any, loaded: Loaded, text: str, n_features: int) -> dict[str, Any]:
    """Return the score, the words, the path and the sources of an explanation."""
    raise TypeError(type(found).__name__)


@_parts.register
def _(found: Explanation, loaded: Loaded, text: str, n_features: int) -> dict[str, Any]:
    sources = [_source("tree", score=loaded.shown(found.score))]
    if found.cosine is not None:
        sources.append(_source("embeddings", score=found.cosine, weight=found.cosine_weight))
    steps = [
        {
            "level": step.level,
            "node": step.node,
            "n_labels": step.n_labels,
            "examples": [loaded.text(found.label) or str(found.label)]
            if step is found.steps[-1]
            else examples(loaded, found.tree, step.level, step.node),
            "margin": step.margin,
            "bias": step.bias,
            "features": [
                {"feature": str(part.feature), "contribution": part.amount} for part in step.contributions[:n_features]
            ],
        }
        for step in found.steps
    ]
    if loaded.has_encoder:  # no feature of an embedding is a word
        words = marks_without(loaded, text, found.label)
    else:
        amounts: dict[str, float] = {}
        for step in found.steps:
            for part in step.contributions:
                amounts[str(part.feature)] = amounts.get(str(part.feature), 0.0) + part.amount
        words = marks(text, amounts)
    return {
        "score": loaded.shown(found.score),
        "marks": words,
        "steps": steps,
        "sources": sources,
        "training_texts": None,
    }


@_parts.register
def _(found: FusedExplanation, loaded: Loaded, text: str, n_features: int) -> dict[str, Any]:
    sources = [
        _source(each.name, score=each.score, rank=each.rank, contribution=each.contribution) for each in found.sources
    ]
    sources += [_source(name, contribution=value) for name, value in found.others.items()]
    words = marks_without(loaded, text, found.label)
    near = None if found.training_texts is None else [_training_text(each, loaded) for each in found.training_texts]
    return {"score": found.score, "marks": words, "steps": [], "sources": sources, "training_texts": near}


def _training_text(found: NearTrainingText, loaded: Loaded) -> dict[str, Any]:
    return {
        "text": found.text[:_LONGEST_TEXT],
        "labels": [{"id": str(label), "text": loaded.text(label)} for label in found.labels[:_MOST_LABELS]],
        "similarity": found.similarity,
        "has_label": found.has_label,
    }


def _source(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "score": None, "rank": None, "contribution": None, "weight": None, **values}


def marks_without(loaded: Loaded, text: str, label: Any) -> list[dict[str, Any]]:
    """Return the words of a text, with what the label's logit loses where each is left out.

    This needs nothing of the model but its scores. The first words that differ are tried, each with all its places.
    """
    words = [(match.start(), match.end()) for match in _WORD.finditer(text)]
    places: dict[str, list[int]] = {}
    for number, (begin, end) in enumerate(words):
        places.setdefault(_folded(text[begin:end]), []).append(number)
    tried = list(places.values())[:_MOST_TRIED]
    without = []
    for numbers in tried:
        parts, at = [], 0
        for number in numbers:
            begin, end = words[number]
            parts.append(text[at:begin])
            at = end
        without.append("".join([*parts, text[at:]]))
    logits = loaded.logits([text, *without], label)
    amounts = [0.0] * len(words)
    for numbers, logit in zip(tried, logits[1:], strict=True):
        for number in numbers:
            amounts[number] = (logits[0] - logit) / len(numbers)
    return _written(words, amounts)


def examples(loaded: Loaded, tree: int, level: int, node: int) -> list[str]:
    """Return the texts, or ids, of the most frequent labels under a node."""
    columns = loaded.model.trees_[tree].labels_under(level, node)
    counts = loaded.model.label_counts_[columns]
    best = columns[np.argsort(-counts, kind="stable")[:_N_EXAMPLES]]
    return [loaded.text(loaded.ids[column]) or str(loaded.ids[column]) for column in best.tolist()]


def marks(text: str, amounts: dict[str, float]) -> list[dict[str, Any]]:
    """Return the words of a text that features are made of, with what those carried.

    Parameters
    ----------
    text : str
    amounts : dict of str to float
        What each feature contributed. A feature is an n-gram of words, or of a word's characters with a space where the
        word begins or ends; "word__" or "char__" may stand before it.
    """
    words = [(match.start(), match.end()) for match in _WORD.finditer(text)]
    folded = [_folded(text[begin:end]) for begin, end in words]
    places: dict[str, list[int]] = {}
    for number, word in enumerate(folded):
        places.setdefault(word, []).append(number)
    carried = [0.0] * len(words)
    for feature, amount in amounts.items():
        kind, ngram = _kind(feature)
        hits = [] if kind == "char" else _sequences(_WORD.findall(_folded(ngram)), folded, places)
        if not hits and kind != "word":
            hits = [[number] for word, at in places.items() if _folded(ngram) in f" {word} " for number in at]
        for hit in hits:
            for number in hit:
                carried[number] += amount / (len(hits) * len(hit))
    return _written(words, carried)


def _written(words: Sequence[tuple[int, int]], amounts: Sequence[float]) -> list[dict[str, Any]]:
    found = zip(words, amounts, strict=True)
    return [{"begin": begin, "end": end, "contribution": amount} for (begin, end), amount in found if amount][
        :_MOST_MARKS
    ]


def _kind(feature: str) -> tuple[str, str]:
    for kind in ("word", "char"):
        if feature.startswith(f"{kind}__"):
            return kind, feature[len(kind) + 2 :]
    return "", feature


def _sequences(ngram: Sequence[str], words: Sequence[str], places: dict[str, list[int]]) -> list[list[int]]:
    """Return the places of an n-gram of words."""
    if not ngram:
        return []
    n = len(ngram)
    return [list(range(at, at + n)) for at in places.get(ngram[0], []) if words[at : at + n] == ngram]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())
