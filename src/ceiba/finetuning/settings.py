"""How an encoder is fine-tuned. A field is a parameter of the Transformer models: it is declared here alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ceiba._params import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Exactly,
    Flag,
    Interval,
    JsonList,
    Options,
    setting,
)

_GROWTH, _GROWTH_OF_MEANS = 4, 16  # of the steps from level to level


@dataclass(frozen=True)
class FineTuningSettings:
    """How an encoder is fine-tuned, level by level."""

    epochs: float = setting(
        1.0,
        POSITIVE,
        doc="Passes over the texts, of all levels together. Each level has four times the steps of the one above, "
        "one of rare nodes (`prototype_max_positives`) sixteen times.",
    )
    steps: int | Sequence[int] | None = setting(
        None,
        Exactly(None),
        COUNT,
        JsonList(Interval(int, 0, None)),
        doc="Steps in place of `epochs`: of all levels together, or of each (0: a level is left out).",
    )
    finetuning_loss: str = setting(
        "softmax",
        Options("softmax", "squared_hinge"),
        doc="Of every level: cross-entropy over a text's candidates, or the linear solver's own loss for each of "
        'them. With "squared_hinge" every level has weights of its own, so `prototype_max_positives` and '
        "`logit_adjustment` do not count, and label texts take part in ranking, not in fine-tuning.",
    )
    logit_scale: float = setting(
        20.0,
        POSITIVE,
        doc='With "softmax", what cosines are multiplied by at the start of a level: the inverse of a temperature.',
    )
    head_init: str = setting(
        "auto",
        Options("auto", "centroid", "linear", "random"),
        doc="What the weights of a level's head are at its start. \"centroid\": the mean embedding of each node's "
        'positives. "linear": the linear solver\'s weights on the newest embeddings. "random": small random '
        'numbers, as X-Transformer was published (Chang et al., KDD 2020). "auto": "centroid" with "softmax", '
        '"linear" with "squared_hinge", which means do not suit.',
    )
    batch_size: int = setting(
        32,
        COUNT,
        doc="Texts per step. When memory runs out a step is made in smaller parts, with the same result.",
    )
    gradient_accumulation_steps: int = setting(
        1,
        COUNT,
        doc="Parts that a step is made in from the start, one after the other: less memory, the same gradients.",
    )
    learning_rate: float = setting(
        1e-4,
        POSITIVE,
        doc="The largest learning rate of the encoder: it rises over the warm-up, then falls to 0 over all levels.",
    )
    head_learning_rate: float = setting(5e-3, POSITIVE, doc="The same for the heads.")
    prototype_max_positives: float = setting(
        100.0,
        NOT_NEGATIVE,
        doc="Levels whose nodes have fewer positives than this on average, but for the first, have no weights of "
        "their own, which would fit single texts. A node's weights are then the mean embedding of its other texts, "
        "and only the encoder is trained, by a softmax over all nodes. Of more than 32,768 nodes (with a static "
        "encoder 2,048) so many are drawn at each step (sampled softmax, Jean et al., ACL 2015). A level at which "
        "most texts share no node with another is left out. 0: every level has weights.",
    )
    logit_adjustment: float = setting(
        0.5,
        NOT_NEGATIVE,
        doc="At levels of means, how much of the logarithm of a node's frequency, log(1 + n / 20) of n texts, is "
        "added to its margin in training. The encoder then need not learn which nodes are frequent, and tells rare "
        'ones apart better (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021). 0: nothing.',
    )
    warmup_ratio: float = setting(0.1, SHARE, doc="The share of all steps in which learning rates rise.")
    weight_decay: float = setting(
        0.01, NOT_NEGATIVE, doc="Of the encoder (AdamW), but for a static encoder's vectors, which have none."
    )
    max_grad_norm: float = setting(1.0, POSITIVE, doc="Gradients of the encoder are scaled down to this length.")
    freeze_embeddings: bool = setting(
        True, Flag(), doc="Leave the tokens' own vectors as they are, but for a static encoder, which is nothing else."
    )
    lora_rank: int | None = setting(
        None,
        Exactly(None),
        COUNT,
        doc="Train additions of this rank to the weight matrices and leave the weights themselves as they are "
        "(LoRA): less memory, and little that can be unlearned; it bears ten times the learning rate. They are added "
        "in at the end. Needs the extra ceiba[lora].",
    )
    wise_ft_alpha: float = setting(
        1.0,
        SHARE,
        doc="The share of the fine-tuned weights in the final ones; the rest is that of the pretrained weights "
        "(WiSE-FT, Wortsman et al., CVPR 2022). 1 takes the fine-tuned weights as they are, 0.5 the mean of both, "
        "for texts of few words and labels of few texts.",
    )
    finetuning_negatives: str = setting(
        "tfn+man",
        Options("tfn", "man", "tfn+man"),
        doc="Whose children a text is trained on below the first level: the clusters of its labels (teacher-forced), "
        "those that a linear matcher finds on embeddings and TF-IDF (matcher-aware), or both.",
    )
    negatives_beam_size: int = setting(10, COUNT, doc="Clusters that the matcher gives a text.")
    validation_fraction: float = setting(
        0.0,
        Interval(float, 0, 0.5),
        doc="Share of the texts held out of fine-tuning (not of the rankers). The best weights by their loss are kept.",
    )
    patience: int = setting(
        3,
        COUNT,
        doc="With held-out texts: fine-tuning of a level ends after this many evaluations (20 per level) without a "
        "better loss.",
    )
    checkpoint_seconds: float = setting(
        300.0, NOT_NEGATIVE, doc="Seconds between checkpoints; one is also written after each level."
    )

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
