"""The second look at a row in a whole model."""

import numpy as np
import pytest
import scipy.sparse as sp
from tests.model_folders import DROPPED, change_manifest
from tests.models.test_hybrid import NAMES, corpus

import ceiba
from ceiba import HybridClassifier
from ceiba.data.offsets import offsets
from ceiba.errors import ModelFormatError
from ceiba.models.hybrid.learned_fusion import fit_fusion, fit_reranker
from ceiba.models.hybrid.settings import HybridSettings
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import SearchContext

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


@pytest.mark.parametrize("embeddings", ["labels", "queries"])
def test_a_part_that_is_no_generator_is_refused(fitted, tmp_path, embeddings):
    fitted.save(tmp_path / "m")
    change_manifest(tmp_path / "m", within=(*FUSED, "reranker"), embeddings=embeddings)
    with pytest.raises(ModelFormatError):
        ceiba.load(tmp_path / "m")


def test_any_number_of_threads_writes_the_same_files(fitted, tiny_encoder, tmp_path):
    two = HybridClassifier(encoder=f"frozen:{tiny_encoder}", max_length=16, n_jobs=2)
    two.fit(*corpus(1000), label_texts=NAMES).save(tmp_path / "two")
    fitted.save(tmp_path / "one")
    for name in ("boosting.json", "row-context.json"):
        one, other = (next((tmp_path / folder).rglob(name)) for folder in ("one", "two"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("n_wrong_rows", [0, 1])
def test_no_reranker_where_the_only_wrong_pair_is_held_out(n_wrong_rows):
    """Held out, the only row with a wrong pair would leave nothing but right ones to learn from."""
    pytest.importorskip("lightgbm")
    settings = HybridSettings((), (), None, 2, 2, "auto", 0, SearchContext(10, "l3-hinge", 1))
    n = 1200
    ptr, columns = np.arange(n + 1, dtype=np.int64) * 2, np.tile(np.arange(2, dtype=np.int32), n)
    right = np.ones(2 * n, bool)
    right[2 * n_wrong_rows + 1] = False
    features = np.random.default_rng(0).random((2 * n, 3), np.float32)
    Y = sp.csr_array((np.ones(right.sum(), np.float32), columns[right], offsets(right.reshape(n, 2).sum(axis=1))))
    fusion = fit_fusion(features, right, settings)
    labels = DenseLabels(np.eye(2, dtype=np.float32), name="label-embeddings")
    context, (probabilities,) = fit_reranker(fusion, [features], [right], [(ptr, columns, Y)], labels, settings)
    assert context is None
    assert (probabilities == fusion.probability(features)).all()


def test_one_text_is_answered_as_in_a_batch(fitted):
    """Bit for bit: nearest embeddings of one text, too, are those that a batch finds."""
    asked = [*corpus(40, seed=5)[0], "", "apple", "volcanic eruption"]
    labels, scores = fitted.predict_topk(asked)
    for row, text in enumerate(asked):
        own, own_scores = fitted.predict_topk([text])
        assert (own[0] == labels[row]).all()
        assert (own_scores[0] == scores[row]).all()
