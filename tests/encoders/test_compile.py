"""torch.compile: the same embeddings, and training without it where it fails."""

import warnings

import numpy as np
import pytest
import torch

from ceiba import XRTransformer
from ceiba.encoders import encoder as module
from ceiba.encoders import load_encoder

TEXTS = ["the red apple", "a car", "old", "the fast green trees of the new car", ""] * 3
FAST = {"max_length": 16, "steps": 6, "batch_size": 8, "learning_rate": 1e-3, "dropout": 0.0}
# one level, so that what is compiled is compiled once
FAST |= {"matcher_leaf_size": 99}
FAST |= {"precision": "float32", "device": "cpu", "n_jobs": 1}


def fit(encoder, corpus, **params):
    return XRTransformer(encoder=str(encoder), **{**FAST, **params}).fit(*corpus)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.encoder_.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_is_the_same_training(tiny_encoder, small_corpus, monkeypatch, backend):
    called = []

    def compiler(function, **options):
        assert options["dynamic"] is True
        compiled = compile(function, **options)

        def counted(*args):
            called.append(args[0].shape)
            return compiled(*args)

        return counted

    compile = torch.compile
    monkeypatch.setattr(module, "_BACKEND", backend)
    plain = fit(tiny_encoder, small_corpus, compile=False)
    monkeypatch.setattr(torch, "compile", compiler)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        compiled = fit(tiny_encoder, small_corpus, compile=True)
    assert len({shape[1] for shape in called}) > 1  # many lengths
    assert torch.allclose(weights(plain), weights(compiled), atol=1e-3)
    assert not torch.allclose(weights(compiled), weights(fit(tiny_encoder, small_corpus, steps=1)), atol=1e-3)


def test_auto_is_on_cuda_only(tiny_encoder, small_corpus, monkeypatch):
    def none(*args, **options):
        raise AssertionError("compiled on a CPU")

    monkeypatch.setattr(torch, "compile", none)
    fit(tiny_encoder, small_corpus)
    with pytest.raises(AssertionError, match="compiled"):
        fit(tiny_encoder, small_corpus, compile=True)


def failing(graph, inputs):
    raise OSError("no C++ compiler")


def test_training_goes_on_where_the_compiler_fails(tiny_encoder, small_corpus, monkeypatch):
    plain = fit(tiny_encoder, small_corpus)
    monkeypatch.setattr(module, "_BACKEND", failing)
    with pytest.warns(RuntimeWarning, match=r"torch\.compile") as told:
        model = fit(tiny_encoder, small_corpus, compile=True)
    assert len([w for w in told if "torch.compile" in str(w.message)]) == 1
    assert torch.equal(weights(plain), weights(model))


@pytest.mark.slow
def test_training_goes_on_where_gradients_do_not_compile(tiny_encoder, small_corpus, monkeypatch):
    from torch._dynamo.backends.common import aot_autograd

    plain = fit(tiny_encoder, small_corpus)
    monkeypatch.setattr(module, "_BACKEND", aot_autograd(fw_compiler=lambda graph, _: graph, bw_compiler=failing))
    with pytest.warns(RuntimeWarning, match="torch.compile failed"):
        model = fit(tiny_encoder, small_corpus, compile=True)
    assert torch.allclose(weights(plain), weights(model), atol=1e-3)


@pytest.mark.slow
def test_other_errors_are_raised(tiny_encoder, monkeypatch):
    encoder = load_encoder(tiny_encoder, device="cpu")
    tokens = encoder.tokenize(TEXTS)
    monkeypatch.setattr(module, "_BACKEND", "eager")
    with encoder.compiling(True), pytest.warns(RuntimeWarning), pytest.raises(IndexError, match="index"):
        encoder.embed(tokens._replace(ids=np.full_like(tokens.ids, 10**6)))
    assert encoder._compiled is None


def test_full_memory_is_not_the_compilers(tiny_encoder, monkeypatch):
    def full(ids, mask):
        if len(ids) > 1:
            raise torch.OutOfMemoryError("no room")
        return encoder._plain(ids, mask)

    encoder = load_encoder(tiny_encoder, device="cpu", precision="float32")
    tokens = encoder.tokenize(TEXTS)
    expected = encoder.embed(tokens)
    monkeypatch.setattr(torch, "compile", lambda function, **options: full)
    with encoder.compiling(True):
        np.testing.assert_allclose(encoder.embed(tokens), expected, atol=1e-5)
        assert encoder._compiled is full
