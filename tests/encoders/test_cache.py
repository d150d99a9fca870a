"""Tokens and embeddings are computed once, and only for what they are of."""

import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ceiba import XRLinear, XRTransformer
from ceiba.encoders import load_encoder
from ceiba.encoders.cache import Cache
from ceiba.encoders.encoder import Encoder
from ceiba.errors import InputError

TEXTS = ["the red apple", "a car", "", "the fast green trees of the new car"]
FAST = {"max_length": 16, "steps": 4, "batch_size": 8, "device": "cpu", "n_jobs": 1, "precision": "float32"}
FAST |= {"ranker": XRLinear(max_leaf_size=5), "matcher_leaf_size": 99}


@pytest.fixture
def worked(monkeypatch):
    """Return a list of what encoders were asked to do."""
    calls = []
    for name in ("tokenize", "embed"):
        own = getattr(Encoder, name)

        def counted(self, *args, own=own, name=name, **options):
            calls.append(name)
            return own(self, *args, **options)

        monkeypatch.setattr(Encoder, name, counted)
    return calls


def encoder(folder, **options):
    return load_encoder(folder, **{"device": "cpu", "precision": "float32", **options})


def test_second_training_computes_nothing(tiny_encoder, small_corpus, tmp_path, worked):
    params = {"encoder": f"frozen:{tiny_encoder}", **FAST}
    plain = XRTransformer(**params).fit(*small_corpus)
    first = XRTransformer(cache_dir=str(tmp_path / "c"), **params).fit(*small_corpus)
    assert worked == ["tokenize", "embed"] * 2
    second = XRTransformer(cache_dir=tmp_path / "c", **params).fit(*small_corpus)
    assert worked == ["tokenize", "embed"] * 2
    scores = [model.predict_topk(TEXTS)[1] for model in (plain, first, second)]
    assert (scores[0] == scores[1]).all()
    assert (scores[0] == scores[2]).all()
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "c").iterdir()) == ["embeddings", "tokens"]


def test_label_texts_are_kept_too(tiny_encoder, small_corpus, tmp_path, worked):
    names = {label: f"a {label}" for labels in small_corpus[1] for label in labels}
    params = {"encoder": f"frozen:{tiny_encoder}", **FAST}
    plain = XRTransformer(**params).fit(*small_corpus, label_texts=names)
    models = [XRTransformer(cache_dir=tmp_path, **params).fit(*small_corpus, label_texts=names) for _ in range(2)]
    assert worked == ["tokenize", "tokenize", "embed", "embed"] * 2  # without a cache, and the first time with one
    for model in models:
        assert (model.label_embeddings_ == plain.label_embeddings_).all()
    assert len(list(tmp_path.iterdir())) == 4


def test_fine_tuning_keeps_tokens_alone(tiny_encoder, small_corpus, tmp_path):
    params = {"encoder": str(tiny_encoder), **FAST}
    plain = XRTransformer(**params).fit(*small_corpus)
    for _ in range(2):
        model = XRTransformer(cache_dir=tmp_path, **params).fit(*small_corpus)
        assert (model.encode(TEXTS) == plain.encode(TEXTS)).all()
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["tokens"]


def test_anything_else_is_computed_anew(tiny_encoder, tmp_path, worked):
    cache = Cache(tmp_path)
    tokens = cache.tokens(encoder(tiny_encoder), TEXTS)
    cache.embeddings(encoder(tiny_encoder), tokens)
    cache.tokens(encoder(tiny_encoder), [*TEXTS[:2], "".join(TEXTS[2:]), "x"])
    cache.tokens(encoder(tiny_encoder, max_length=5), TEXTS)
    other = encoder(tiny_encoder)
    next(other.parameters()).data += 1e-3
    for changed in (other, encoder(tiny_encoder, pooling="cls"), encoder(tiny_encoder, precision="bfloat16")):
        cache.embeddings(changed, tokens)
    assert worked == ["tokenize", "embed", "tokenize", "tokenize", "embed", "embed", "embed"]
    assert len(list(tmp_path.iterdir())) == 7


def damaged(path, kind):
    content = path.read_bytes()
    if kind == "short":
        path.write_bytes(content[:-3])
    elif kind == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        save_file({**load_file(path), "more": np.zeros(1, np.float32)}, path)


@pytest.mark.parametrize("kind", ["short", "flipped", "empty", "foreign"])
def test_damage_is_told_and_repaired(tiny_encoder, tmp_path, kind):
    cache, whole = Cache(tmp_path), encoder(tiny_encoder)
    expected = whole.embed(whole.tokenize(TEXTS))
    cache.embeddings(whole, cache.tokens(whole, TEXTS))
    for path in tmp_path.iterdir():
        damaged(path, kind)
    with pytest.warns(RuntimeWarning, match="damaged") as told:
        found = cache.embeddings(whole, cache.tokens(whole, TEXTS))
    assert len(told) == 2
    assert (found == expected).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (cache.embeddings(whole, cache.tokens(whole, TEXTS)) == expected).all()


def test_no_texts(tiny_encoder, tmp_path):
    tokens = Cache(tmp_path).tokens(encoder(tiny_encoder), [])
    assert (tokens.n_rows, len(tokens.ids)) == (0, 0)


def test_file_in_the_folders_place(tiny_encoder, small_corpus, tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(InputError, match="cache_dir"):
        XRTransformer(encoder=str(tiny_encoder), cache_dir=tmp_path / "c", **FAST).fit(*small_corpus)
