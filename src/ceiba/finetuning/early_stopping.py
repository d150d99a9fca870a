"""Early stopping on the validation loss of a level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class EarlyStopping:
    """Stop when the validation loss no longer improves, and keep the best weights.

    Parameters
    ----------
    parameters : sequence of Parameter
        The weights that are trained.
    patience : int
        Evaluations without improvement after which training stops.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], patience: int):
        self.parameters, self.patience = list(parameters), patience
        self.best_loss, self.num_bad_evals = np.inf, 0
        self.best_weights: list[Tensor] = []

    def step(self, loss: float) -> bool:
        """Record a validation loss. Return whether training should stop."""
        if loss < self.best_loss:
            self.best_loss, self.num_bad_evals = loss, 0
            self.best_weights = [parameter.detach().clone() for parameter in self.parameters]
        else:
            self.num_bad_evals += 1
        return self.num_bad_evals >= self.patience

    def restore_best(self) -> None:
        """Go back to the best weights. Without an evaluation nothing changes."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.best_weights, strict=False):
                parameter.copy_(value)
