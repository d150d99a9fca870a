"""The candidates of a batch against the slow, obvious way."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.finetuning.shortlist import Shortlist


def draw(seed, n=12, parents=5):
    rng = np.random.default_rng(seed)
    child_ptr = np.concatenate([[0], np.cumsum(rng.integers(0, 4, parents))]).astype(np.int64)
    nodes = int(child_ptr[-1])
    M = sp.csr_array((rng.random((n, parents)) < 0.5).astype(np.float32))
    Y = sp.csr_array((rng.random((n, max(nodes, 1))) < 0.2) * rng.integers(1, 4, (n, max(nodes, 1)))).astype(np.float32)
    return child_ptr, M, Y


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_candidates(seed):
    child_ptr, M, Y = draw(seed)
    if child_ptr[-1] == 0:
        return
    shortlist = Shortlist(child_ptr, M, Y)
    rows = np.random.default_rng(seed).permutation(M.shape[0])[:7]
    found = shortlist.candidates(rows)
    for i, row in enumerate(rows):
        expected = [
            (node, 1.0 if Y[row, node] else -1.0, Y[row, node] or 1.0)
            for parent in M[[row]].indices
            for node in range(child_ptr[parent], child_ptr[parent + 1])
        ]
        real = found.cost[i] > 0
        triples = zip(found.nodes[i][real], found.sign[i][real], found.cost[i][real], strict=True)
        assert sorted(triples) == sorted(expected)
        assert (found.cost[i][~real] == 0).all()
        assert real.sum() == len(expected)


def test_the_first_level_is_everything():
    Y = sp.csr_array(np.eye(4, dtype=np.float32))
    shortlist = Shortlist(np.array([0, 4]), sp.csr_array(np.ones((4, 1), np.float32)), Y)
    found = shortlist.candidates(np.array([2, 0]))
    assert found.nodes.tolist() == [[0, 1, 2, 3]] * 2
    assert found.sign.tolist() == [[-1, -1, 1, -1], [1, -1, -1, -1]]


@pytest.mark.parametrize("rows", [[0], [1, 1]])
def test_text_without_labels_has_only_negatives(rows):
    Y = sp.csr_array(np.zeros((2, 3), np.float32))
    shortlist = Shortlist(np.array([0, 3]), sp.csr_array(np.ones((2, 1), np.float32)), Y)
    assert (shortlist.candidates(np.array(rows)).sign == -1).all()
