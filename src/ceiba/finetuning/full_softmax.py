"""A trained head and a softmax over all nodes of a level, for levels of few nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from ceiba.finetuning.candidates import SharedCandidates, shared_candidates
from ceiba.finetuning.initial_weights import initial_weights
from ceiba.finetuning.level import Level
from ceiba.finetuning.linear_head import LinearHead
from ceiba.finetuning.objective import SharedSoftmaxObjective


class FullSoftmaxObjective(SharedSoftmaxObjective):
    """Softmax over all nodes of the level, with one trained linear classifier per node.

    Parameters
    ----------
    head : LinearHead
    positives : csr_array of shape (N, K)
        The relevance of each text to its nodes.
    """

    head: LinearHead

    def __init__(self, head: LinearHead, positives: sp.csr_array):
        super().__init__(head, positives.shape[1])
        self._positives, self._nodes = positives, np.arange(positives.shape[1])

    @classmethod
    def from_level(cls, level: Level, checkpoint: Mapping[str, Tensor] | None) -> Self:
        """Return the objective of a level."""
        return cls(LinearHead(*initial_weights(level, None, checkpoint), dense=True), level.positives)

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return all nodes."""
        return shared_candidates(self._positives, rows, self._nodes)

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer | None:
        """Return the head's optimizer."""
        return self.head.optimizer(learning_rate)
