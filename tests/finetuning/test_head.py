"""Heads and losses against what they stand for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.finetuning.linear_head import LinearHead
from ceiba.finetuning.losses import shared_softmax, softmax, weighted_squared_hinge

ROWS = np.arange(3)
margins = torch.tensor([[2.0, -0.5, 0.3], [0.1, 4.0, -2.0]], requires_grad=True)
sign = torch.tensor([[1.0, -1, 1], [1.0, -1, -1]])
cost = torch.tensor([[2.0, 1, 3], [1.0, 1, 0]])


def test_weighted_squared_hinge():
    expected = 2 * 0 + (1 - 0.5) ** 2 + 3 * (1 - 0.3) ** 2 + (1 - 0.1) ** 2 + (1 + 4.0) ** 2
    assert weighted_squared_hinge(margins, sign, cost).item() == pytest.approx(expected, rel=1e-6)


def test_softmax():
    first = np.exp([2.0, -0.5, 0.3])
    second = np.exp([0.1, 4.0])
    expected = -(0.4 * np.log(first[0] / first.sum()) + 0.6 * np.log(first[2] / first.sum()))
    expected -= np.log(second[0] / second.sum())
    assert softmax(margins, sign, cost).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [weighted_squared_hinge, softmax])
def test_padding_adds_nothing(loss):
    wide = [torch.nn.functional.pad(part, (0, 5), value=value) for part, value in ((margins, 9), (sign, -1), (cost, 0))]
    leaf = wide[0].detach().requires_grad_()
    value = loss(leaf, *wide[1:])
    assert value.item() == pytest.approx(loss(margins, sign, cost).item(), rel=1e-6)
    value.backward()
    assert (leaf.grad[:, 3:] == 0).all()
    assert leaf.grad[:, :3].isfinite().all()


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_softmax_of_shared_candidates_is_that_of_each_texts_own(seed):
    rng = np.random.default_rng(seed)
    first = torch.from_numpy(rng.normal(size=(4, 6)).astype(np.float32))
    leaves = [first.clone().requires_grad_() for _ in range(2)]
    relevance = (rng.random((4, 6)) < 0.3) * rng.integers(1, 4, (4, 6)).astype(np.float32)
    out = torch.from_numpy(rng.random((4, 6)) < 0.3)
    row, column = relevance.nonzero()
    count = np.where(
        (relevance > 0).any(0), 1, rng.integers(1, 4, 6)
    )  # a candidate that is nobody's stands for several
    own = map(torch.from_numpy, (np.log(count).astype(np.float32), row, column, relevance[row, column]))
    found = shared_softmax(leaves[0].masked_fill(out, -torch.inf), *own)
    cost = torch.from_numpy(np.where(relevance > 0, relevance, 1)).masked_fill(out, 0)
    sign = torch.from_numpy(np.where(relevance > 0, 1, -1))
    each = torch.from_numpy(np.repeat(np.arange(6), count))
    expected = softmax(leaves[1][:, each], sign[:, each], cost[:, each])
    assert found.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-5)
    for value in (found, expected):
        value.backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, atol=1e-6)


def test_text_without_labels_counts_nothing_in_softmax():
    leaf = margins.detach().requires_grad_()
    value = softmax(leaf, -torch.ones(2, 3), torch.ones(2, 3))
    value.backward()
    assert value.item() == 0
    assert (leaf.grad == 0).all()


@pytest.mark.parametrize("nodes", [[[0, 5, 2], [1, 1, 3], [4, 0, 0]], [[0, 5, 2], [5, 2, 2], [0, 0, 5]]])
def test_shortlist_margins_and_gradients_are_the_dense_ones(nodes):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    rows = torch.from_numpy(rng.normal(size=(3, 4)).astype(np.float32))
    nodes, out = torch.tensor(nodes), torch.from_numpy(rng.normal(size=(3, 3)).astype(np.float32))
    dense, picked = (LinearHead(weight, bias, dense=flag) for flag in (True, False))
    expected, found = torch.gather(dense(rows, nodes, ROWS), 1, nodes), picked(rows, nodes, ROWS)
    assert torch.allclose(found, expected, atol=1e-6)
    for margins in (expected, found):
        (margins * out).sum().backward()
    for own, of_dense in zip(picked.parameters(), dense.parameters(), strict=True):
        assert own.grad.is_sparse
        assert torch.allclose(own.grad.to_dense(), of_dense.grad, atol=1e-6)


def test_only_the_nodes_of_a_batch_are_moved():
    head = LinearHead(np.zeros((6, 4), np.float32), np.zeros(6, np.float32), dense=False)
    optimizer = head.optimizer(0.1)
    weighted_squared_hinge(
        head(torch.ones(1, 4), torch.tensor([[1, 3]]), ROWS), torch.ones(1, 2), torch.ones(1, 2)
    ).backward()
    optimizer.step()
    assert head.weight.abs().sum(1).nonzero()[:, 0].tolist() == [1, 3]
    assert head.bias.nonzero()[:, 0].tolist() == [1, 3]
