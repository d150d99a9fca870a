"""Packed vocabularies: the same as dictionaries, checked where they come from a file."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceiba.errors import InputError
from ceiba.features import TfidfVectorizer, load_vectorizer, save_vectorizer
from ceiba.features.vocabulary import PackedVocabulary

TEXTS = ["acute pain", "chronic pain in the ear", "Ménière's disease 12"]
texts = st.text(st.one_of(st.characters(), st.sampled_from("a\ud83d\ude00\0")), max_size=5)


@given(st.lists(texts, unique=True, max_size=6))
def test_it_is_the_dictionary(ngrams):
    packed = PackedVocabulary.of(ngrams)
    assert list(packed) == ngrams
    assert len(packed) == len(ngrams)
    assert packed == {ngram: i for i, ngram in enumerate(ngrams)}
    assert "not there" not in packed
    assert pickle.loads(pickle.dumps(packed)) == packed == copy.deepcopy(packed)


def loaded_from(folder):
    fitted = TfidfVectorizer(char_ngrams=(2, 3)).fit(TEXTS)
    return fitted, load_vectorizer(save_vectorizer(fitted, folder), folder)


def test_a_loaded_vectorizer_is_mapped_and_the_same(tmp_path):
    fitted, loaded = loaded_from(tmp_path)
    assert loaded.vocabularies_ == fitted.vocabularies_
    assert loaded.get_feature_names_out().tolist() == fitted.get_feature_names_out().tolist()
    for other in (loaded, pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert abs(other.transform(TEXTS) - fitted.transform(TEXTS)).nnz == 0
    for array in (loaded.idf_, *(v.utf8 for v in loaded.vocabularies_.values())):
        bases = [array]
        while isinstance(bases[-1], np.ndarray):
            bases.append(bases[-1].base)
        assert any(isinstance(base, np.memmap) for base in bases)


def test_a_loaded_vectorizer_is_saved_again_byte_by_byte(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, loaded = loaded_from(tmp_path / "a")
    save_vectorizer(loaded, tmp_path / "b")
    first, second = ((tmp_path / name / "vectorizer.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize(
    ("utf8", "ptr"),
    [
        (b"ab", [0, 1]),
        (b"ab", [1, 2]),
        (b"ab", [0, 2, 1, 2]),
        (b"ab", []),
        (b"\xff", [0, 1]),
        ("é".encode(), [0, 1, 2]),
        ("é".encode()[:1], [0, 1]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(utf8, ptr):
    with pytest.raises(InputError):
        PackedVocabulary(np.frombuffer(utf8, np.uint8), np.array(ptr, np.int64))
