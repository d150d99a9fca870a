"""Encoders of low precision keep cast weights, which change no byte."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="the extra ceiba[transformer] is not installed")

from ceiba.encoders import load_encoder  # noqa: E402

TEXTS = ["red apple", "fast car on a road", "the cat", ""]


@pytest.fixture
def encoder(tiny_encoder):
    return load_encoder(tiny_encoder, device="cpu", precision="bfloat16")


def by_autocast(encoder):
    """Return the embeddings that autocast makes of the weights themselves."""
    with torch.enable_grad():
        return encoder(encoder.tokenize(TEXTS), np.arange(len(TEXTS))).detach().numpy()


def embed(encoder):
    with torch.inference_mode():
        return encoder(encoder.tokenize(TEXTS), np.arange(len(TEXTS))).numpy()


def test_embeddings_are_the_same_bytes(encoder):
    assert (embed(encoder) == by_autocast(encoder)).all()
    assert (embed(encoder) == by_autocast(encoder)).all()


@pytest.mark.parametrize("name", ["linear", "bias", "embedding", "norm"])
def test_a_weight_that_changes_counts_at_once(encoder, name):
    kinds = {"linear": torch.nn.Linear, "bias": torch.nn.Linear, "embedding": torch.nn.Embedding}
    module = next(each for each in encoder.network.modules() if type(each) is kinds.get(name, torch.nn.LayerNorm))
    before = embed(encoder)
    rng = torch.Generator().manual_seed(0)
    weight = module.bias if name == "bias" else module.weight
    with torch.no_grad():
        weight += torch.randn(weight.shape, generator=rng)
    changed = embed(encoder)
    assert (changed != before).any()
    assert (changed == by_autocast(encoder)).all()
    replaced = torch.nn.Parameter(torch.randn(weight.shape, generator=rng))
    setattr(module, "bias" if name == "bias" else "weight", replaced)
    assert (embed(encoder) != changed).any()
    assert (embed(encoder) == by_autocast(encoder)).all()


@pytest.mark.parametrize("fused", [True, False])  # a fused step gives weights no new version
@pytest.mark.parametrize(("in_training", "cleared"), [(True, True), (True, False), (False, False)])
def test_a_step_of_training_counts_at_once(encoder, fused, in_training, cleared):
    before = embed(encoder)
    encoder.train(in_training)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, fused=fused)
    encoder(encoder.tokenize(TEXTS), np.arange(len(TEXTS)))[:, 0].sum().backward()
    optimizer.step()
    if cleared:
        optimizer.zero_grad(set_to_none=True)
    if in_training:
        encoder.eval()
    assert (embed(encoder) != before).any()
    assert (embed(encoder) == by_autocast(encoder)).all()


def test_threads_that_begin_together_agree(encoder):
    expected = by_autocast(encoder)
    with ThreadPoolExecutor(4) as pool:
        assert all((found == expected).all() for found in pool.map(lambda _: embed(encoder), range(8)))


def test_what_is_kept_is_no_part_of_the_encoder(encoder):
    names, size = list(encoder.state_dict()), len(pickle.dumps(encoder))
    embed(encoder)
    assert list(encoder.state_dict()) == names
    assert {each.dtype for each in encoder.parameters()} == {torch.float32}
    assert len(pickle.dumps(encoder)) == pytest.approx(size, rel=0.05)
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert (embed(other) == by_autocast(encoder)).all()
