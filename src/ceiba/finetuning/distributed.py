"""Several processes that fine-tune one encoder together, as `accelerate launch` or `torchrun` start them."""

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
    """Which of how many processes this one is.

    Every process holds the encoder, the head and all embeddings. Of a batch each encodes its own texts; embeddings are
    gathered, so that every process has the whole batch's loss and the head's whole gradient, and the gradients of the
    encoder are summed. Weights therefore stay the same in all of them, and are those of a single process up to
    rounding (and up to dropout, which draws other numbers).
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def here(device: torch.device) -> DistributedContext:
        """Join the processes that this one was started with, where there are any.

        Raises
        ------
        MissingExtraError
            When there are others and accelerate is not installed.
        """
        if not require_accelerate("Training in several processes"):
            return DistributedContext()
        from accelerate import PartialState

        state: Any = PartialState(cpu=device.type == "cpu")
        return DistributedContext(state.process_index, state.num_processes)

    def encode(self, encoder: Encoder, tokens: TokenRows, rows: NDArray[np.intp]) -> Tensor:
        """Return the embeddings of some rows, of which every process computes a part, ready for gradients."""
        if self.count == 1:
            return encoder(tokens, rows)
        own = rows[self.rank :: self.count]
        # a process without a text in the batch encodes one for nothing, so that all have a gradient to add
        part = encoder(tokens, own) if len(own) else encoder(tokens, rows[:1])[:0]
        return _Gathered.apply(part, len(rows), self)

    def embed(
        self, encoder: Encoder, tokens: TokenRows, *, out: NDArray[np.float32], progress: Callable[[int], Any] | None
    ) -> NDArray[np.float32]:
        """Do as ``encoder.embed`` does, each process a part of the texts."""
        if self.count == 1:
            return encoder.embed(tokens, out=out, progress=progress)
        own = encoder.embed(tokens.take(np.arange(self.rank, tokens.n_rows, self.count)), progress=progress)
        step = _ROWS_AT_ONCE - _ROWS_AT_ONCE % self.count
        for begin in range(0, tokens.n_rows, step):
            n = min(step, tokens.n_rows - begin)
            part = torch.from_numpy(own[begin // self.count :][: -(-(n - self.rank) // self.count)])
            out[begin : begin + n] = self.gather(part.to(encoder.device), n).cpu().numpy()
        return out

    def gather(self, part: Tensor, n: int) -> Tensor:
        """Put the rows of all processes together: row i is of process i modulo their number."""
        most = -(-n // self.count)
        padded = part.new_zeros((most, *part.shape[1:]))
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:n]

    def all_reduce(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every process the sum of all processes' gradients."""
        if self.count == 1:
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
        """Give every process the weights of the first."""
        if self.count > 1:
            for parameter in parameters:
                dist.broadcast(parameter.detach(), 0)

    def seed_step(self, seed: int, step: int) -> None:
        """Let dropout differ between processes, by the step alone, so that it is the same after a restart."""
        if self.count > 1:
            torch.manual_seed(int(np.random.SeedSequence([seed, 4, step, self.rank]).generate_state(1)[0]))


class _Gathered(torch.autograd.Function):
    """The rows of all processes. All have the same loss of them, so a process's own gradient is its own rows'."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, n: int, processes: DistributedContext) -> Tensor:
        ctx.own = slice(processes.rank, None, processes.count)
        return processes.gather(part, n)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0][ctx.own], None, None
