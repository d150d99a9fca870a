"""LoRA: low-rank adapters of an encoder's weight matrices, trained in their place and merged at the end."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn

from ceiba.encoders.encoder import Encoder
from ceiba.errors import InputError, MissingExtraError


def require_peft(purpose: str) -> None:
    """Raise MissingExtraError unless peft can be imported."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "peft", "lora", purpose) from None


def add_adapters(encoder: Encoder, rank: int) -> None:
    """Add an adapter to every linear layer of an encoder and freeze all other weights.

    The adapters are 0 at first. Their scale is 2 / rank, as usual, so that one learning rate suits all ranks.

    Raises
    ------
    MissingExtraError
        When peft is not installed.
    InputError
        When the encoder has no linear layers.

    References
    ----------
    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
    """
    require_peft("lora_rank")
    from peft import LoraConfig, inject_adapter_in_model

    names = [name for name, module in encoder.network.named_modules() if _is_linear(module)]
    if not names:
        raise InputError("lora_rank: the encoder has no linear layers, which adapters need.")
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out", category=UserWarning)  # GPT-2's transposed layers
        inject_adapter_in_model(config, encoder.network)
    for name, parameter in encoder.network.named_parameters():
        parameter.requires_grad_("lora_" in name)


def merge_adapters(encoder: Encoder, share: float = 1.0) -> None:
    """Add a share of the adapters to the weights, and remove the adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    network = encoder.network
    adapted: list[tuple[str, Any]] = [(n, m) for n, m in network.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, module in adapted:
        module.scale_layer(share)
        module.merge()
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, module.get_base_layer())
    if hasattr(network, "peft_config"):
        del network.peft_config
    network.requires_grad_(True)


def _is_linear(module: Any) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, (nn.Linear, Conv1D))
