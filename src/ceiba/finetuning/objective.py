"""What a level of the tree is fine-tuned on: the interface that the trainer knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ceiba.finetuning.candidates import SharedCandidates
from ceiba.finetuning.level import Level
from ceiba.finetuning.losses import shared_softmax


class Objective(ABC):
    """Candidates, head, loss and update of one level.

    The trainer calls these methods and knows no subclass. A new objective is one new file and one line in
    `ceiba.finetuning.train.choose_objective`.

    Parameters
    ----------
    head : Module
        Computes margins from embeddings. Its parameters are part of checkpoints.
    n_nodes : int
        K, the nodes of the level.
    """

    def __init__(self, head: nn.Module, n_nodes: int):
        self.head, self.n_nodes = head, n_nodes

    @classmethod
    @abstractmethod
    def from_level(cls, level: Level, checkpoint: Mapping[str, Tensor] | None) -> Self:
        """Return the objective of a level, as it is at its first step or as a checkpoint has it.

        Parameters
        ----------
        level : Level
        checkpoint : mapping of str to Tensor, or None
            What `state` returned when the checkpoint was written.
        """

    @abstractmethod
    def loss(self, embeddings: Tensor, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> Tensor:
        """Return the loss of some texts of a batch, summed over them.

        Parameters
        ----------
        embeddings : Tensor of shape (B, d)
            Those of the texts `rows`.
        rows : ndarray of shape (B,)
            A part of the batch, or all of it.
        batch : ndarray
            All texts of the batch. Candidates depend on it, so a step in parts is the same step.
        """

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer | None:
        """Return the head's optimizer, or None where the head is not trained."""
        return None

    def update(self, rows: NDArray[np.intp], embeddings: NDArray[np.float32]) -> None:
        """Follow the new embeddings of a batch. The trainer calls this after each step, before it stores them."""
        return

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint needs: by default the parameters of the head."""
        return {f"head.{name}": parameter.detach() for name, parameter in self.head.named_parameters()}


class SharedSoftmaxObjective(Objective):
    """Base of the objectives with a softmax over candidates that all texts of a batch share."""

    @abstractmethod
    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return the candidates of some texts of a batch. The nodes depend on the batch alone."""

    def loss(self, embeddings: Tensor, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> Tensor:
        """Return the cross-entropy between the positives of the texts and a softmax over the candidates."""
        nodes, *positives = (torch.from_numpy(a).to(embeddings.device) for a in self.candidates(rows, batch))
        return shared_softmax(self.head(embeddings, nodes, rows), *positives)
