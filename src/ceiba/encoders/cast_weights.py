"""Weights in the number format of matrix products, kept from call to call."""

from __future__ import annotations

import copy
import threading
from typing import Any

import torch
from torch import nn


class CastWeights:
    """Makes and keeps a copy of a network whose linear layers have their weights in a lower precision.

    Autocast casts all weights in every call, which takes longer than the rest of a short text's way through a small
    network. The copy gives the same bytes. All other parameters are those of the network itself, not copies.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[Any, nn.Module] | None = None

    def of(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Return the copy of a network as it is now; the network itself where changes of it could not be seen.

        Fused optimizers change weights without a new version, so that gradients say whether the network is trained.
        """
        parameters = list(network.parameters())
        if any(each.is_inference() or each.grad is not None for each in parameters):
            return network
        state = dtype, [(id(each), each.data_ptr(), each._version) for each in parameters]
        made = self._made
        if made is None or made[0] != state:
            with self._lock:
                made = self._made
                if made is None or made[0] != state:
                    made = self._made = state, _cast(network, dtype)
        return made[1]

    def forget(self) -> None:
        """Make the copy anew when it is needed next."""
        self._made = None

    def __reduce__(self) -> Any:
        return CastWeights, ()  # neither saved nor copied: it is made again when it is needed


def _cast(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    shared: dict[int, Any] = {id(each): each for each in (*network.parameters(), *network.buffers())}
    found = copy.deepcopy(network, shared)
    for module in found.modules():
        if type(module) is nn.Linear:
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(parameter.detach().to(dtype), requires_grad=False))
    return found
