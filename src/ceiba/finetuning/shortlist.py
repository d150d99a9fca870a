"""A trained head on the shortlist of each text: the children of the nodes that the text is matched to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from ceiba.data.instances import InstanceLists
from ceiba.data.offsets import ranges
from ceiba.finetuning.candidates import by_instance, row_entries
from ceiba.finetuning.initial_weights import initial_weights
from ceiba.finetuning.level import Level
from ceiba.finetuning.linear_head import LinearHead
from ceiba.finetuning.losses import softmax, weighted_squared_hinge
from ceiba.finetuning.objective import Objective

LOSSES = {"squared_hinge": weighted_squared_hinge, "softmax": softmax}


class ShortlistCandidates(NamedTuple):
    """The shortlists of a batch, padded on the right: each (B, S)."""

    nodes: NDArray[np.int64]
    sign: NDArray[np.float32]  # 1 at positives, -1 elsewhere
    cost: NDArray[np.float32]  # 0 at padding, the relevance at positives, 1 elsewhere


class Shortlist:
    """The children of the nodes that each text is matched to.

    Parameters
    ----------
    child_ptr : ndarray of shape (K_{t-1} + 1,), int64
        The children of each node above.
    parents : csr_array of shape (N, K_{t-1})
        M_t: an entry at the nodes above that each text is matched to.
    positives : csr_array of shape (N, K_t)
        The relevance of each text to its nodes.
    """

    def __init__(self, child_ptr: NDArray[np.int64], parents: sp.csr_array, positives: sp.csr_array):
        self.child_ptr, self.n_nodes = child_ptr, positives.shape[1]
        self._parents, self._positives = parents, positives

    @classmethod
    def of_level(cls, level: Level, matched: InstanceLists) -> Self:
        """Return the shortlists of a level."""
        return cls(level.child_ptr, by_instance(matched, level.n_instances), level.positives)

    def nodes(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the nodes in the shortlists of any of some texts, ascending."""
        parents = np.unique(self._parents.indices[row_entries(self._parents, rows)[1]])
        return ranges(self.child_ptr[parents], np.diff(self.child_ptr)[parents])

    def candidates(self, rows: NDArray[np.intp]) -> ShortlistCandidates:
        """Return the shortlists of some texts."""
        parent_row, entries = row_entries(self._parents, rows)
        parents = self._parents.indices[entries]
        sizes = np.diff(self.child_ptr)[parents]
        row = np.repeat(parent_row, sizes)
        nodes = ranges(self.child_ptr[parents], sizes)

        positive_row, entries = row_entries(self._positives, rows)
        positives, relevance = self._positives.indices[entries].astype(np.int64), self._positives.data[entries]
        keys, positive_keys = row * self.n_nodes + nodes, positive_row * self.n_nodes + positives
        found = np.searchsorted(positive_keys, keys)
        hit = np.append(positive_keys, -1)[found] == keys

        per_row = np.bincount(row, minlength=len(rows))
        column = np.arange(len(row)) - np.repeat(np.cumsum(per_row) - per_row, per_row)
        shape = (len(rows), max(1, int(per_row.max(initial=0))))
        padded = ShortlistCandidates(
            np.zeros(shape, np.int64), np.full(shape, -1, np.float32), np.zeros(shape, np.float32)
        )
        padded.nodes[row, column] = nodes
        padded.sign[row[hit], column[hit]] = 1
        padded.cost[row, column] = 1
        padded.cost[row[hit], column[hit]] = relevance[found[hit]]
        return padded


class ShortlistObjective(Objective):
    """Softmax or squared hinge over the shortlist of each text, with one trained linear classifier per node.

    Parameters
    ----------
    head : LinearHead
    shortlist : Shortlist
    matched : InstanceLists
        What `shortlist` was made from, for checkpoints.
    loss : {"softmax", "squared_hinge"}
    """

    head: LinearHead

    def __init__(self, head: LinearHead, shortlist: Shortlist, matched: InstanceLists, loss: str):
        super().__init__(head, shortlist.n_nodes)
        self.shortlist, self._matched, self._loss = shortlist, matched, LOSSES[loss]

    @classmethod
    def from_level(cls, level: Level, checkpoint: Mapping[str, Tensor] | None) -> Self:
        """Return the objective of a level. At the first level all nodes are in every shortlist."""
        matched = level.match() if checkpoint is None else matched_from(checkpoint)
        weights = initial_weights(level, matched, checkpoint)
        head = LinearHead(*weights, dense=level.index == 0)
        return cls(head, Shortlist.of_level(level, matched), matched, level.settings.finetuning_loss)

    def loss(self, embeddings: Tensor, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> Tensor:
        """Return the loss of some texts, whatever batch they are part of."""
        nodes, sign, cost = (torch.from_numpy(a).to(embeddings.device) for a in self.shortlist.candidates(rows))
        return self._loss(self.head(embeddings, nodes, rows), sign, cost)

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer | None:
        """Return the head's optimizer."""
        return self.head.optimizer(learning_rate)

    def state(self) -> dict[str, Tensor]:
        """Return the head and the matched texts: linear matchers of later embeddings would find others."""
        return {**super().state(), **matched_state(self._matched)}


def matched_state(matched: InstanceLists) -> dict[str, Tensor]:
    """Return matched texts as tensors of a checkpoint."""
    return {"matched.ptr": torch.from_numpy(matched.ptr), "matched.indices": torch.from_numpy(matched.indices)}


def matched_from(checkpoint: Mapping[str, Tensor]) -> InstanceLists:
    """Return the matched texts of a checkpoint."""
    return InstanceLists(checkpoint["matched.ptr"].numpy(), checkpoint["matched.indices"].numpy())
