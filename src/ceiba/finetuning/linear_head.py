"""A trained head: one linear classifier per node of a level."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class LinearHead(nn.Module):
    """One linear classifier per node of a level.

    Parameters
    ----------
    weight : ndarray of shape (K, d), float32
        The weights at the first step.
    bias : ndarray of shape (K,), float32
        The biases at the first step.
    dense : bool
        True: every text is trained on every node. False: gradients are sparse, for the nodes of a batch only.
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32], dense: bool):
        super().__init__()
        self.dense = dense
        self.weight = nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight)))
        self.bias = nn.Parameter(torch.from_numpy(np.ascontiguousarray(bias)[:, None]))

    def forward(self, embeddings: Tensor, nodes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        """Return the margins (B, S) of the embeddings (B, d) of texts `rows` and of their candidates `nodes` (B, S).

        A dense head ignores `nodes` and returns the margins of all nodes (B, K).
        """
        if self.dense:
            return embeddings @ self.weight.T + self.bias[:, 0]
        distinct, position = torch.unique(nodes, return_inverse=True)
        shared = 2 * len(distinct) <= nodes.numel()
        ids = distinct if shared else nodes
        weight = nn.functional.embedding(ids, self.weight, sparse=True)
        bias = nn.functional.embedding(ids, self.bias, sparse=True).squeeze(-1)
        if shared:  # one product with all nodes of the batch is faster than a copy of the weights for each text
            return (embeddings @ weight.T + bias).gather(1, position)
        return torch.bmm(weight, embeddings.unsqueeze(-1)).squeeze(-1) + bias

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer:
        """Return an optimizer. With sparse gradients its work grows with the nodes of a batch, not of the level."""
        if self.dense:
            return torch.optim.Adam(self.parameters(), lr=learning_rate)
        return torch.optim.SparseAdam(list(self.parameters()), lr=learning_rate)
