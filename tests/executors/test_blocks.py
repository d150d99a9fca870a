"""Blocks of rows: their sizes, and the row at fault."""

import numpy as np
import pytest

from ceiba import XRLinear
from ceiba.cli.blocks import ModelPlace, fixed_blocks, pieces_of, rank_block
from ceiba.errors import ClusterError, InputError
from ceiba.executors import PieceContext


@pytest.mark.parametrize("sizes", [[10], [3, 3, 4], [1] * 10, [7, 3]])
def test_blocks_do_not_depend_on_how_a_file_is_read(sizes):
    rows = [str(number) for number in range(sum(sizes))]
    ends = np.cumsum(sizes).tolist()
    batches = [rows[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    assert list(fixed_blocks(batches, 4)) == [rows[:4], rows[4:8], rows[8:]]
    pieces = list(pieces_of(fixed_blocks(batches, 4), "t.jsonl"))
    assert [piece.arguments["first"] for piece in pieces] == [0, 4, 8]
    assert [piece.cost for piece in pieces] == [4, 4, 2]


def ask(folder, rows, **more):
    place = ModelPlace.of(folder)
    return rank_block(
        model=place, source="t.jsonl", k=1, beam_size=None, rows=rows, first=20, context=PieceContext(1), **more
    )


@pytest.fixture(scope="module")
def saved(small_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks") / "m"
    XRLinear(random_state=0).fit(*small_corpus).save(folder)
    return folder


def test_a_poisoned_row_is_named_with_its_file(saved):
    assert ask(saved, ["red apple", "old car"])["labels"].shape == (2, 1)
    with pytest.raises(InputError, match=r"t\.jsonl, row 23\b"):
        ask(saved, ["red apple", "old car", None, "a tree"])


def test_a_node_with_another_model_is_refused(saved, small_corpus, tmp_path):
    with pytest.raises(ClusterError, match=r"nowhere"):
        rank_block(
            model=ModelPlace(str(tmp_path / "nowhere"), ""), source="", k=1, beam_size=None, rows=["a"], first=0,
            context=PieceContext(1),
        )  # fmt: skip
    with pytest.raises(ClusterError, match="another model"):
        rank_block(
            model=ModelPlace(str(saved), "of another"), source="", k=1, beam_size=None, rows=["a"], first=0,
            context=PieceContext(1),
        )  # fmt: skip
