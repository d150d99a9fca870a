"""Fine-tuned encoders as sources of the hybrid model."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone

import ceiba
from ceiba import HybridClassifier, XRLinear, XRTransformer, XTransformer
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.fusion.pair_features import PairFeatures
from ceiba.models.hybrid.transformers import parts_of, rows_held_out

pytest.importorskip("torch")

ASKED = ["a fast red car", "the old green tree", "blue apple", ""]


def small(tiny_encoder, kind=XRTransformer, **params):
    own = {"max_length": 16, "batch_size": 8, "matcher_leaf_size": 3, "matcher_branching_factor": 3, "steps": 2}
    return kind(encoder=str(tiny_encoder), **{**own, **params})


@pytest.fixture(scope="module")
def fitted(tiny_encoder, small_corpus):
    names = {label: f"{label} thing" for row in small_corpus[1] for label in row} | {"plane": "old red plane"}
    model = HybridClassifier(base=[XRLinear(), small(tiny_encoder)], fusion="logistic", n_jobs=1)
    return model.fit(*small_corpus, label_texts=names)


def answers(model, texts=ASKED):
    labels, scores = model.predict_topk(texts, k=4)
    return labels.tolist(), scores


def test_a_tuned_encoder_is_a_source(fitted):
    names = [source.name for source in fitted.model_.generators]
    of_encoder = {"transformer", "transformer-neighbors", "transformer-means", "transformer-label-embeddings"}
    assert of_encoder < set(names)
    assert of_encoder < set(fitted.sources_)
    found = fitted.explain(ASKED[0], "car")
    assert of_encoder <= {each.name for each in found.sources}
    top, scores = fitted.predict_topk(ASKED, k=1)
    assert top[0, 0] in ("car", "fast", "red car")
    assert ((scores > 0) & (scores <= 1)).all()
    assert "plane" in fitted.classes_
    assert fitted.fit_report_["transformers"]["transformer"]["matcher"]


def test_saved_loaded_pickled_and_copied(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = ceiba.load(tmp_path / "model")
    expected = answers(fitted)
    for other in (loaded, pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        found = answers(other)
        assert found[0] == expected[0]
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert loaded.sources_ == fitted.sources_
    assert [type(each) for each in loaded.base] == [XRLinear, XRTransformer]
    assert loaded.base[1].get_params() == fitted.base[1].get_params()
    assert clone(loaded).base[1].steps == 2


def test_no_encoder_is_tuned_on_texts_that_the_fusion_learns_from(tiny_encoder, small_corpus, monkeypatch):
    texts, labels = small_corpus
    texts = [f"{text} number{i}" for i, text in enumerate(texts)]
    tuned, learned_from = [], []
    fit, found = XRTransformer.fit, PairFeatures.found

    def watched_fit(self, X, *args, **options):
        tuned.append(set(X))
        return fit(self, X, *args, **options)

    def watched_found(self, Q, ctx):
        near = next(source for source in self.sources if source.name == "transformer-neighbors")
        nearest = [near.explain(Q.part(0, 1), label, ctx=ctx).details.get("nearest", []) for label in range(18)]
        learned_from.append((set(Q.texts), max(map(len, nearest))))
        return found(self, Q, ctx)

    monkeypatch.setattr(XRTransformer, "fit", watched_fit)
    monkeypatch.setattr(PairFeatures, "found", watched_found)
    HybridClassifier(base=small(tiny_encoder), fusion="logistic", n_jobs=1).fit(texts, labels)
    (tuned_on,) = tuned
    held_out = set.union(*(rows for rows, _ in learned_from))
    assert not tuned_on & held_out
    assert tuned_on | held_out == set(texts)
    assert sum(len(rows) for rows, _ in learned_from) == len(held_out)
    # nearest texts are the others held out: neither a row itself nor one that the encoder was tuned on
    assert [len(rows) + n for rows, n in learned_from] == [len(held_out)] * len(learned_from)


@pytest.mark.parametrize("n", [8, 9, 100, 399, 1000, 5000])
def test_a_tenth_is_held_out_and_tried_once(n):
    tuned_on, held_out = rows_held_out(n, seed=3)
    assert sorted([*tuned_on, *held_out]) == list(range(n))
    assert len(held_out) == max(n // 10, min(100, n // 4))
    tried = []
    for others, part in parts_of(held_out, seed=3):
        assert sorted([*others, *part]) == held_out.tolist()
        assert len(part)
        assert len(others)
        tried += part.tolist()
    assert sorted(tried) == held_out.tolist()


def test_models_that_cannot_be_a_base_are_named(tiny_encoder, small_corpus):
    texts, labels = small_corpus
    numbers = np.random.default_rng(0).random((90, 4))
    fitted = XRLinear(n_jobs=1).fit(texts, labels)
    for base, X, error, words in (
        (fitted, texts, InputError, "base.*XRLinear.*fitted"),
        ([XRLinear(), fitted], texts, InputError, "base.*fitted"),
        (small(tiny_encoder), numbers, InputError, "base.*XRTransformer.*texts"),
        (small(tiny_encoder, vectorizer=None), texts, InputError, "base.*vectorizer"),
        (small(tiny_encoder, steps=-1), texts, InputError, "steps"),
        ([], texts, InputError, "base"),
        ([HybridClassifier()], texts, InputTypeError, "base.*HybridClassifier"),
        ([XTransformer], texts, InputTypeError, "base"),
    ):
        with pytest.raises(error, match=words):
            HybridClassifier(base=base, n_jobs=1).fit(X, labels)
    with pytest.raises(InputError, match=r"sources.*base"):
        HybridClassifier(sources=["transformer"], n_jobs=1).fit(texts, labels)
    with pytest.raises(InputError, match=r"base.*sources"):
        HybridClassifier(base=small(tiny_encoder), sources=["linear"], n_jobs=1).fit(texts, labels)
    with pytest.raises(InputError, match="8 texts"):
        HybridClassifier(base=small(tiny_encoder), n_jobs=1).fit(texts[:7], labels[:7])


@pytest.mark.slow
def test_several_of_unlike_kinds_beside_a_frozen_encoder(tiny_encoder, small_corpus, tmp_path):
    base = [small(tiny_encoder, XTransformer, long_texts="chunks"), small(tiny_encoder), XRLinear(), XRLinear(C=2)]
    model = HybridClassifier(base=base, encoder=f"frozen:{tiny_encoder}", max_length=16, fusion="logistic", n_jobs=1)
    model.fit(*small_corpus, label_texts={"car": ["car", "fast car"], "plane": "old plane"})
    names = {source.name for source in model.model_.generators}
    assert {"transformer-1", "transformer-2", "transformer-2-means", "linear-1", "linear-2", "class-means"} < names
    model.save(tmp_path / "model")
    loaded = ceiba.load(tmp_path / "model")
    assert answers(loaded)[0] == answers(model)[0]
    np.testing.assert_allclose(answers(loaded)[1], answers(model)[1], rtol=1e-5)
    assert [type(each) for each in loaded.base] == [XTransformer, XRTransformer, XRLinear, XRLinear]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(tiny_encoder, small_corpus):
    found = []
    for _ in range(2):
        model = HybridClassifier(base=small(tiny_encoder), fusion="logistic", random_state=4, n_jobs=1)
        found.append(answers(model.fit(*small_corpus)))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.slow
def test_a_damaged_file_is_one_error(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    folder = next((tmp_path / "model").glob("model-*"))
    for file in sorted(folder.rglob("*.safetensors")):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelFormatError, match=file.name):
            ceiba.load(tmp_path / "model")
        file.write_bytes(whole)
