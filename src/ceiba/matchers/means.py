"""Levels of rare nodes: a node's weights are the mean embedding of its other texts, and only the encoder is trained."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ceiba.layers.instances import InstanceLists
from ceiba.matchers.shortlist import Candidates, Shortlist, by_instance, places, same_for_all, stored

ALL_NODES = 2**15  # up to so many a product with all of them takes little time beside an encoder's step
_TINY = 1e-12  # of a squared length, below which a node has no direction


class BatchNodes:
    """All nodes of a level, or the shortlists of a batch put together, as the candidates of each text of the batch.

    A node that no other text teaches, so that nothing is known of it but the text itself, is no candidate of that text.

    Parameters
    ----------
    shortlist : Shortlist or None
        None: all nodes are candidates.
    positives : InstanceLists of K lists
        The positives of each node; weights are relevance.
    n_instances : int
        N.
    trained_on : ndarray of int
        The rows that nodes are the means of.

    Attributes
    ----------
    members : csr_array of shape (N, K)
        Ones at the nodes of each row that is trained on.
    """

    everything = False

    def __init__(
        self, shortlist: Shortlist | None, positives: InstanceLists, n_instances: int, trained_on: NDArray[np.intp]
    ):
        self.n_nodes, self._shortlist = positives.n_nodes, shortlist
        self._own = by_instance(positives, n_instances)
        trained = np.zeros(n_instances, bool)
        trained[trained_on] = True
        sizes = np.diff(self._own.indptr)
        nodes = self._own.indices[np.repeat(trained, sizes)]
        self._n_texts = np.bincount(nodes, minlength=self.n_nodes)
        ptr = np.concatenate([[0], np.cumsum(sizes * trained)])
        self.members = sp.csr_array((np.ones(len(nodes), np.float32), nodes, ptr), shape=self._own.shape)

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> Candidates:
        """Return the candidates of some rows of a batch: the same nodes for each."""
        nodes = np.arange(self.n_nodes) if self._shortlist is None else self._shortlist.nodes(batch)
        found = same_for_all(self._own, rows, nodes)
        found.cost[:, self._n_texts[nodes] == 0] = 0
        row, column, _ = places(self.members, rows, nodes)
        alone = self._n_texts[nodes[column]] == 1
        found.cost[row[alone], column[alone]] = 0
        return found


class MeanHead(nn.Module):
    """Weights that are the mean embedding of each node's texts, but for the one that is looked at, times a scale.

    Nothing of it is trained: it follows the newest embedding of each text. Were a text not left out of its own nodes'
    means, a node of few texts would be near it whatever the encoder does.

    Parameters
    ----------
    embeddings : ndarray of shape (N, d), float32
        The newest of each text; to be changed after `moved` was told.
    members : csr_array of shape (N, K)
        Ones at the nodes of each text.
    scale : float
        What cosines are multiplied by: the inverse of the softmax's temperature.
    sums : ndarray of shape (K, d), float32, or None, default=None
        The sum of each node's embeddings, where it was kept.

    References
    ----------
    Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017: the mean of a class's other
    examples as its classifier.
    """

    loss: str | None = "softmax"

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        members: sp.csr_array,
        scale: float,
        sums: NDArray[np.float32] | None = None,
    ):
        super().__init__()
        self._embeddings, self._members, self._scale = embeddings, members, scale
        sums = members.T @ embeddings if sums is None else sums
        self.sums = nn.Parameter(torch.from_numpy(np.ascontiguousarray(sums, np.float32)), requires_grad=False)

    def forward(self, embeddings: Tensor, nodes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        """Return the margins (B, S) of embeddings (B, d) of texts `rows` and of nodes (1, S)."""
        sums = self.sums if nodes.shape[1] == len(self.sums) else self.sums[nodes[0]]
        margins = embeddings @ sums.T * sums.square().sum(1).clamp(min=_TINY).rsqrt()
        row, column, _ = (
            torch.from_numpy(a).to(sums.device) for a in places(self._members, rows, nodes[0].cpu().numpy())
        )
        before = torch.from_numpy(self._embeddings[rows]).to(sums.device)  # what the sums have of each text
        others = nn.functional.normalize(sums[column] - before[row], dim=1)
        return self._scale * margins.index_put((row, column), (embeddings[row] * others).sum(1))

    def moved(self, rows: NDArray[np.intp], embeddings: NDArray[np.float32]) -> None:
        """Take note of new embeddings of some texts, before they take the place of the old."""
        row, at = stored(self._members, rows)
        change = torch.from_numpy((embeddings - self._embeddings[rows])[row]).to(self.sums.device)
        self.sums.index_add_(0, torch.from_numpy(self._members.indices[at].astype(np.int64)).to(change.device), change)

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer | None:
        """Return None: there is nothing to optimise."""
        return None


def teaches(positives: InstanceLists, n_instances: int) -> bool:
    """Return whether most texts share a node with another text, so that a level of means has something to say."""
    shared = np.diff(positives.ptr) > 1
    return 2 * len(np.unique(positives.items[np.repeat(shared, np.diff(positives.ptr))])) >= n_instances
