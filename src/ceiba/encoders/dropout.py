"""Dropout that does not wait for its random numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_VALUES = 2**16  # of the 16 random bits that decide about an element
_PER_DRAW = 4  # elements that share 64 random bits


class Dropout(nn.Dropout):
    """Dropout as in torch, from a quarter of a random number per element on a processor.

    Torch draws a number per element there, in one thread whatever their number; of one thread's training step of MiniLM
    that was a tenth. The share of elements that is dropped is `p` to the nearest of 65,536 parts. Reproducible
    as torch's is, by `torch.manual_seed`; other numbers come of a seed.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the input with elements set to zero, the others scaled up by as much; in training only."""
        kept = round((1 - self.p) * _VALUES)
        if not self.training or kept == _VALUES:
            return input
        if input.device.type != "cpu" or kept == 0:
            return super().forward(input)
        n = input.numel()
        bits = torch.empty(-(-n // _PER_DRAW), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
        mask = bits.view(torch.int16)[:n].view(input.shape) < kept - _VALUES // 2
        return input * mask * (_VALUES / kept)


def replace_dropout(network: nn.Module) -> None:
    """Put `Dropout` in the place of torch's everywhere in a network."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p).train(child.training))


def disable_attention_dropout(config: Any) -> None:
    """Set a network's dropout of attention weights to 0 in its configuration.

    Dropping them keeps torch from its fused attention on a processor and needs a random number per pair of tokens.
    """
    for name in ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop", "attn_dropout"):
        if isinstance(getattr(config, name, None), (int, float)):
            setattr(config, name, 0.0)
