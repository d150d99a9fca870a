"""Levels of rare nodes: prototypes, the mean embedding of each node's texts, in place of trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ceiba.data.instances import InstanceLists
from ceiba.finetuning.candidates import SharedCandidates, nonzero_positions, row_entries, shared_candidates
from ceiba.finetuning.level import Level
from ceiba.finetuning.objective import SharedSoftmaxObjective

FEW_TEXTS = 20.0  # below about so many texts the frequency of a node is mostly chance
_TINY = 1e-6  # a length below which a node has no direction


class PrototypeHead(nn.Module):
    """Cosines to prototypes: the mean embedding of the texts of each node.

    The head has no trained weights. It follows the newest embedding of each text. A text is left out of the prototypes
    that it is compared with: a node of few texts would be near it whatever the encoder does. A node without other texts
    is no candidate of its one text, and its margin is -inf.

    Parameters
    ----------
    embeddings : ndarray of shape (N, d), float32
        The newest embedding of each text. Change it after the call of `update`.
    members : csr_array of shape (N, K)
        Ones at the nodes of each text that takes part in prototypes (`membership_matrix`).
    scale : float
        The factor of cosines: the inverse of the softmax's temperature.
    adjustment : float
        The factor of log(1 + n / 20) in the margin of a node of n texts.
    sums : ndarray of shape (K, d), float32, or None, default=None
        The sum of the embeddings of each node, where a checkpoint has it.

    References
    ----------
    Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017: the mean of a class's other
    examples as its classifier.

    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021: logarithms of frequencies in the training loss.
    """

    _is_single: Tensor  # (K,), whether a node has one text
    _offset: Tensor  # (K,), added to margins: -inf where a node has no text
    _factor: Tensor  # (K,), turns the product with a sum into a margin

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
        self.register_buffer("_is_single", n_texts == 1, persistent=False)
        self.register_buffer("_offset", offset, persistent=False)
        # kept between steps: the lengths of all sums take as long as a step of a small encoder
        self.register_buffer("_factor", self._factor_of(self.sums), persistent=False)

    def forward(self, embeddings: Tensor, nodes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        """Return the margins (B, S) of embeddings (B, d) of texts `rows` and of nodes (S,)."""
        sums = self.sums if len(nodes) == len(self.sums) else _rows(self.sums, nodes)
        offset = self._offset[nodes]
        margins = torch.addcmul(offset, embeddings @ sums.T, self._factor[nodes])
        positions = nonzero_positions(self._members, rows, nodes.cpu().numpy())
        row, column, _ = (torch.from_numpy(a).to(sums.device) for a in positions)
        previous = torch.from_numpy(self._embeddings[rows]).to(sums.device)  # the part of each text in the sums
        others = nn.functional.normalize(_rows(sums, column) - _rows(previous, row), dim=1)
        without_text = self._scale * (embeddings[row] * others).sum(1) + offset[column]
        return margins.index_put_((row, column), without_text.masked_fill(self._is_single[nodes[column]], -torch.inf))

    def update(self, rows: NDArray[np.intp], embeddings: NDArray[np.float32]) -> None:
        """Add the change of some embeddings to the sums, before the new ones replace the old ones."""
        row, entries = row_entries(self._members, rows)
        nodes = torch.from_numpy(self._members.indices[entries].astype(np.int64)).to(self.sums.device)
        change = torch.from_numpy((embeddings - self._embeddings[rows])[row]).to(self.sums.device)
        self.sums.index_add_(0, nodes, change)
        self._factor[nodes] = self._factor_of(_rows(self.sums, nodes))

    def _factor_of(self, sums: Tensor) -> Tensor:
        """Return the scale over the lengths of some sums. It turns products with the sums into margins."""
        lengths = torch.linalg.vector_norm(sums, dim=1)  # without the squares of all entries, a second K x d matrix
        return self._scale / lengths.clamp(min=_TINY)


class PrototypeObjective(SharedSoftmaxObjective):
    """Softmax over all nodes of the level, with prototypes as their weights.

    Parameters
    ----------
    head : PrototypeHead
    positives : csr_array of shape (N, K)
        The relevance of each text to its nodes.
    """

    head: PrototypeHead

    def __init__(self, head: PrototypeHead, positives: sp.csr_array):
        super().__init__(head, positives.shape[1])
        self._positives, self._nodes = positives, np.arange(positives.shape[1])

    @classmethod
    def from_level(cls, level: Level, checkpoint: Mapping[str, Tensor] | None) -> Self:
        """Return the objective of a level."""
        return cls(prototype_head(level, checkpoint), level.positives)

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return all nodes."""
        return shared_candidates(self._positives, rows, self._nodes)

    def update(self, rows: NDArray[np.intp], embeddings: NDArray[np.float32]) -> None:
        """Move the prototypes."""
        self.head.update(rows, embeddings)


def prototype_head(level: Level, checkpoint: Mapping[str, Tensor] | None) -> PrototypeHead:
    """Return the head of a level: from the newest embeddings, or with the sums of a checkpoint."""
    members = membership_matrix(level.train_rows, level.positives)
    sums = None if checkpoint is None else checkpoint["head.sums"].numpy()
    return PrototypeHead(level.embeddings, members, level.settings.logit_scale, level.settings.logit_adjustment, sums)


def _rows(matrix: Tensor, positions: Tensor) -> Tensor:
    """Return some rows, several times faster on a CPU than ``matrix[positions]``."""
    return matrix.index_select(0, positions)


def membership_matrix(rows: NDArray[np.intp], positives: sp.csr_array) -> sp.csr_array:
    """Return ones at the nodes of some texts, and nothing in the rows of the others: (N, K)."""
    selected = np.zeros(positives.shape[0], bool)
    selected[rows] = True
    sizes = np.diff(positives.indptr)
    nodes = positives.indices[np.repeat(selected, sizes)]
    ptr = np.concatenate([[0], np.cumsum(sizes * selected)])
    return sp.csr_array((np.ones(len(nodes), np.float32), nodes, ptr), shape=positives.shape)


def has_shared_positives(positives: InstanceLists, n_instances: int) -> bool:
    """Return whether at least half of the texts share a node with another text. Else prototypes teach little."""
    shared = np.diff(positives.ptr) > 1
    return 2 * len(np.unique(positives.indices[np.repeat(shared, np.diff(positives.ptr))])) >= n_instances
