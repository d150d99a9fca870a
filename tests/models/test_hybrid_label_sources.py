"""The sources of the hybrid model that search label texts by terms, by a learned map, and by both."""

import numpy as np
import pytest
from tests.model_folders import DROPPED, change_manifest
from tests.models.test_hybrid import NAMES, corpus

import ceiba
from ceiba import HybridClassifier
from ceiba.errors import InputError, ModelFormatError

FUSED = ("model", "generators", -1)
MADE = {"label-terms", "mapped-label-embeddings", "label-blend"}


@pytest.fixture(scope="module")
def settings(tiny_encoder):
    return {"encoder": f"frozen:{tiny_encoder}", "max_length": 16, "fusion": "logistic"}


@pytest.fixture(scope="module")
def fitted(settings):
    return HybridClassifier(n_jobs=1, **settings).fit(*corpus(120), label_texts=NAMES)


def test_an_encoder_and_label_texts_make_all_of_them(fitted):
    assert set(fitted.sources_) >= MADE
    found = fitted.explain("an old volcano", "volcano")
    assert {each.name for each in found.sources} >= MADE
    assert "label-mentions" in found.others


def test_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    asked = [*corpus(10, seed=4)[0], "", "an old volcano"]
    for a, b in zip(fitted.predict_topk(asked), ceiba.load(tmp_path / "m").predict_topk(asked), strict=True):
        assert (a == b).all()


def test_any_number_of_threads_gives_the_same_answers(fitted, settings):
    other = HybridClassifier(n_jobs=2, **settings).fit(*corpus(120), label_texts=NAMES)
    asked = corpus(20, seed=5)[0]
    one, two = fitted.decision_function(asked), other.decision_function(asked)
    assert (one.indices == two.indices).all()
    np.testing.assert_allclose(one.data, two.data, rtol=1e-4)


def test_damaged_files_are_named(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    folder = next((tmp_path / "m").glob("model-*"))
    for name in ("label-terms", "mapped-label-embeddings", "label-mentions"):
        file = folder / f"{name}.safetensors"
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelFormatError, match=file.name):
            ceiba.load(tmp_path / "m")
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("sources", "missing"),
    [
        (["linear", "mapped-label-embeddings"], "label-embeddings"),
        (["label-embeddings", "mapped-label-embeddings", "label-blend"], "label-terms"),
    ],
)
def test_a_source_that_is_made_of_others_needs_them(settings, sources, missing):
    model = HybridClassifier(sources=sources, n_jobs=1, **settings)
    with pytest.raises(InputError, match=f"'{missing}'"):
        model.fit(*corpus(60), label_texts=NAMES)


def test_without_an_encoder_a_blend_is_refused():
    with pytest.raises(InputError, match="label-blend"):
        HybridClassifier(sources=["label-terms", "label-blend"]).fit(*corpus(60), label_texts=NAMES)


def test_mentions_of_a_text_held_out_are_not_counted():
    """Each label is named by one text and right at random. A count of that text itself would tell which."""
    rng = np.random.default_rng(0)
    texts = [f"a text that names term{i:03}" for i in range(300)]
    labels = [[f"l{i}"] if rng.random() < 0.5 else ["other"] for i in range(300)]
    names = {f"l{i}": f"term{i:03}" for i in range(300)}
    model = HybridClassifier(fusion="logistic", sources=["label-terms"], n_jobs=1)
    model.fit(texts, labels, label_texts=names)
    given = [row[0] for row in model.score_labels(texts, [[f"l{i}"] for i in range(300)])]
    assert np.std(given) < 0.1
    assert 0.3 < np.mean(given) < 0.7


def test_a_model_of_a_former_version_asks_every_source_for_as_many(tmp_path):
    model = HybridClassifier(fusion="logistic", n_jobs=1).fit(*corpus(60), label_texts=NAMES)
    model.save(tmp_path / "m")
    change_manifest(tmp_path / "m", within=FUSED, depths=DROPPED)
    asked = corpus(10, seed=4)[0]
    for a, b in zip(model.predict_topk(asked), ceiba.load(tmp_path / "m").predict_topk(asked), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("fused", "depths", {"nowhere": 4}),
        ("fused", "depths", {"label-blend": 0}),
        ("fused", "depths", 3),
        ("label-blend", "weights", [1.0]),
        ("label-blend", "weights", [1.0, "a"]),
        ("label-blend", "parts", ["label-terms", "nowhere"]),
        ("label-blend", "depth", 0),
        ("mapped-label-embeddings", "inner", "nowhere"),
    ],
)
def test_fields_that_are_not_sound_are_refused(fitted, tmp_path, name, field, value):
    fitted.save(tmp_path / "m")
    names = [each.name for each in fitted.model_.generators]
    change_manifest(tmp_path / "m", within=("model", "generators", names.index(name)), **{field: value})
    with pytest.raises(ModelFormatError):
        ceiba.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mapped-label-embeddings", {"inner": "labels"}),
        ("mapped-label-embeddings", {"inner": "label-words"}),
        ("label-blend", {"parts": ["labels", "queries"]}),
        ("label-blend", {"weights": [1e300, 1]}),
        ("label-blend", {"weights": [10**400, 1]}),
        ("label-blend", {"depth": 10**30}),
        ("fused", {"depths": {"label-blend": 10**12}}),
        ("fused", {"sources": ["labels"]}),
    ],
)
def test_parts_and_numbers_that_cannot_answer_are_refused(fitted, tmp_path, name, fields):
    fitted.save(tmp_path / "m")
    names = [each.name for each in fitted.model_.generators]
    change_manifest(tmp_path / "m", within=("model", "generators", names.index(name)), **fields)
    with pytest.raises(ModelFormatError):
        ceiba.load(tmp_path / "m")
