"""Processes that fine-tune one encoder together. `accelerate launch` or `torchrun` starts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from ceiba.encoders.encoder import Encoder
from ceiba.encoders.runtime import require_accelerate
from ceiba.encoders.tokens import TokenRows

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class DistributedContext:
    """The rank of this process and the number of processes.

    Every process holds the encoder, the head and all embeddings. Each encodes its own texts of a batch. The embeddings
    are gathered, so every process has the loss of the whole batch and the whole gradient of the head. The gradients of
    the encoder are summed. Weights therefore stay the same in all processes. They are those of a single process up to
    rounding and dropout.
    """

    rank: int = 0
    world_size: int = 1

    @staticmethod
    def from_environment(device: torch.device) -> DistributedContext:
        """Join the processes that this one was started with. Without others, return a context of one process.

        Raises
        ------
        MissingExtraError
            When there are other processes and accelerate is not installed.
        """
        if not require_accelerate("Training in several processes"):
            return DistributedContext()
        from accelerate import PartialState

        state: Any = PartialState(cpu=device.type == "cpu")
        return DistributedContext(state.process_index, state.num_processes)

    def encode(self, encoder: Encoder, tokens: TokenRows, rows: NDArray[np.intp]) -> Tensor:
        """Return the embeddings of some rows, with gradients. Every process computes a part of them."""
        if self.world_size == 1:
            return encoder(tokens, rows)
        own = rows[self.rank :: self.world_size]
        # a process without a text in the batch encodes one and drops it, so that every process has a gradient
        part = encoder(tokens, own) if len(own) else encoder(tokens, rows[:1])[:0]
        return _Gathered.apply(part, len(rows), self)

    def embed(
        self, encoder: Encoder, tokens: TokenRows, *, out: NDArray[np.float32], progress: Callable[[int], Any] | None
    ) -> NDArray[np.float32]:
        """Return what ``encoder.embed`` returns. Every process computes a part of it."""
        if self.world_size == 1:
            return encoder.embed(tokens, out=out, progress=progress)
        own = encoder.embed(tokens.take(np.arange(self.rank, tokens.n_rows, self.world_size)), progress=progress)
        step = _ROWS_AT_ONCE - _ROWS_AT_ONCE % self.world_size
        for begin in range(0, tokens.n_rows, step):
            n = min(step, tokens.n_rows - begin)
            part = torch.from_numpy(own[begin // self.world_size :][: -(-(n - self.rank) // self.world_size)])
            out[begin : begin + n] = self.gather(part.to(encoder.device), n).cpu().numpy()
        return out

    def gather(self, part: Tensor, n: int) -> Tensor:
        """Return the rows of all processes: row i is from the process of rank i modulo the world size."""
        n_each = -(-n // self.world_size)
        padded = part.new_zeros((n_each, *part.shape[1:]))
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.world_size)]
        dist.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:n]

    def all_reduce(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Sum the gradients over all processes."""
        if self.world_size == 1:
            return
        with torch.no_grad():
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            flat = torch.cat([g.to_dense().flatten() if g.is_sparse else g.flatten() for g in gradients])
            dist.all_reduce(flat)
            for parameter, gradient, own in zip(
                parameters, flat.split([g.numel() for g in gradients]), gradients, strict=True
            ):
                whole = gradient.view_as(parameter)
                parameter.grad = whole.to_sparse(1) if own.is_sparse else whole

    def broadcast(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Copy the weights of the first process to all others."""
        if self.world_size > 1:
            for parameter in parameters:
                dist.broadcast(parameter.detach(), 0)

    def seed_step(self, seed: int, step: int) -> None:
        """Seed dropout by the step and the rank: it differs between processes and is the same after a restart."""
        if self.world_size > 1:
            torch.manual_seed(int(np.random.SeedSequence([seed, 4, step, self.rank]).generate_state(1)[0]))


class _Gathered(torch.autograd.Function):
    """Gather rows with gradients. All processes have the same loss, so each takes the gradient of its own rows."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, n: int, context: DistributedContext) -> Tensor:
        ctx.own = slice(context.rank, None, context.world_size)
        return context.gather(part, n)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0][ctx.own], None, None
