"""The demo's model on everyday sentences, which were written before it was tuned."""

import pytest

from benchmarks import everyday
from ceiba.cli import icd_demo
from ceiba.data.icd import load_icd10cm

LEAST = 20  # of 30; 24 are aimed at


def test_the_sentences_have_categories_of_the_classification():
    pytest.importorskip("simple_icd_10_cm")
    descriptions = load_icd10cm().descriptions
    assert len({text for text, _ in everyday.SENTENCES}) == 30
    assert all(category in descriptions and len(category) == 3 for _, category in everyday.SENTENCES)


def test_codes_are_merged_to_the_first_categories():
    assert everyday.categories(["W59.22", "W59", "S62.1", "W54.0XXA", None], 2) == ["W59", "S62"]


@pytest.mark.slow
def test_the_demo_finds_most_of_them():
    pytest.importorskip("simple_icd_10_cm")
    model, _ = icd_demo.train(load_icd10cm(), seed=None, threads=None, progress=None)
    found = everyday.first_categories(model)
    missed = [text for (text, category), first in zip(everyday.SENTENCES, found, strict=True) if category not in first]
    assert len(everyday.SENTENCES) - len(missed) >= LEAST, missed
