"""The second look at a row in a whole model."""

import numpy as np
import pytest
from tests.model_folders import DROPPED, change_manifest
from tests.models.test_hybrid import NAMES, corpus

import ceiba
from ceiba import HybridClassifier
from ceiba.errors import ModelFormatError

FUSED = ("model", "generators", -1)
ASKED = corpus(12, seed=4)[0]


@pytest.fixture(scope="module")
def fitted(tiny_encoder):
    pytest.importorskip("lightgbm")
    model = HybridClassifier(encoder=f"frozen:{tiny_encoder}", max_length=16, n_jobs=1)
    return model.fit(*corpus(1000), label_texts=NAMES)


def test_an_explanation_says_what_the_row_adds(fitted):
    label = fitted.predict_topk(ASKED[:1], k=1)[0][0, 0]
    found = fitted.explain(ASKED[0], label)
    assert found.score == pytest.approx(fitted.predict_topk(ASKED[:1], k=1)[1][0, 0], abs=1e-6)
    assert "row context" in found.others
    assert (
        "row context"
        not in HybridClassifier(n_jobs=1, fusion="logistic").fit(*corpus(60)).explain(ASKED[0], label).others
    )


def test_given_and_allowed_labels_have_the_probabilities_of_a_search_of_all(fitted):
    labels, scores = fitted.predict_topk(ASKED, k=4)
    given = fitted.score_labels(ASKED, labels.tolist())
    np.testing.assert_allclose(np.stack(given), scores, atol=1e-6)
    one_less, _ = fitted.predict_topk(ASKED, k=4, denied=[labels[0, 0]])
    assert one_less[0, 0] == labels[0, 1]
    for row in range(3):
        allowed, own = fitted.predict_topk([ASKED[row]], k=1, allowed=[labels[row, 2]])
        assert allowed[0, 0] == labels[row, 2]
        assert own[0, 0] == pytest.approx(scores[row, 2], abs=1e-6)


def test_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    loaded = ceiba.load(tmp_path / "m")
    for a, b in zip(fitted.predict_topk(ASKED), loaded.predict_topk(ASKED), strict=True):
        assert (a == b).all()
    assert (fitted.predict(ASKED) != loaded.predict(ASKED)).nnz == 0


def test_a_model_of_a_former_version_has_none_and_loads(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    change_manifest(tmp_path / "m", within=FUSED, reranker=DROPPED)
    loaded = ceiba.load(tmp_path / "m")
    assert loaded.predict_topk(ASKED, k=1)[0].shape == (len(ASKED), 1)
    assert "row context" not in loaded.explain(ASKED[0], "car").others


@pytest.mark.parametrize(
    "fields", [{"n_features": 3}, {"embeddings": "label-words"}, {"embeddings": "nowhere"}, {"kind": "dense-labels"}]
)
def test_fields_that_are_not_sound_are_refused(fitted, tmp_path, fields):
    fitted.save(tmp_path / "m")
    change_manifest(tmp_path / "m", within=(*FUSED, "reranker"), **fields)
    with pytest.raises(ModelFormatError):
        ceiba.load(tmp_path / "m")


def test_a_reranker_of_other_features_is_refused(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    names = [each.name for each in fitted.model_.generators[1:-1]]
    change_manifest(tmp_path / "m", within=FUSED, sources=names)
    with pytest.raises(ModelFormatError, match="features of"):
        ceiba.load(tmp_path / "m")


def test_a_damaged_file_is_named(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    file = next((tmp_path / "m").rglob("row-context.json"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelFormatError, match="row-context"):
        ceiba.load(tmp_path / "m")
