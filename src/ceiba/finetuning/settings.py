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
from ceiba.linear.negatives import NEGATIVES

_STEP_GROWTH, _PROTOTYPE_STEP_GROWTH = 4, 16  # the factor of the steps from one level to the next


@dataclass(frozen=True)
class FineTuningSettings:
    """How an encoder is fine-tuned, level by level."""

    epochs: float = setting(
        1.0,
        POSITIVE,
        doc="Passes over the texts, of all levels together. Each level has four times the steps of the level above, "
        "and a level of prototypes (`prototype_max_positives`) sixteen times.",
    )
    steps: int | Sequence[int] | None = setting(
        None,
        Exactly(None),
        COUNT,
        JsonList(Interval(int, 0, None)),
        doc="Steps in place of `epochs`: of all levels together, or a list with the steps of each level. A level of 0 "
        "steps is skipped.",
    )
    finetuning_loss: str = setting(
        "softmax",
        Options("softmax", "squared_hinge"),
        doc="The loss of all levels: cross-entropy over the candidates of a text, or the squared hinge of the linear "
        'solver for each candidate. With "squared_hinge" every level has trained weights: `prototype_max_positives` '
        "and `logit_adjustment` have no effect, and label texts are used in ranking only.",
    )
    logit_scale: float = setting(
        20.0,
        POSITIVE,
        doc='The factor of cosines with the loss "softmax": the inverse of a temperature. Trained weights have this '
        "length at the first step.",
    )
    head_init: str = setting(
        "auto",
        Options("auto", "centroid", "linear", "random"),
        doc='The weights of a trained head at the first step of its level. "centroid": the mean embedding of the '
        'positives of each node. "linear": the weights of the linear solver on the newest embeddings. "random": '
        'small random numbers, as in the X-Transformer paper (Chang et al., KDD 2020). "auto": "centroid" with '
        '"softmax", "linear" with "squared_hinge".',
    )
    batch_size: int = setting(
        32,
        COUNT,
        doc="Texts per step. When memory runs out, the step is made in smaller parts with the same result.",
    )
    gradient_accumulation_steps: int = setting(
        1,
        COUNT,
        doc="Parts of a step, computed one after the other. More parts need less memory and give the same gradients.",
    )
    learning_rate: float = setting(
        1e-4,
        POSITIVE,
        doc="The peak learning rate of the encoder. The rate rises over the warm-up, then falls to 0 over all levels.",
    )
    head_learning_rate: float = setting(5e-3, POSITIVE, doc="The peak learning rate of the heads.")
    prototype_max_positives: float = setting(
        100.0,
        NOT_NEGATIVE,
        doc="Levels whose nodes have fewer positives than this on average have prototypes in place of trained weights, "
        "except the first level. Trained weights would overfit there. The prototype of a node is the mean embedding "
        "of its other texts, and only the encoder is trained, with a softmax over all nodes. Levels of more than "
        "32,768 nodes (with a static encoder 2,048) have a softmax over a sample of that size (sampled softmax, Jean "
        "et al., ACL 2015). A level at which most texts share no node with another text is skipped. 0: all levels "
        "have trained weights.",
    )
    logit_adjustment: float = setting(
        0.5,
        NOT_NEGATIVE,
        doc="At levels of prototypes, the factor of log(1 + n / 20) in the margin of a node of n texts. The encoder "
        'then need not learn which nodes are frequent, and separates rare nodes better (Menon et al., "Long-tail '
        'learning via logit adjustment", ICLR 2021). 0: no adjustment.',
    )
    warmup_ratio: float = setting(0.1, SHARE, doc="The share of all steps in which learning rates rise.")
    weight_decay: float = setting(
        0.01, NOT_NEGATIVE, doc="Weight decay of the encoder (AdamW). The vectors of a static encoder have none."
    )
    max_grad_norm: float = setting(
        1.0, POSITIVE, doc="The largest norm of the encoder's gradients. Longer ones are scaled down."
    )
    freeze_embeddings: bool = setting(
        True, Flag(), doc="Do not train the token embeddings. The vectors of a static encoder are always trained."
    )
    lora_rank: int | None = setting(
        None,
        Exactly(None),
        COUNT,
        doc="The rank of low-rank adapters (LoRA), which are trained in place of the weight matrices and merged at the "
        "end. They need less memory and a learning rate about ten times as high. Needs the extra ceiba[lora].",
    )
    wise_ft_alpha: float = setting(
        1.0,
        SHARE,
        doc="The share of the fine-tuned weights in the final weights. The rest is the share of the pretrained weights "
        "(WiSE-FT, Wortsman et al., CVPR 2022). 1: the fine-tuned weights alone. 0.5, the mean of both, is worth a try "
        "for short texts and rare labels.",
    )
    finetuning_negatives: str = setting(
        "tfn+man",
        Options(*NEGATIVES),
        doc="The clusters whose children are the shortlist of a text below the first level: the clusters of its labels "
        "(teacher-forced), those that a linear matcher finds on embeddings and TF-IDF (matcher-aware), or both.",
    )
    negatives_beam_size: int = setting(10, COUNT, doc="Clusters that the linear matcher finds for a text.")
    validation_fraction: float = setting(
        0.0,
        Interval(float, 0, 0.5),
        doc="The share of the texts that are held out of fine-tuning for validation. The rankers are trained on them. "
        "The weights with the best validation loss are kept.",
    )
    patience: int = setting(
        3,
        COUNT,
        doc="With `validation_fraction`: the fine-tuning of a level stops after this many evaluations without a better "
        "validation loss. A level has 20 evaluations.",
    )
    checkpoint_seconds: float = setting(
        300.0, NOT_NEGATIVE, doc="Seconds between checkpoints. One more is written at the end of each level."
    )

    def chosen_head_init(self) -> str:
        """Return `head_init`, with "auto" resolved by the loss."""
        if self.head_init != "auto":
            return self.head_init
        return "centroid" if self.finetuning_loss == "softmax" else "linear"

    def steps_per_level(self, n_instances: int, trained: Sequence[bool], rare: Sequence[bool]) -> list[int]:
        """Divide the steps of training among the levels.

        A sequence of `steps` is returned as it is. Otherwise each level gets four times the steps of the level above,
        and a level of prototypes sixteen times.

        Parameters
        ----------
        n_instances : int
            N.
        trained : sequence of bool
            Per level, whether it is trained at all.
        rare : sequence of bool
            Per level, whether its nodes have too few positives for trained weights.
        """
        if self.steps is not None and not isinstance(self.steps, int):
            return list(self.steps)
        total = self.steps if self.steps is not None else max(1, round(self.epochs * n_instances / self.batch_size))
        growth = np.cumprod([_PROTOTYPE_STEP_GROWTH if is_rare else _STEP_GROWTH for is_rare in rare])
        shares = np.cumsum(growth * np.asarray(trained, int))
        ends = [round(total * share / shares[-1]) for share in shares.tolist()]
        return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
