"""Medical coding with ICD-10-CM: what `ceiba demo` does, apart from showing it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ceiba.data.icd import IcdCoding

DEFAULT_FOLDER = Path("ceiba-icd10cm")

# Trees and features were chosen on a split of the training texts. Pairs of words tell codes apart, pieces of words find
# "diabetic" for "diabetes"; most codes have a text or two, so that positives are dear and small weights matter. Stems
# would add nothing to pieces of words.
_TREES = {"n_trees": 1, "cost_positive": 4.0, "weight_threshold": 0.01, "relevance_norm": "l2"}
_FEATURES = {"word_ngrams": (1, 2), "char_ngrams": (3, 5)}
_SOURCES = ("linear", "neighbors", "label-words")

QUESTIONS = (
    "struck by turtle",
    "type 2 diabetes with kidney disease",
    "broken wrist",
    "bitten by a cat",
    "allergic reaction to peanuts",
    "burned hand on hot stove",
)

KS = (1, 3, 5)


@dataclass(frozen=True)
class Answer:
    """A code for a text, with what it stands for."""

    code: str
    score: float
    description: str


def train(coding: IcdCoding, *, seed: int | None, threads: int | None, progress: Any) -> tuple[Any, float]:
    """Train the demo's model; return it and the seconds it took."""
    from ceiba import HybridClassifier, TfidfVectorizer, XRLinear

    model = HybridClassifier(
        base=XRLinear(**_TREES),
        vectorizer=TfidfVectorizer(**_FEATURES, n_jobs=threads),
        sources=list(_SOURCES),
        fusion="logistic",
        random_state=0 if seed is None else seed,
        n_jobs=threads,
    )
    started = time.perf_counter()
    texts, labels = [*coding.train_texts, *coding.note_texts], [*coding.train_labels, *coding.note_labels]
    model.fit(texts, labels, label_texts=coding.descriptions, progress=progress)
    return model, time.perf_counter() - started


def evaluate(model: Any, coding: IcdCoding) -> tuple[dict[str, float], float]:
    """Return the metrics on the test terms, and the seconds their prediction took."""
    from ceiba.cli import options
    from ceiba.cli.evaluate import score

    started = time.perf_counter()
    labels, _ = model.predict_topk(coding.test_texts, max(KS))
    seconds = time.perf_counter() - started
    return score(model, coding.test_labels, [labels], KS, options.PROPENSITY), seconds


def answer(model: Any, texts: Iterable[str], descriptions: dict[str, str], k: int = 5) -> Iterator[list[Answer]]:
    """Yield the k best codes of each text."""
    from ceiba.cli.inputs import ranked

    for codes, scores in ranked(model, list(texts), k):
        yield [Answer(code, score, descriptions.get(code, "")) for code, score in zip(codes, scores, strict=True)]
