"""Prototypes and sampled softmax against the slow, obvious way."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.data.instances import InstanceLists
from ceiba.finetuning.losses import shared_softmax
from ceiba.finetuning.prototypes import (
    FEW_TEXTS,
    PrototypeHead,
    PrototypeObjective,
    has_shared_positives,
    membership_matrix,
)
from ceiba.finetuning.sampled_softmax import SampledCandidates
from ceiba.finetuning.shortlist import Shortlist

N, SCALE, ADJUSTMENT = 12, 20.0, 3.0


def example(seed, held_out=2, most=4):
    """Return rows trained on, embeddings of all, which nodes are whose, the batch's candidates, and nodes' members."""
    rng = np.random.default_rng(seed)
    child_ptr = np.concatenate([[0], np.cumsum(rng.integers(0, 4, 5))]).astype(np.int64)
    child_ptr[-1] += child_ptr[-1] == 0  # at least one node
    shape = N, int(child_ptr[-1])
    Y = sp.csr_array(((rng.random(shape) < 0.25) * rng.integers(1, 4, shape)).astype(np.float32))
    M = sp.csr_array((rng.random((N, 5)) < 0.4).astype(np.float32))
    E = rng.normal(size=(N, 4)).astype(np.float32)
    E /= np.linalg.norm(E, axis=1, keepdims=True)
    trained_on = np.sort(rng.permutation(N)[held_out:])
    sampled = SampledCandidates(Shortlist(child_ptr, M, Y), Y, most, seed)
    return trained_on, E, Y.toarray(), M.toarray(), child_ptr, sampled, membership_matrix(trained_on, Y)


def others(Y, trained_on, row, node):
    """Return the rows that a node is the mean of, as a row sees it."""
    return [other for other in trained_on if Y[other, node] and other != row]


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(deadline=None)
def test_candidates_are_the_positives_of_the_batch_and_a_sample(seed, most):
    _, _, Y, M, child_ptr, sampled, _ = example(seed, most=most)
    batch = np.random.default_rng(seed).permutation(N)[:5]
    near = {n for p in np.flatnonzero(M[batch].any(0)) for n in range(child_ptr[p], child_ptr[p + 1])}
    own = set(np.flatnonzero(Y[batch].any(0)).tolist())
    whole = sampled.candidates(batch, batch)
    for part in (batch, *np.split(batch, [2])):
        nodes, log_importance_weight, row, column, relevance = sampled.candidates(part, batch)
        assert np.array_equal(nodes, whole.nodes)
        assert np.array_equal(log_importance_weight, whole.log_importance_weight)
        table = sp.csr_array((relevance, (row, column)), shape=(len(part), len(nodes)))
        assert (table.toarray() == Y[part][:, nodes]).all()
    drawn = set(whole.nodes.tolist())
    count = dict(zip(whole.nodes.tolist(), np.exp(whole.log_importance_weight).tolist(), strict=True))
    assert (np.diff(whole.nodes) > 0).all()
    if most >= Y.shape[1]:
        assert drawn == set(range(Y.shape[1]))
        assert (whole.log_importance_weight == 0).all()
        return
    assert own <= drawn
    assert len(drawn - own) <= most
    assert len((near - own) & drawn) == min(len(near - own), most // 2)
    assert all(count[node] == 1 for node in own)
    for others in (near - own, set(range(Y.shape[1])) - near - own):  # those drawn stand for those that are not
        if others & drawn:
            assert sum(count[node] for node in others & drawn) == pytest.approx(len(others))


def test_a_sample_has_the_sum_over_all_nodes_on_average():
    rng = np.random.default_rng(0)
    Y = sp.csr_array((rng.random((40, 60)) < 0.03).astype(np.float32))
    child_ptr = np.arange(0, 61, 6)
    matched = sp.csr_array((rng.random((40, 10)) < 0.1).astype(np.float32))
    shortlist, value, batch = Shortlist(child_ptr, matched, Y), rng.exponential(size=60), np.arange(6)
    for lists in (None, shortlist):
        sums = []
        for seed in range(2000):
            found = SampledCandidates(lists, Y, 20, seed).candidates(batch, batch)
            sums.append(float(np.exp(found.log_importance_weight) @ value[found.nodes]))
        assert abs(np.mean(sums) - value.sum()) < 4 * np.std(sums) / np.sqrt(len(sums))
        assert np.std(sums) > 1  # samples differ


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_margins_are_cosines_to_the_prototypes_without_the_text(seed):
    trained_on, E, Y, _, _, sampled, members = example(seed)
    rng = np.random.default_rng(seed)
    head = PrototypeHead(E, members, SCALE, ADJUSTMENT)
    n_texts = Y[trained_on].astype(bool).sum(0)
    for _ in range(3):  # after each batch the means are of the newest embeddings
        batch = rng.permutation(N)[:5]
        new = rng.normal(size=(5, 4)).astype(np.float32)
        new /= np.linalg.norm(new, axis=1, keepdims=True)
        nodes, *own = map(torch.from_numpy, sampled.candidates(batch, batch))
        leaf = torch.from_numpy(new).requires_grad_()
        margins = head(leaf, nodes, batch)
        for i, row in enumerate(batch):
            for j, node in enumerate(nodes.tolist()):
                if len(others(Y, trained_on, row, node)):
                    mean = E[others(Y, trained_on, row, node)].sum(0)
                    expected = SCALE * new[i] @ mean / np.linalg.norm(mean)
                    expected += ADJUSTMENT * np.log(1 + n_texts[node] / FEW_TEXTS)
                    assert margins[i, j].item() == pytest.approx(expected, abs=2e-3)
                else:
                    assert margins[i, j].item() == -np.inf
        loss = shared_softmax(margins, *own)
        loss.backward()
        assert loss.isfinite()
        assert leaf.grad.isfinite().all()
        head.update(batch, new)
        E[batch] = new
    kept = np.isin(np.arange(N), trained_on)
    assert np.allclose(head.sums.numpy(), (Y.astype(bool) * kept[:, None]).T @ E, atol=1e-5)
    assert PrototypeObjective(head, sp.csr_array(Y)).optimizer(0.1) is None


def test_a_text_alone_in_its_nodes_gives_no_gradient():
    E = np.eye(3, dtype=np.float32)
    Y = sp.csr_array(np.eye(3, dtype=np.float32))
    sampled, rows = SampledCandidates(None, Y, 3, 0), np.arange(3)
    nodes, *own = map(torch.from_numpy, sampled.candidates(rows, rows))
    leaf = torch.from_numpy(E.copy()).requires_grad_()
    loss = shared_softmax(PrototypeHead(E, membership_matrix(rows, Y), SCALE, ADJUSTMENT)(leaf, nodes, rows), *own)
    loss.backward()
    assert loss.item() == 0
    assert (leaf.grad == 0).all()


def test_prototypes_teach_where_most_texts_share_a_node():
    def lists(*columns):
        return InstanceLists(np.cumsum([0, *map(len, columns)]), np.concatenate(columns).astype(np.int32))

    assert has_shared_positives(lists([0, 1], [2], [3]), 4)
    assert not has_shared_positives(lists([0, 1], [2], [3], [4]), 5)
    assert not has_shared_positives(lists([0], [1]), 2)
