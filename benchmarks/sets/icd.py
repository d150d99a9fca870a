"""ICD-10-CM: from the wording of a diagnosis to its codes; the demo's data as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.sets.building import SetInfo, write
from ceiba.data.icd import load_icd10cm


def build(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """Build the set from an installed package; it needs no files."""
    if files:
        raise SystemExit("icd needs no files: it is made of the package simple-icd-10-cm")
    coding = load_icd10cm()
    train = list(zip(coding.train_texts, coding.train_labels, strict=True))
    test = list(zip(coding.test_texts, coding.test_labels, strict=True))
    return write(folder, train, test, coding.descriptions)


INFO = SetInfo(
    name="icd",
    source="ICD-10-CM of the National Center for Health Statistics, in the package simple-icd-10-cm",
    licence="public domain (classification); MIT (package)",
    files="",
    digests={
        "train": "c516df2cc93f17642027c09b006f9f3df4f8742f5881267e7a4c40e58f46ebcd",
        "test": "5767ed9a3480cc195e8a4ea456876bc9df925aee7cfca2ca74d5ec8ed939250a",
        "labels": "91b537b0d685cbc9f5cc397728b28330741740f946ed5e9b8760019de2d0aa91",
    },
    build=build,
)
