"""Texts to embeddings, by any encoder, and one clear error for what cannot be loaded."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import ceiba
from ceiba.encoders import encoder as encoders
from ceiba.encoders import load_encoder
from ceiba.encoders.encoder import mean_cosine, pool
from ceiba.encoders.runtime import choose_device, choose_precision
from ceiba.errors import InputError

TEXTS = ["the red apple", "a car", "old", "the fast green trees of the new car", ""]


def test_embeddings_are_the_networks_mean(tiny_encoder):
    from transformers import AutoModel, AutoTokenizer

    network, tokenizer = AutoModel.from_pretrained(tiny_encoder).eval(), AutoTokenizer.from_pretrained(tiny_encoder)
    encoder = load_encoder(tiny_encoder, device="cpu", precision="float32")
    found = encoder.embed(encoder.tokenize(TEXTS))
    for text, row in zip(TEXTS, found, strict=True):
        with torch.no_grad():
            mean = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)


def test_pooling():
    hidden = torch.tensor([[[1.0, 2], [3, 4], [9, 9]], [[5, 6], [7, 8], [1, 0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool(hidden, mask, "cls").tolist() == [[1, 2], [5, 6]]
    assert pool(hidden, mask, "last").tolist() == [[3, 4], [1, 0]]
    np.testing.assert_allclose(pool(hidden, mask, "mean"), [[2, 3], [13 / 3, 14 / 3]], rtol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_pooling_is_chosen(tiny_encoder, pooling):
    other, mean = load_encoder(tiny_encoder, pooling=pooling), load_encoder(tiny_encoder)
    assert (other.pooling, mean.pooling) == (pooling, "mean")
    assert not np.allclose(other.embed(other.tokenize(TEXTS)), mean.embed(mean.tokenize(TEXTS)), atol=1e-3)


def test_sentence_transformers_folder_brings_its_pooling(tiny_encoder, tmp_path):
    folder = tmp_path / "st"
    shutil.copytree(tiny_encoder, folder)
    modules = [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    assert load_encoder(folder).pooling == "cls"
    assert load_encoder(folder, pooling="mean").pooling == "mean"
    modules.append({"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match="Dense"):
        load_encoder(folder)


def test_decoder_takes_the_last_token(tiny_encoder, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_encoder / name, tmp_path / name)
    encoder = load_encoder(tmp_path)
    assert encoder.pooling == "last"
    assert encoder.embed(encoder.tokenize(TEXTS[:3])).shape == (3, 16)


@pytest.mark.parametrize("kind", ["roberta", "deberta-v2", "modernbert", "distilbert", "xlm-roberta"])
def test_architectures(tiny_encoder, tmp_path, kind):
    from transformers import AutoConfig, AutoModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "distilbert":
        sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    config = AutoConfig.for_model(kind, vocab_size=20, max_position_embeddings=32, pad_token_id=0, **sizes)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_encoder / name, tmp_path / name)
    encoder = load_encoder(tmp_path, max_length=16)
    found = encoder.embed(encoder.tokenize(TEXTS))
    assert found.shape == (5, 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_batches_do_not_change_embeddings(tiny_encoder):
    encoder = load_encoder(tiny_encoder, precision="float32")
    together = encoder.embed(encoder.tokenize(TEXTS))
    alone = np.concatenate([encoder.embed(encoder.tokenize([text])) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_embed_halves_a_batch_that_does_not_fit(tiny_encoder, monkeypatch):
    encoder = load_encoder(tiny_encoder, precision="float32")
    tokens = encoder.tokenize(TEXTS * 4)
    expected = encoder.embed(tokens)
    forward = type(encoder).forward

    def small(self, tokens, rows):
        if len(rows) > 3:
            raise torch.OutOfMemoryError("no room")
        return forward(self, tokens, rows)

    monkeypatch.setattr(type(encoder), "forward", small)
    np.testing.assert_allclose(encoder.embed(tokens), expected, atol=1e-5)


def test_threads_read_batches_side_by_side(tiny_encoder, monkeypatch):
    encoder = load_encoder(tiny_encoder, max_length=16, precision="float32")
    tokens = encoder.tokenize([word * (n % 9 + 1) for n, word in enumerate(["apple ", "car ", "green tree "] * 30)])
    together = encoder.embed(tokens)  # one batch
    monkeypatch.setattr(encoders, "_MAX_BATCH_TOKENS", 64)
    before, done, readers = torch.get_num_threads(), [], set()
    whole = type(encoder).forward

    def read(self, tokens, rows):
        readers.add(threading.get_ident())
        assert torch.get_num_threads() == 1
        return whole(self, tokens, rows)

    monkeypatch.setattr(type(encoder), "forward", read)
    torch.set_num_threads(3)
    try:
        apart = encoder.embed(tokens, progress=done.append)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(apart, together, atol=1e-6)
    assert 1 <= len(readers) <= 3
    assert threading.get_ident() not in readers
    assert done[-1] == 90
    assert done == sorted(set(done))

    def broken(self, tokens, rows):
        raise RuntimeError("broken")

    monkeypatch.setattr(type(encoder), "forward", broken)
    with pytest.raises(RuntimeError, match="broken"):
        encoder.embed(tokens)


def test_save_is_hugging_faces_layout(tiny_encoder, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    from ceiba.encoders.load import load_saved

    encoder = load_encoder(tiny_encoder, pooling="cls", max_length=9)
    encoder.save(tmp_path / "e")
    again = load_saved(tmp_path / "e")
    assert (again.pooling, again.max_length) == ("cls", 9)
    assert (again.embed(again.tokenize(TEXTS)) == encoder.embed(encoder.tokenize(TEXTS))).all()
    assert AutoModel.from_pretrained(tmp_path / "e").config.hidden_size == 16
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "e")("apple")["input_ids"] == encoder.tokenizer("apple")["input_ids"]
    )
    assert not list((tmp_path / "e").glob("*.bin"))


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        load_encoder(tmp_path / "nowhere")


def test_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_encoder(tmp_path)


def test_folder_without_a_tokenizer(tiny_encoder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_encoder / name, tmp_path / name)
    with pytest.raises(InputError, match="tokenizer"):
        load_encoder(tmp_path)


def test_folder_without_weights(tiny_encoder, tmp_path):
    shutil.copytree(tiny_encoder, tmp_path / "e")
    (tmp_path / "e" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="weights"):
        load_encoder(tmp_path / "e")


def test_damaged_weights(tiny_encoder, tmp_path):
    shutil.copytree(tiny_encoder, tmp_path / "e")
    (tmp_path / "e" / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match="weights"):
        load_encoder(tmp_path / "e")


def test_length_beyond_the_encoders(tiny_encoder):
    with pytest.raises(InputError, match="at most 32"):
        load_encoder(tiny_encoder, max_length=33)


def test_devices():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="device must be"):
        choose_device("warp drive")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="0 CUDA devices"):
            choose_device("cuda")
    assert choose_precision("float32", torch.device("cpu")) == "float32"
    assert choose_precision("auto", torch.device("cpu")) in ("float32", "bfloat16")


def test_mean_cosine():
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert mean_cosine(rows) == pytest.approx(float((rows @ rows.T).mean()), abs=1e-6)
    assert mean_cosine(np.tile(rows[:1], (9, 1))) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_without_docstrings_the_cure_is_named(tiny_encoder):
    """Networks of transformers do not import with -OO: they read their own docstrings."""
    script = (
        "import sys; from ceiba.encoders import load_encoder; from ceiba.errors import InputError\n"
        "try: load_encoder(sys.argv[1]); print('loaded')\n"
        "except InputError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(ceiba.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-OO", "-c", script, tiny_encoder], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "loaded" or "-OO" in ran.stdout
