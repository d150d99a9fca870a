"""Levels of rare nodes: a node's weights are the mean embedding of its other texts, and only the encoder is trained."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ceiba.data.instances import InstanceLists
from ceiba.finetuning.shortlist import SharedCandidates, Shortlist, places, shared_candidates, stored

THIN_DRAW = 16  # of so many nodes or more one drawn: too few of those near a text, but for a draw among these
FEW_TEXTS = 20.0  # up to about so many, how many a node has is chance, and its frequency counts as the same
_FAR, _NEAR, _OWN = 1, 2, 3  # kinds of candidates
_TINY = 1e-6  # a length below which a node has no direction


class SampledCandidates:
    """Nodes of a level that all texts of a batch have as candidates: their own, and all others or a draw of them.

    Parameters
    ----------
    shortlist : Shortlist or None
        Where given, half of those drawn are of the batch's shortlists.
    own : csr_array of shape (N, K)
        The relevance of each text to its nodes (`by_instance`).
    most : int
        How many are drawn, where the level has more nodes. One that is drawn counts as often as there are nodes for one
        drawn, so that the sum over all nodes is met on average.
    seed : int

    References
    ----------
    Jean, Cho, Memisevic and Bengio, "On using very large target vocabulary for neural machine translation", ACL 2015,
    section 3: a softmax over a sample of the classes, each weighed by how probable it is to be drawn.
    """

    def __init__(self, shortlist: Shortlist | None, own: sp.csr_array, most: int, seed: int):
        self.n_nodes, self._own = own.shape[1], own
        self._shortlist, self._most, self._seed = shortlist, most, seed

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return the candidates of some rows of a batch: the same nodes for each, drawn for the whole batch.

        The draw depends on the seed and the batch alone, so parts of a batch and resumed trainings see the same.
        """
        if self.n_nodes <= self._most:
            return shared_candidates(self._own, rows, np.arange(self.n_nodes))
        rng = np.random.default_rng([self._seed, 6, *batch])
        near = np.empty(0, np.int64) if self._shortlist is None else self._shortlist.nodes(batch)
        n_far = self._most - min(len(near), self._most // 2)
        kind = np.zeros(self.n_nodes, np.int8)
        kind[rng.choice(self.n_nodes, n_far, replace=False, shuffle=False)] = _FAR
        kind[near] = 0
        kind[self._own.indices[stored(self._own, batch)[1]]] = _OWN
        near = near[kind[near] != _OWN]
        kind[rng.permutation(near)[: self._most // 2]] = _NEAR
        drawn = np.bincount(kind, minlength=_OWN + 1)
        of = np.array([0, self.n_nodes - len(near) - drawn[_OWN], len(near), drawn[_OWN]])
        nodes = np.flatnonzero(kind)
        log_count = np.log(np.maximum(of, 1) / np.maximum(drawn, 1)).astype(np.float32)
        return shared_candidates(self._own, rows, nodes, log_count[kind[nodes]])


class PrototypeHead(nn.Module):
    """Weights that are the mean embedding of each node's texts, but for the one that is looked at, times a scale.

    Nothing of it is trained: it follows the newest embedding of each text. Were a text not left out of its own nodes'
    means, a node of few texts would be near it whatever the encoder does. A node that no other text teaches, so that
    nothing is known of it but the text itself, is no candidate of that text: its margin is -inf.

    Parameters
    ----------
    embeddings : ndarray of shape (N, d), float32
        The newest of each text; to be changed after `moved` was told.
    members : csr_array of shape (N, K)
        Ones at the nodes of each text that nodes are means of (`membership_matrix`).
    scale : float
        What cosines are multiplied by: the inverse of the softmax's temperature.
    adjustment : float
        How much of the logarithm of a node's frequency, log(1 + n / 20) of n texts, is added to its margin.
    sums : ndarray of shape (K, d), float32, or None, default=None
        The sum of each node's embeddings, where it was kept.

    References
    ----------
    Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017: the mean of a class's other
    examples as its classifier.
    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021: logarithms of frequencies in the training loss.
    """

    _alone: Tensor  # (K,), whether a node has one text
    _offset: Tensor  # (K,), what is added to a margin: -inf where a node has no text
    _factor: Tensor  # (K,), what makes the product with a sum a margin

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        members: sp.csr_array,
        scale: float,
        adjustment: float,
        sums: NDArray[np.float32] | None = None,
    ):
        super().__init__()
        self._embeddings, self._members, self._scale = embeddings, members, scale
        sums = members.T @ embeddings if sums is None else sums
        self.sums = nn.Parameter(torch.from_numpy(np.ascontiguousarray(sums, np.float32)), requires_grad=False)
        n_texts = torch.from_numpy(np.bincount(members.indices, minlength=members.shape[1]).astype(np.float32))
        offset = (adjustment * (n_texts / FEW_TEXTS).log1p()).masked_fill(n_texts == 0, -torch.inf)
        self.register_buffer("_alone", n_texts == 1, persistent=False)
        self.register_buffer("_offset", offset, persistent=False)
        # kept from step to step: the lengths of all sums are as much work as a small encoder's step
        self.register_buffer("_factor", self._factor_of(self.sums), persistent=False)

    def forward(self, embeddings: Tensor, nodes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        """Return the margins (B, S) of embeddings (B, d) of texts `rows` and of nodes (S,)."""
        sums = self.sums if len(nodes) == len(self.sums) else _rows(self.sums, nodes)
        offset = self._offset[nodes]
        margins = torch.addcmul(offset, embeddings @ sums.T, self._factor[nodes])
        row, column, _ = (torch.from_numpy(a).to(sums.device) for a in places(self._members, rows, nodes.cpu().numpy()))
        before = torch.from_numpy(self._embeddings[rows]).to(sums.device)  # what the sums have of each text
        others = nn.functional.normalize(_rows(sums, column) - _rows(before, row), dim=1)
        of_others = self._scale * (embeddings[row] * others).sum(1) + offset[column]
        return margins.index_put_((row, column), of_others.masked_fill(self._alone[nodes[column]], -torch.inf))

    def update(self, rows: NDArray[np.intp], embeddings: NDArray[np.float32]) -> None:
        """Take note of new embeddings of some texts, before they take the place of the old."""
        row, at = stored(self._members, rows)
        nodes = torch.from_numpy(self._members.indices[at].astype(np.int64)).to(self.sums.device)
        change = torch.from_numpy((embeddings - self._embeddings[rows])[row]).to(self.sums.device)
        self.sums.index_add_(0, nodes, change)
        self._factor[nodes] = self._factor_of(_rows(self.sums, nodes))

    def _factor_of(self, sums: Tensor) -> Tensor:
        """Return what makes the products with some sums margins: the scale over the sums' lengths."""
        lengths = torch.linalg.vector_norm(sums, dim=1)  # without squares of all, which are K x d once more
        return self._scale / lengths.clamp(min=_TINY)

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer | None:
        """Return None: there is nothing to optimise."""
        return None


def _rows(matrix: Tensor, places: Tensor) -> Tensor:
    """Return some rows, several times quicker on a processor than ``matrix[places]``."""
    return matrix.index_select(0, places)


def membership_matrix(rows: NDArray[np.intp], own: sp.csr_array) -> sp.csr_array:
    """Return ones at the nodes of some texts, given the nodes of all: (N, K)."""
    among = np.zeros(own.shape[0], bool)
    among[rows] = True
    sizes = np.diff(own.indptr)
    nodes = own.indices[np.repeat(among, sizes)]
    ptr = np.concatenate([[0], np.cumsum(sizes * among)])
    return sp.csr_array((np.ones(len(nodes), np.float32), nodes, ptr), shape=own.shape)


def has_shared_positives(positives: InstanceLists, n_instances: int) -> bool:
    """Return whether most texts share a node with another text, so that a level of means has something to say."""
    shared = np.diff(positives.ptr) > 1
    return 2 * len(np.unique(positives.indices[np.repeat(shared, np.diff(positives.ptr))])) >= n_instances
