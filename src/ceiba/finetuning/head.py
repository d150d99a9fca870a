"""The linear head over the nodes of a level, and its loss."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class LevelHead(nn.Module):
    """One linear classifier per node of a level.

    Parameters
    ----------
    weight : ndarray of shape (K, d), float32
        Where training begins.
    bias : ndarray of shape (K,), float32
    everything : bool
        Every instance is trained on every node. If not, gradients are kept for the nodes of a batch only.
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32], everything: bool):
        super().__init__()
        self.everything = everything
        self.weight = nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight)))
        self.bias = nn.Parameter(torch.from_numpy(np.ascontiguousarray(bias)[:, None]))

    def forward(self, embeddings: Tensor, nodes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        """Return the margins (B, S) of candidates `nodes` (B, S), from the embeddings (B, d) of texts `rows`."""
        if self.everything:
            return embeddings @ self.weight.T + self.bias[:, 0]
        found, place = torch.unique(nodes, return_inverse=True)
        shared = 2 * len(found) <= nodes.numel()
        ids = found if shared else nodes
        weight = nn.functional.embedding(ids, self.weight, sparse=True)
        bias = nn.functional.embedding(ids, self.bias, sparse=True).squeeze(-1)
        if shared:  # one product with all nodes of the batch takes less time than a copy of each text's own weights
            return (embeddings @ weight.T + bias).gather(1, place)
        return torch.bmm(weight, embeddings.unsqueeze(-1)).squeeze(-1) + bias

    def update(self, rows: NDArray[np.intp], embeddings: NDArray[np.float32]) -> None:
        """Do nothing: weights follow from gradients alone."""

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer | None:
        """Return an optimiser whose work goes with the nodes of a batch, not with all of the level."""
        if self.everything:
            return torch.optim.Adam(self.parameters(), lr=learning_rate)
        return torch.optim.SparseAdam(list(self.parameters()), lr=learning_rate)


def weighted_squared_hinge(margins: Tensor, sign: Tensor, cost: Tensor) -> Tensor:
    """Return the sum over candidates of cost x max(0, 1 - sign x margin)^2.

    The loss of the linear solver too, so that a head that begins at its solution begins near this loss's optimum.
    Padding has cost 0: it adds nothing, to the loss or to the gradient.

    References
    ----------
    Zhang, Chang, Yu and Dhillon, "Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text
    Classification", NeurIPS 2021, section 3 (weighted squared hinge with relevance as cost).
    """
    return (cost * torch.relu(1 - sign * margins).square()).sum()


def softmax(margins: Tensor, sign: Tensor, cost: Tensor) -> Tensor:
    """Return the sum over texts of the cross-entropy between their positives and a softmax over their candidates.

    Positives count by their relevance, which is scaled to a sum of 1 per text; texts without any count nothing.
    """
    logarithms = torch.log_softmax(margins.masked_fill(cost == 0, -torch.inf), dim=-1)
    share = torch.where(sign > 0, cost, 0)
    share = share / share.sum(-1, keepdim=True).clamp(min=1e-9)
    return -(share * logarithms.masked_fill(share == 0, 0)).sum()


def shared_softmax(margins: Tensor, log_count: Tensor, row: Tensor, column: Tensor, relevance: Tensor) -> Tensor:
    """Return what `softmax` does, where all texts have the same candidates: without signs and costs of all of them.

    Positives are given by their places; a margin of -inf is of no candidate of that text. A candidate that stands for
    others too counts in the softmax as often.
    """
    own = margins[row, column]
    kept = own > -torch.inf
    row, own, relevance = row[kept], own[kept], relevance[kept]
    sums = relevance.new_zeros(len(margins)).index_add_(0, row, relevance)
    taught = sums > 0
    logarithms = torch.logsumexp((margins if taught.all() else margins[taught]) + log_count, dim=-1)
    return logarithms.sum() - (relevance / sums[row] * own).sum()


LOSSES = {"squared_hinge": weighted_squared_hinge, "softmax": softmax}
