"""Texts as two arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceiba.data.packed_texts import PackedTexts
from ceiba.errors import InputError


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_come_back(texts):
    packed = PackedTexts.of(texts)
    assert list(packed) == texts
    again = PackedTexts(packed.utf8, packed.ptr)
    assert [again[row] for row in range(len(again))] == texts


def test_rows_outside_are_no_texts():
    packed = PackedTexts.of(["a", "b"])
    for row in (-1, 2):
        with pytest.raises(IndexError):
            packed[row]


def test_a_character_on_the_border_of_two_blocks_is_read():
    text = "a" * ((1 << 20) - 1) + "é" * 3
    assert PackedTexts.of([text])[0] == text


@pytest.mark.parametrize(
    ("utf8", "ptr"),
    [
        (b"abc", [0, 2]),
        (b"abc", [1, 3]),
        (b"abc", [0, 2, 1, 3]),
        (b"abc", []),
        (b"a\xc3", [0, 2]),
        (b"\xff", [0, 1]),
        (b"\xed\xa0\x80", [0, 3]),
        ("é".encode(), [0, 1, 2]),
    ],
)
def test_arrays_that_hold_no_texts_are_refused(utf8, ptr):
    with pytest.raises(InputError):
        PackedTexts(np.frombuffer(utf8, np.uint8), np.array(ptr, np.int64))


def test_arrays_of_other_types_are_refused():
    with pytest.raises(InputError):
        PackedTexts(np.zeros(2, np.int8), np.array([0, 2]))
    with pytest.raises(InputError):
        PackedTexts(np.zeros(2, np.uint8), np.array([0, 2], np.int32))
