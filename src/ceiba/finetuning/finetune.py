"""Joint fine-tuning of an encoder and the head of one level after the other."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ceiba.encoders.encoder import Encoder, mean_cosine
from ceiba.encoders.lora import add_adapters, merge_adapters
from ceiba.encoders.tokens import TokenRows, training_batches
from ceiba.errors import CollapseWarning
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.head import LOSSES, LevelHead, shared_softmax
from ceiba.finetuning.label_text import InBatchCandidates, TextHead
from ceiba.finetuning.prototypes import PrototypeHead, SampledCandidates
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.finetuning.shortlist import SharedCandidates, Shortlist

Shortlists = Shortlist | InBatchCandidates | SampledCandidates
Head = LevelHead | TextHead | PrototypeHead

_REPORTS = 20  # of loss and spread per level
_TINY = 1e-6  # a length that is none
_COLLAPSED = 0.9  # mean cosine from which texts are hardly told apart


@dataclass
class LevelReport:
    """What the fine-tuning of one level did."""

    level: int
    nodes: int
    steps: int
    texts_per_second: float = 0.0
    seconds: float = 0.0
    loss: list[float] = field(default_factory=list)
    mean_cosine: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)


class FineTuner:
    """An encoder in training: its optimiser, its place in the stream of batches, and the newest embedding of each text.

    Parameters
    ----------
    encoder : Encoder
    tokens : TokenRows of N rows
    settings : FineTuningSettings
    total_steps : int
        Of all levels together; the learning rate rises and falls over them.
    seed : int
    left_out : ndarray of int or None, default=None
        Rows neither to train on nor to validate with.
    processes : DistributedContext or None, default=None
        Those that train together; this one alone when None.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokens: TokenRows,
        settings: FineTuningSettings,
        total_steps: int,
        seed: int,
        left_out: NDArray[np.intp] | None = None,
        processes: DistributedContext | None = None,
    ):
        self.encoder, self.tokens, self.settings = encoder, tokens, settings
        self.processes = processes or DistributedContext()
        self.total_steps, self.seed = total_steps, seed
        self.step = 0  # over all levels
        self.embeddings = np.empty((tokens.n_rows, encoder.dim), np.float32)
        self.reports: list[LevelReport] = []
        # halved when memory runs out
        self.micro_batch = -(-settings.batch_size // settings.gradient_accumulation_steps)
        if settings.freeze_embeddings:
            encoder.freeze_embeddings()
        if settings.lora_rank is not None:
            add_adapters(encoder, settings.lora_rank)
            encoder.eval()  # the adapters too
        self.parameters = [p for p in encoder.parameters() if p.requires_grad]
        self.processes.broadcast(self.parameters)
        self.optimizers = encoder.optimizers(settings.learning_rate, settings.weight_decay)
        self.scaler = torch.amp.GradScaler(encoder.device.type, enabled=encoder.precision == "float16")
        self._warned = False
        self.best = Best([], settings.patience)
        self._pretrained: list[Tensor] = []  # as much memory as the weights, so only where they count in the end
        if settings.wise_ft_alpha < 1 and settings.lora_rank is None:
            self._pretrained = [parameter.detach().clone() for parameter in self.parameters]
        self._epoch: tuple[int, list[NDArray[np.intp]]] | None = None
        rows = np.setdiff1d(np.arange(tokens.n_rows), [] if left_out is None else left_out)
        n_held_out = int(settings.validation_fraction * len(rows))
        shuffled = np.random.default_rng([seed, 1]).permutation(rows)
        self.held_out, self.trained_on = np.sort(shuffled[:n_held_out]), np.sort(shuffled[n_held_out:])

    # ------------------------------------------------------------------ batches

    @property
    def batches_per_epoch(self) -> int:
        """Batches of one pass over the texts trained on."""
        return -(-len(self.trained_on) // self.settings.batch_size)

    def batch(self, number: int) -> NDArray[np.intp]:
        """Return the rows of a batch of the endless stream, which depends on the seed alone."""
        epoch, index = divmod(number, self.batches_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.default_rng([self.seed, 2, epoch])
            lengths = self.tokens.lengths[self.trained_on]
            self._epoch = epoch, training_batches(lengths, self.settings.batch_size, rng)
        return self.trained_on[self._epoch[1][index]]

    def _rate(self) -> float:
        """Return the share of the learning rate at this step: up over the warm-up, then linearly down to 0."""
        warm = max(1.0, self.settings.warmup_ratio * self.total_steps)
        return min((self.step + 1) / warm, (self.total_steps - self.step) / max(1.0, self.total_steps - warm), 1.0)

    # ------------------------------------------------------------------ a level

    def run_level(
        self,
        level: int,
        shortlist: Shortlists,
        head: Head,
        n_steps: int,
        *,
        first: int = 0,
        restore: Callable[[torch.optim.Optimizer | None, Best], Any] | None = None,
        progress: Callable[[int, str], Any] | None = None,
        after_step: Callable[[int, Head, torch.optim.Optimizer | None], Any] | None = None,
    ) -> LevelReport:
        """Fine-tune encoder and head on the shortlists of one level.

        Parameters
        ----------
        level : int
            From 1, for the report.
        shortlist : Shortlist, InBatchCandidates or SampledCandidates
        head : LevelHead, TextHead or PrototypeHead
            Changed in place.
        n_steps : int
        first : int, default=0
            The step to go on from.
        restore : callable or None, default=None
            ``restore(head_optimizer, best)``, called before the first step, to go on from a checkpoint.
        progress : callable or None, default=None
            ``progress(step, note)``, called after each step.
        after_step : callable or None, default=None
            ``after_step(steps_done, head, head_optimizer)``, for checkpoints.
        """
        if first and self.reports and self.reports[-1].level == level:
            report = self.reports[-1]
        else:
            report = LevelReport(level, shortlist.n_nodes, n_steps, mean_cosine=[mean_cosine(self.embeddings)])
            self.reports.append(report)
        optimizer = head.optimizer(self.settings.head_learning_rate)
        optimizers = [*self.optimizers, *([] if optimizer is None else [optimizer])]
        self.best = Best([*self.parameters, *head.parameters()], self.settings.patience)
        if restore is not None:
            restore(optimizer, self.best)
        tell = None if after_step is None else lambda done: after_step(done, head, optimizer)
        self.encoder.train()
        try:
            self._run_steps(report, shortlist, head, optimizers, n_steps, first, progress, tell)
        finally:
            self.encoder.eval()
        return report

    def _run_steps(
        self,
        report: LevelReport,
        shortlist: Shortlists,
        head: Head,
        optimizers: Sequence[torch.optim.Optimizer],
        n_steps: int,
        first: int,
        progress: Callable[[int, str], Any] | None,
        after_step: Callable[[int], Any] | None,
    ) -> None:
        started, texts, losses, recent = time.perf_counter(), 0, [], []
        every = max(1, n_steps // _REPORTS)
        for done in range(first, n_steps):
            rows = self.batch(self.step)
            self._set_rates(optimizers)
            losses.append(self._train_on(rows, shortlist, head, optimizers))
            recent.append(rows)
            texts += len(rows)
            self.step += 1
            if (done + 1) % every == 0 or done + 1 == n_steps:
                report.loss.append(float(np.mean(losses)))
                report.mean_cosine.append(mean_cosine(self.embeddings[np.concatenate(recent)]))
                self._warn_of_collapse(report)
                losses, recent = [], []
                if len(self.held_out):
                    report.validation_loss.append(self._validate(shortlist, head))
                    if self.best.over(report.validation_loss[-1]):
                        self.step += n_steps - done - 1
                        break
            if after_step is not None:
                after_step(done + 1)
            if progress is not None:
                rate = texts / (time.perf_counter() - started)
                shown = report.loss[-1] if report.loss else float(np.mean(losses))
                progress(done + 1, f"loss {shown:.3g}, {rate:.0f} texts/s")
        self.best.restore()
        report.seconds += time.perf_counter() - started
        report.texts_per_second = texts / max(1e-9, time.perf_counter() - started)

    def finish(self) -> None:
        """Go part of the way back to the weights that training began with, once it is over, and add in adapters.

        References
        ----------
        Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: the mean of pretrained and fine-tuned
        weights keeps what the encoder knew of texts unlike those trained on.
        """
        if self.settings.lora_rank is not None:
            merge_adapters(self.encoder, self.settings.wise_ft_alpha)
            return
        if not self._pretrained:
            return
        with torch.no_grad():
            for parameter, before in zip(self.parameters, self._pretrained, strict=True):
                parameter.lerp_(before, 1 - self.settings.wise_ft_alpha)

    def _set_rates(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        rate = self._rate()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group.setdefault("initial_lr", group["lr"])

    def _train_on(
        self,
        rows: NDArray[np.intp],
        shortlist: Shortlists,
        head: Head,
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> float:
        """Make one step on a batch, in parts where it does not fit into memory at once; return its mean loss."""
        self.processes.seed_step(self.seed, self.step)
        while True:
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            try:
                total, fresh = 0.0, []
                for part in np.array_split(rows, -(-len(rows) // (self.micro_batch * self.processes.count))):
                    embeddings = self.processes.encode(self.encoder, self.tokens, part)
                    loss = self._loss(embeddings, part, rows, shortlist, head) / len(rows)
                    self.scaler.scale(loss).backward()
                    fresh.append(embeddings.detach().cpu().numpy())
                    total += float(loss.detach())
                break
            except torch.OutOfMemoryError:
                if self.micro_batch == 1 or self.processes.count > 1:  # the others are past this part
                    raise
                self.micro_batch = -(-self.micro_batch // 2)
                torch.cuda.empty_cache()
            except Exception as error:  # what computes gradients is compiled when it is first needed
                if not self.encoder.stop_compiling(error):
                    raise
        self.processes.all_reduce(self.parameters)
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)
        _clip(self.parameters, self.settings.max_grad_norm)
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        newest = np.concatenate(fresh)
        head.update(rows, newest)
        self.embeddings[rows] = newest
        return total

    def _loss(
        self,
        embeddings: Tensor,
        rows: NDArray[np.intp],
        batch: NDArray[np.intp],
        shortlist: Shortlists,
        head: Head,
    ) -> Tensor:
        found = shortlist.candidates(rows, batch)
        loss = shared_softmax if isinstance(found, SharedCandidates) else LOSSES[self.settings.finetuning_loss]
        nodes, *own = (torch.from_numpy(array).to(self.encoder.device) for array in found)
        return loss(head(embeddings, nodes, rows), *own)

    @torch.no_grad()
    def _validate(self, shortlist: Shortlists, head: Head) -> float:
        self.encoder.eval()
        total = 0.0
        for begin in range(0, len(self.held_out), self.settings.batch_size):
            rows = self.held_out[begin : begin + self.settings.batch_size]
            for part in np.array_split(rows, -(-len(rows) // self.micro_batch)):
                embeddings = self.encoder(self.tokens, part)
                total += float(self._loss(embeddings, part, rows, shortlist, head))
        self.encoder.train()
        return total / len(self.held_out)

    def _warn_of_collapse(self, report: LevelReport) -> None:
        before, now = self.reports[0].mean_cosine[0], report.mean_cosine[-1]
        if not self._warned and now > _COLLAPSED and 1 - now < (1 - before) / 2:
            self._warned = True
            warnings.warn(
                f"The encoder is collapsing: the mean cosine between embeddings rose from {before:.3f} to {now:.3f} at "
                f"level {report.level}. Its embeddings will tell little; lower learning_rate or raise batch_size.",
                CollapseWarning,
                stacklevel=2,
            )

    def describe(self) -> list[dict[str, Any]]:
        """Return the reports of all levels as plain values."""
        return [asdict(report) for report in self.reports]


class Best:
    """The best weights by validation loss, and whether to stop."""

    def __init__(self, parameters: list[torch.nn.Parameter], patience: int):
        self.parameters, self.patience = parameters, patience
        self.loss, self.bad = np.inf, 0
        self.weights: list[Tensor] = []

    def over(self, loss: float) -> bool:
        """Take note of a validation loss; return whether it has not improved for `patience` looks."""
        if loss < self.loss:
            self.loss, self.bad = loss, 0
            self.weights = [parameter.detach().clone() for parameter in self.parameters]
        else:
            self.bad += 1
        return self.bad >= self.patience

    def restore(self) -> None:
        """Go back to the best weights, where there was a look at all."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.weights, strict=False):
                parameter.copy_(value)


def _clip(parameters: Sequence[torch.nn.Parameter], most: float) -> None:
    """Scale gradients, of which some may be sparse, down to a length of them all together."""
    values = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()  # each row once, or its parts would be measured
            values.append(parameter.grad.values())
        elif parameter.grad is not None:
            values.append(parameter.grad)
    scale = (most / (torch.nn.utils.get_total_norm(values) + _TINY)).clamp(max=1.0)
    for value in values:
        value.mul_(scale)
