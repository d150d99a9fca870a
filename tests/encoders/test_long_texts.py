"""Long texts: only their beginnings are tokenized, with the tokens that the whole text has; or all, in chunks."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ceiba import XRLinear, XRTransformer, load
from ceiba.encoders import load_encoder, tokens
from ceiba.encoders.static import fit_static_encoder
from ceiba.encoders.tokens import tokenize, tokenize_chunks
from ceiba.errors import InputError

MAX_LENGTH = 16
CORPUS = [
    "the red apple of a new car",
    "fast slow ripe old trees, don't 123!",
    "日本語の本 und naïve Größe",
    "aaaa aa a",
] * 9


def wrapped(tokenizer, **options):
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", **options
    )


def byte_level(**options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, **options)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "<pad>", "<unk>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return wrapped(tokenizer, mask_token=AddedToken("<mask>", lstrip=True))


def unigram(splitter):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = splitter
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<s>", "<pad>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return wrapped(tokenizer, mask_token=AddedToken("<mask>", lstrip=True))


KINDS = {
    "bert": None,  # of the fixture
    "static": lambda: fit_static_encoder(CORPUS, 4).tokenizer,
    "byte-level": byte_level,
    "byte-level, one word": lambda: byte_level(use_regex=False),
    "unigram of words": lambda: unigram(
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    ),
    "unigram": lambda: unigram(pre_tokenizers.Metaspace()),
    "unigram, one word": lambda: unigram(pre_tokenizers.Metaspace(split=False)),
    "no splitter": lambda: unigram(None),
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, tiny_encoder):
    make = KINDS[request.param]
    return load_encoder(tiny_encoder).tokenizer if make is None else make()


PIECES = [*CORPUS[:4], "the ", "apple", "a", " ", "\t", "\n\n", ".", "日本", "\x00", "\u200b", "é", "e\u0301", "\u0316"]
PIECES += [
    "<mask>",
    "[SEP]",
    "[CLS] ",
    "<s>",
    "\ufeff",
    "\u00a0",
    "\u3000",
    "🙂",
    "👩\u200d🚀",
    "ﬁ",
    "Σ",
    "İ",
    "1",
    "##s",
]
texts = st.lists(st.tuples(st.sampled_from(PIECES), st.integers(1, 90)), max_size=12).map(
    lambda parts: "".join(piece * n for piece, n in parts)
)


def rows_of(found):
    return [row.tolist() for row in np.split(found.ids, found.ptr[1:-1])]


@pytest.mark.parametrize("first", [(8, 512), (1, 3)])
@given(text=texts, tail=texts, length=st.sampled_from([4, 16, 40]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tokens_are_those_of_the_whole_text(tokenizer, first, text, tail, length):
    kept = tokens._CHARACTERS_OF_A_TOKEN, tokens._MORE_CHARACTERS
    asked = [text, text + tail * 20, tail * 20 + text, text * 30]
    whole = tokenizer(asked, truncation=True, max_length=length)["input_ids"]
    try:
        tokens._CHARACTERS_OF_A_TOKEN, tokens._MORE_CHARACTERS = first
        found = tokenize(asked, tokenizer, length)
    finally:
        tokens._CHARACTERS_OF_A_TOKEN, tokens._MORE_CHARACTERS = kept
    assert rows_of(found) == whole


@pytest.mark.parametrize(
    "unit", ["the red apple. ", "日本語の本", " ", "\n \t", "\x00", "a", "e\u0301", "-", "the <mask> ", "🙂"]
)
def test_long_texts_of_one_kind(tokenizer, unit):
    asked = [unit * (20_000 // len(unit)), "the old" + unit * (9_999 // len(unit)) + "<mask> car"]
    whole = tokenizer(asked, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    assert rows_of(tokenize(asked, tokenizer, MAX_LENGTH)) == whole


def test_truncation_on_the_left_keeps_the_end(tiny_encoder):
    tokenizer = load_encoder(tiny_encoder).tokenizer
    tokenizer.truncation_side = "left"
    text = "the red apple " * 3000 + "old car"
    assert rows_of(tokenize([text], tokenizer, 8)) == tokenizer([text], truncation=True, max_length=8)["input_ids"]


@pytest.mark.parametrize("unit", ["the red apple. ", "日本語の本", "the\n"])
def test_a_text_of_megabytes_takes_the_time_of_its_beginning(tiny_encoder, unit):
    encoder = load_encoder(tiny_encoder, max_length=32)
    text = unit * (9_000_000 // len(unit))
    begun = time.process_time()
    found = encoder.tokenize([text])
    short = time.process_time() - begun
    begun = time.process_time()
    encoder.tokenize_chunks([text[: 2**17]])  # a 69th of it, whole
    assert short < 10 * (time.process_time() - begun) + 0.5
    assert rows_of(found) == rows_of(encoder.tokenize([text[:9000]]))


# ---------------------------------------------------------------------- chunks


def test_chunks_hold_all_tokens(tiny_encoder):
    tokenizer = load_encoder(tiny_encoder).tokenizer
    asked = ["the red apple " * 7, "", "car", "the old car " * 5]
    chunks = tokenize_chunks(asked, tokenizer, 8)
    assert rows_of(chunks.first) == rows_of(tokenize(asked, tokenizer, 8))
    assert (np.diff(chunks.text) >= 0).all()
    for number, text in enumerate(asked):
        parts = [rows_of(chunks.first)[number]]
        parts += [row for row, of in zip(rows_of(chunks.more), chunks.text, strict=False) if of == number]
        assert [token for part in parts for token in part[1:-1]] == tokenizer(text)["input_ids"][1:-1]
        assert max(map(len, parts)) <= 8


SMALL = {"max_length": 8, "epochs": 1.0, "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
SMALL |= {"device": "cpu", "n_jobs": 1, "ranker": XRLinear(n_trees=1, branching_factor=3, max_leaf_size=5)}


def unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize("encoder", ["static:8", "frozen", "tuned"])
def test_chunks_are_averaged(tiny_encoder, small_corpus, tmp_path, encoder):
    encoder = {"frozen": f"frozen:{tiny_encoder}", "tuned": str(tiny_encoder)}.get(encoder, encoder)
    corpus, labels = [f"{text} {text} {text}" for text in small_corpus[0]], small_corpus[1]
    model = XRTransformer(encoder=encoder, long_texts="chunks", **SMALL).fit(corpus, labels)
    long = "the red apple of a " * 5
    asked = [long, "car", "", long + "old"]
    found = model.encode(asked)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    first = model.encoder_.embed(model.encoder_.tokenize(asked))
    np.testing.assert_allclose(found[1:3], first[1:3], atol=1e-6)  # texts of one chunk
    chunks = model.encoder_.tokenize_chunks([long])
    parts = [model.encoder_.embed(chunks.first), model.encoder_.embed(chunks.more)]
    np.testing.assert_allclose(found[0], unit_rows(np.concatenate(parts).mean(axis=0)), atol=1e-5)
    assert not np.allclose(found[0], first[0], atol=1e-3)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.long_texts == "chunks"
    assert (again.encode(asked) == found).all()
    assert again.predict_topk(asked, 3)[0].tolist() == model.predict_topk(asked, 3)[0].tolist()


def test_rankers_learn_from_chunks(tiny_encoder, small_corpus, tmp_path):
    frozen = {"encoder": f"frozen:{tiny_encoder}", "vectorizer": None, **SMALL}
    corpus, labels = [f"the the the the the the {text}" for text in small_corpus[0]], small_corpus[1]
    scores = [
        XRTransformer(long_texts=long_texts, cache_dir=str(tmp_path), **frozen)
        .fit(corpus, labels)
        .score(corpus, labels)
        for long_texts in ("truncate", "chunks")
    ]
    assert scores[1] > scores[0]  # what tells the labels stands beyond the first chunk


def test_long_texts_is_checked(small_corpus):
    with pytest.raises(InputError, match="long_texts"):
        XRTransformer(encoder="static:8", long_texts="chunk", **SMALL).fit(*small_corpus)
