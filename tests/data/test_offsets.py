"""Offsets of lists, the row of each entry, and ranges."""

from __future__ import annotations

import numpy as np

from ceiba.data.offsets import offsets, ranges, row_numbers


def test_offsets_and_rows_of_lists_some_of_them_empty():
    ptr = offsets([2, 0, 3])
    assert ptr.dtype == np.int64
    assert ptr.tolist() == [0, 2, 2, 5]
    assert row_numbers(ptr).tolist() == [0, 0, 2, 2, 2]


def test_no_lists():
    assert offsets([]).tolist() == [0]
    assert len(row_numbers(offsets([]))) == 0
    assert len(ranges(np.zeros(0, int), np.zeros(0, int))) == 0


def test_ranges_stand_one_after_the_other():
    assert ranges(np.array([7, 3, 0]), np.array([2, 0, 3])).tolist() == [7, 8, 0, 1, 2]
