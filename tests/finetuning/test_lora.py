"""Adapters of low rank: they alone are trained, survive a kill, and are part of the weights in the end."""

import numpy as np
import pytest
import torch

from ceiba import XRTransformer, load
from ceiba.encoders import load_encoder
from ceiba.encoders.lora import add_adapters, merge_adapters
from ceiba.errors import InputError
from ceiba.finetuning.trainer import Trainer
from ceiba.io import current_generation

pytest.importorskip("peft")

FAST = {"max_length": 16, "steps": [0, 12, 12], "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
FAST |= {"learning_rate": 1e-2, "head_learning_rate": 1e-2, "precision": "float32", "device": "cpu", "n_jobs": 1}
FAST |= {"lora_rank": 2, "prototype_max_positives": 0}


def fit(encoder, corpus, **params):
    return XRTransformer(encoder=str(encoder), **{**FAST, **params}).fit(*corpus)


def test_merged_is_what_adapters_gave(tiny_encoder, small_corpus):
    encoder = load_encoder(tiny_encoder, precision="float32")
    names = [name for name, _ in encoder.named_parameters()]
    tokens = encoder.tokenize(small_corpus[0])
    before = encoder.embed(tokens)
    add_adapters(encoder, 3)
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert (encoder.embed(tokens) == before).all()
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    adapted = encoder.embed(tokens)
    assert np.abs(adapted - before).max() > 0.01
    merge_adapters(encoder)
    np.testing.assert_allclose(encoder.embed(tokens), adapted, atol=1e-5)
    assert [name for name, _ in encoder.named_parameters()] == names
    assert all(p.requires_grad for p in encoder.parameters())


def test_the_change_of_a_matrix_has_the_rank(tiny_encoder, small_corpus):
    before = dict(load_encoder(tiny_encoder).network.named_parameters())
    changed = 0
    for name, after in fit(tiny_encoder, small_corpus).encoder_.network.named_parameters():
        change = (after - before[name]).detach()
        if not name.endswith("weight") or "dense" not in name or "pooler" in name:
            continue
        values = torch.linalg.svdvals(change)
        assert values[2] < 1e-4 * values[0]
        changed += bool(values[0] > 1e-4)
    assert changed >= 4


def test_averaging_is_between_pretrained_and_fine_tuned(tiny_encoder, small_corpus):
    start = load_encoder(tiny_encoder)
    tuned, half, none = (fit(tiny_encoder, small_corpus, wise_ft_alpha=share).encoder_ for share in (1.0, 0.5, 0.0))
    for before, after, mean, same in zip(*(e.parameters() for e in (start, tuned, half, none)), strict=True):
        assert torch.allclose(mean, (before + after) / 2, atol=1e-6)
        assert torch.allclose(same, before, atol=1e-6)


def test_saved_is_plain_hugging_face(tiny_encoder, small_corpus, tmp_path):
    from transformers import AutoModel

    model = fit(tiny_encoder, small_corpus)
    model.save(tmp_path / "m")
    assert (load(tmp_path / "m").encode(small_corpus[0]) == model.encode(small_corpus[0])).all()
    plain = AutoModel.from_pretrained(current_generation(tmp_path / "m") / "encoder")
    assert not [name for name, _ in plain.named_parameters() if "lora" in name]
    assert not list((tmp_path / "m").rglob("adapter*"))


@pytest.mark.parametrize("at", [3, 17])
def test_resumes_after_a_kill(tiny_encoder, small_corpus, tmp_path, monkeypatch, at):
    class Killed(BaseException):
        pass

    params = {"checkpoint_seconds": 0.0, "validation_fraction": 0.2}
    whole = fit(tiny_encoder, small_corpus, **params)
    step, calls = Trainer._training_step, []

    def killed(self, *args):
        calls.append(1)
        if len(calls) > at:
            raise Killed
        return step(self, *args)

    monkeypatch.setattr(Trainer, "_training_step", killed)
    with pytest.raises(Killed):
        fit(tiny_encoder, small_corpus, checkpoint_dir=str(tmp_path), **params)
    monkeypatch.setattr(Trainer, "_training_step", step)
    resumed = fit(tiny_encoder, small_corpus, checkpoint_dir=str(tmp_path), **params)
    for a, b in zip(whole.encoder_.parameters(), resumed.encoder_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_static_has_no_linear_layers(small_corpus):
    with pytest.raises(InputError, match="no linear layers"):
        fit("static:8", small_corpus)
