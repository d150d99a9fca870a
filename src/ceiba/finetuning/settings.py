"""How a matcher is fine-tuned; the estimators document the fields under the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HEAD_INITS = ("auto", "centroid", "linear", "random")

_GROWTH, _GROWTH_OF_MEANS = 4, 16  # of the steps from level to level


@dataclass(frozen=True)
class FineTuningSettings:
    """See `ceiba.XRTransformer` for what each field means."""

    epochs: float = 1.0
    steps: int | Sequence[int] | None = None
    finetuning_loss: str = "softmax"
    logit_scale: float = 20.0
    head_init: str = "auto"
    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-4
    head_learning_rate: float = 5e-3
    prototype_max_positives: float = 100.0
    logit_adjustment: float = 0.5
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    freeze_embeddings: bool = True
    lora_rank: int | None = None
    wise_ft_alpha: float = 1.0
    finetuning_negatives: str = "tfn+man"
    negatives_beam_size: int = 10
    validation_fraction: float = 0.0
    patience: int = 3
    checkpoint_seconds: float = 300.0

    def chosen_head_init(self) -> str:
        """Return what "auto" stands for: what a head of this loss needs to begin with."""
        if self.head_init != "auto":
            return self.head_init
        return "centroid" if self.finetuning_loss == "softmax" else "linear"

    def steps_per_level(self, n_instances: int, trained: Sequence[bool], rare: Sequence[bool]) -> list[int]:
        """Divide the steps of training among the levels.

        A sequence of `steps` is taken as it is. Else each level gets four times the steps of the one above it, and one
        whose weights are means sixteen times.

        Parameters
        ----------
        n_instances : int
            N.
        trained : sequence of bool
            Per level, whether it is trained on at all.
        rare : sequence of bool
            Per level, whether its nodes have too few positives for weights of their own.
        """
        if self.steps is not None and not isinstance(self.steps, int):
            return list(self.steps)
        total = self.steps if self.steps is not None else max(1, round(self.epochs * n_instances / self.batch_size))
        growth = np.cumprod([_GROWTH_OF_MEANS if few else _GROWTH for few in rare])
        shares = np.cumsum(growth * np.asarray(trained, int))
        ends = [round(total * share / shares[-1]) for share in shares.tolist()]
        return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
