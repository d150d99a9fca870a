"""Small files for the examples of pages that talk of a reader's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

TEXTS = ["a ripe red apple", "a green apple", "fast red car", "a green car", "old car", "apple pie"] * 20
LABELS = [["fruit", "red"], ["fruit"], ["vehicle", "red"], ["vehicle"], ["vehicle"], ["fruit"]] * 20
NAMES = {"fruit": "apple or pear", "vehicle": "car or bus", "red": "red thing", "boat": "sailing boat"}


def write_rows(*paths: str, texts: Iterable[str] = TEXTS, labels: Iterable[list[str]] = LABELS) -> None:
    """Write the same JSON lines of texts and labels to every path."""
    rows = [json.dumps({"text": text, "labels": own}) for text, own in zip(texts, labels, strict=True)]
    for path in paths:
        Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_label_texts(path: str = "labels.jsonl") -> None:
    """Write a text for each label, and for one that no text has."""
    rows = [json.dumps({"label": label, "text": text}) for label, text in NAMES.items()]
    Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8")


def save_model(folder: str) -> None:
    """Train a model on the sample and save it."""
    from ceiba import XRLinear

    XRLinear().fit(TEXTS, LABELS).save(folder)
