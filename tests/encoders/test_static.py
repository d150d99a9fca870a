"""The static encoder: learned from texts alone, the same each time, trained and saved like any other."""

import json

import numpy as np
import pytest
import torch

from ceiba import XRLinear, XRTransformer, XTransformer, load
from ceiba.encoders import load_encoder
from ceiba.encoders.load import load_saved
from ceiba.encoders.static import fit_static_encoder, static_dim
from ceiba.errors import InputError, ModelFormatError
from ceiba.io import current_generation

FAST = {"epochs": 3.0, "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
FAST |= {"prototype_max_positives": 0}
FAST |= {"device": "cpu", "n_jobs": 1, "ranker": XRLinear(branching_factor=3, max_leaf_size=5, weight_threshold=0.01)}
ASKED = ["the old red apple", "never seen: Zürich?", ""]


@pytest.fixture(scope="module")
def model(small_corpus):
    return XRTransformer(encoder="static:12", **FAST).fit(*small_corpus)


def test_names():
    assert static_dim("static") == 256
    assert static_dim("static:12") == 12
    assert static_dim("statics") is None
    assert static_dim("./static") is None
    for name in ("static:", "static:1", "static:x", "static:1e3"):
        with pytest.raises(InputError, match="static:256"):
            static_dim(name)


def test_embedding_is_the_weighted_mean_of_token_vectors(small_corpus):
    encoder = fit_static_encoder(small_corpus[0], 8)
    tokens = encoder.tokenize(ASKED)
    vectors, weight = (p.detach().numpy() for p in (encoder.network.vectors, encoder.network.log_weight.exp()))
    found = encoder.embed(tokens)
    for row, text in enumerate(ASKED):
        ids = encoder.tokenizer(text)["input_ids"]
        mean = (weight[ids, None] * vectors[ids]).sum(0)
        np.testing.assert_allclose(found[row], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-6)


def test_begins_as_latent_semantic_analysis():
    """Two words that never meet, but stand beside the same third, are alike; others are not."""
    pairs = [("cat", "purrs"), ("kitten", "purrs"), ("car", "honks"), ("lorry", "honks")]
    texts = [f"{a} {b}" for a, b in pairs for _ in range(9)]
    encoder = fit_static_encoder(texts, 2)
    cat, kitten, car, lorry = encoder.embed(encoder.tokenize([a for a, _ in pairs]))
    assert cat @ kitten > 0.95
    assert car @ lorry > 0.95
    assert abs(cat @ car) < 0.3


def test_same_texts_same_encoder(small_corpus):
    first, second = (fit_static_encoder(small_corpus[0], 8, seed=3) for _ in range(2))
    assert first.tokenizer.get_vocab() == second.tokenizer.get_vocab()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_vocabulary_holds_words_and_cuts_others_into_parts():
    stems, endings = ["walk", "talk", "jump", "cook", "look", "work", "play", "climb", "paint", "clean"], ["ing", "er"]
    texts = [f"{stem}{ending} {stem}" for stem in stems for ending in endings]
    tokenizer = fit_static_encoder(texts * 2, 4).tokenizer
    assert tokenizer.tokenize("Walking, talk") == ["walking", "[UNK]", "talk"]
    assert tokenizer.tokenize("looping") == ["l", "##o", "##o", "##p", "##ing"]
    assert tokenizer("")["input_ids"] == [tokenizer.cls_token_id]


def test_more_dimensions_than_texts_and_words():
    encoder = fit_static_encoder(["a b", "a"], 64)
    assert encoder.embed(encoder.tokenize(["a", "b", "c"])).shape == (3, 64)
    assert encoder.dim == 64
    alone = fit_static_encoder([""], 4)
    np.testing.assert_allclose(np.linalg.norm(alone.embed(alone.tokenize(["", "x"])), axis=1), 1, rtol=1e-5)


def test_learns_and_answers(model, small_corpus):
    assert model.score(*small_corpus) > 0.95
    assert set(model.predict_topk(["the old red apple"], k=3)[0][0]) == {"old", "apple", "red apple"}
    assert model.match(ASKED, k=2)[0].shape == (3, 2)
    embeddings = model.encode(ASKED)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_training_moves_the_vectors_though_embeddings_are_frozen(small_corpus):
    encoder = fit_static_encoder(small_corpus[0], 12)
    before = [p.detach().clone() for p in encoder.parameters()]
    tuned = XRTransformer(encoder="static:12", freeze_embeddings=True, **FAST).fit(*small_corpus)
    for a, b in zip(before, tuned.encoder_.parameters(), strict=True):
        assert not torch.allclose(a, b, atol=1e-3)
    frozen = XRTransformer(encoder="frozen:static:12", **FAST).fit(*small_corpus)
    for a, b in zip(before, frozen.encoder_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_step_moves_the_vectors_of_its_tokens_alone(small_corpus):
    encoder = fit_static_encoder(small_corpus[0], 12, dropout=0.0)
    tokens = encoder.tokenize(ASKED)
    before = encoder.network.vectors.detach().clone()
    optimizers = encoder.optimizers(1e-4, 0.01)
    for row in (0, 1):  # a vector that moved in one step stands still in the next
        for optimizer in optimizers:
            optimizer.zero_grad()
        encoder(tokens, np.array([row])).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
        moved = (encoder.network.vectors != before).any(1).nonzero().flatten()
        assert moved.tolist() == np.unique(encoder.tokenizer(ASKED[row])["input_ids"]).tolist()
        before = encoder.network.vectors.detach().clone()


@pytest.mark.parametrize("kind", [XRTransformer, XTransformer])
def test_loss_falls(small_corpus, kind):
    reports = kind(encoder="static:12", **{**FAST, "epochs": 30.0}).fit(*small_corpus).fit_report_["matcher"]
    assert len(reports) == (3 if kind is XRTransformer else 1)
    losses = reports[-1]["loss"]  # the first of three levels has three nodes, whose heads begin near their best
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3])


