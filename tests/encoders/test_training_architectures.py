"""Encoders of every common kind train a step, are saved and come back."""

import shutil

import numpy as np
import pytest
import torch

from ceiba import XRLinear, XRTransformer, load
from ceiba.encoders import load_encoder

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
KINDS = {
    "roberta": (SIZES, "mean"),
    "deberta-v2": (SIZES, "mean"),
    "modernbert": (SIZES, "mean"),
    "xlm-roberta": (SIZES, "mean"),
    "gpt2": ({"n_embd": 16, "n_layer": 1, "n_head": 2}, "last"),
    "llama": ({**SIZES, "num_key_value_heads": 1}, "last"),
    "qwen2": ({**SIZES, "num_key_value_heads": 1}, "last"),
}
FAST = {"max_length": 16, "steps": 1, "batch_size": 16, "warmup_ratio": 0, "learning_rate": 1e-2, "device": "cpu"}
FAST |= {"n_jobs": 1, "matcher_leaf_size": 99, "ranker": XRLinear(max_leaf_size=5)}
ASKED = ["the old red apple", "a new green tree", ""]


@pytest.fixture(params=KINDS)
def folder(request, tiny_encoder, tmp_path):
    """Return a folder with a random network of a kind, and the pooling that is its own."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    sizes, pooling = KINDS[request.param]
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        request.param,
        vocab_size=20,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        **sizes,
    )
    kind = AutoModelForCausalLM if pooling == "last" else AutoModel
    kind.from_config(config).save_pretrained(tmp_path / "encoder")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_encoder / name, tmp_path / "encoder" / name)
    return tmp_path / "encoder", pooling


@pytest.mark.parametrize("lora_rank", [None, 2])
def test_trains_a_step_and_comes_back(folder, small_corpus, tmp_path, lora_rank):
    folder, pooling = folder
    before = dict(load_encoder(folder, max_length=16, device="cpu").named_parameters())
    model = XRTransformer(encoder=str(folder), lora_rank=lora_rank, **FAST).fit(*small_corpus)
    assert model.encoder_.pooling == pooling
    moved = [name for name, p in model.encoder_.named_parameters() if not torch.equal(p, before[name])]
    assert moved
    assert not any("embed_tokens" in name or "word_embeddings" in name or "wte" in name for name in moved)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.encoder_.pooling == pooling
    assert (again.encode(ASKED) == model.encode(ASKED)).all()
    assert (again.predict_topk(ASKED)[1] == model.predict_topk(ASKED)[1]).all()
    np.testing.assert_allclose(np.linalg.norm(model.encode(ASKED), axis=1), 1, rtol=1e-5)
