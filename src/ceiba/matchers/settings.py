"""How a matcher is fine-tuned; the estimators document the fields under the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MatcherSettings:
    """See `ceiba.XRTransformer` for what each field means."""

    epochs: float = 1.0
    steps: int | Sequence[int] | None = None
    loss: str = "softmax"
    scale: float = 20.0
    batch_size: int = 32
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    freeze_embeddings: bool = True
    averaging: float = 0.5
    negatives: str = "tfn+man"
    negative_beam: int = 10
    validation_fraction: float = 0.0
    patience: int = 3
    checkpoint_seconds: float = 300.0

    def steps_per_level(self, n_instances: int, n_levels: int) -> list[int]:
        """Divide the steps of training among the levels: each level gets twice those of the level above it.

        A sequence of `steps` is taken as it is; a level with 0 steps gets no fine-tuning.
        """
        if self.steps is not None and not isinstance(self.steps, int):
            return list(self.steps)
        total = self.steps if self.steps is not None else max(1, round(self.epochs * n_instances / self.batch_size))
        shares = [2**t for t in range(n_levels)]
        ends = [round(total * sum(shares[: t + 1]) / sum(shares)) for t in range(n_levels)]
        return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