def test_saved_and_loaded_is_the_same(model, tmp_path):
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert (again.encode(ASKED) == model.encode(ASKED)).all()
    assert (again.predict_topk(ASKED)[1] == model.predict_topk(ASKED)[1]).all()
    names = {path.name for path in (current_generation(tmp_path / "m") / "encoder").iterdir()}
    assert names == {"ceiba_encoder.json", "model.safetensors", "tokenizer.json"}
    again.save(tmp_path / "m")
    assert (load(tmp_path / "m").encode(ASKED) == model.encode(ASKED)).all()


def test_saved_encoder_begins_another_training(model, small_corpus, tmp_path):
    model.encoder_.save(tmp_path / "e")
    other = XRTransformer(encoder=f"frozen:{tmp_path / 'e'}", **FAST).fit(*small_corpus)
    assert (other.encode(ASKED) == model.encode(ASKED)).all()
    assert load_encoder(tmp_path / "e", max_length=5).max_length == 5


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"junk"),
        ("tokenizer.json", b"{}"),
        ("ceiba_encoder.json", json.dumps({"kind": "static"}).encode()),
    ],
)
def test_damage_is_told(model, tmp_path, name, content):
    model.encoder_.save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|tokenizer"):
        load_encoder(tmp_path)
    with pytest.raises(ModelFormatError, match="encoder"):
        load_saved(tmp_path)


def test_vectors_of_another_vocabulary(model, small_corpus, tmp_path):
    model.encoder_.save(tmp_path / "a")
    fit_static_encoder(["few words here"], 12).save(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").rename(tmp_path / "a" / "model.safetensors")
    with pytest.raises(InputError, match=r"vector.*token"):
        load_encoder(tmp_path / "a")


def test_goes_on_from_a_checkpoint(small_corpus, tmp_path, monkeypatch):
    from ceiba.finetuning.trainer import Trainer

    class Killed(BaseException):
        pass

    params = {"encoder": "static:12", "checkpoint_seconds": 0.0, **FAST}
    whole = XRTransformer(**params).fit(*small_corpus)
    step, calls = Trainer._training_step, []

    def killed(self, *args):
        calls.append(1)
        if len(calls) > 9:
            raise Killed
        return step(self, *args)

    monkeypatch.setattr(Trainer, "_training_step", killed)
    with pytest.raises(Killed):
        XRTransformer(checkpoint_dir=str(tmp_path), **params).fit(*small_corpus)
    monkeypatch.setattr(Trainer, "_training_step", step)
    resumed = XRTransformer(checkpoint_dir=str(tmp_path), **params).fit(*small_corpus)
    for a, b in zip(whole.encoder_.parameters(), resumed.encoder_.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("encoder", ["static:0", "static:wide"])
def test_bad_width(small_corpus, encoder):
    with pytest.raises(InputError, match="static:256"):
        XRTransformer(encoder=encoder, **FAST).fit(*small_corpus)
