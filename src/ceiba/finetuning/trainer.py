"""The trainer: it fine-tunes an encoder on the objectives of one level after the other."""

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
from ceiba.finetuning.early_stopping import EarlyStopping
from ceiba.finetuning.objective import Objective
from ceiba.finetuning.settings import FineTuningSettings

_EVALUATIONS = 20  # of loss and mean cosine in a level
_TINY = 1e-6  # keeps the division by a norm finite
_COLLAPSED = 0.9  # mean cosine above which embeddings hardly differ


@dataclass
class LevelReport:
    """The course of the fine-tuning of one level."""

    level: int
    nodes: int
    steps: int
    texts_per_second: float = 0.0
    seconds: float = 0.0
    loss: list[float] = field(default_factory=list)
    mean_cosine: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)


class Trainer:
    """Fine-tunes an encoder, level by level, and keeps the newest embedding of each text.

    It knows the interface `Objective` and no objective in particular.

    Parameters
    ----------
    encoder : Encoder
        Changed in place.
    tokens : TokenRows of N rows
    settings : FineTuningSettings
    total_steps : int
        Steps of all levels. The learning rate rises and falls over them.
    seed : int
    excluded_rows : ndarray of int or None, default=None
        Texts that are neither trained on nor used for validation.
    context : DistributedContext or None, default=None
        The processes that train together. None: this process alone.

    Attributes
    ----------
    embeddings : ndarray of shape (N, d), float32
    global_step : int
        Steps made, over all levels.
    micro_batch_size : int
        Texts of one forward pass. It is halved when memory runs out.
    train_rows, validation_rows : ndarray of int
    reports : list of LevelReport
    """

    def __init__(
        self,
        encoder: Encoder,
        tokens: TokenRows,
        settings: FineTuningSettings,
        total_steps: int,
        seed: int,
        excluded_rows: NDArray[np.intp] | None = None,
        context: DistributedContext | None = None,
    ):
        self.encoder, self.tokens, self.settings = encoder, tokens, settings
        self.context = context or DistributedContext()
        self.total_steps, self.seed = total_steps, seed
        self.global_step = 0
        self.embeddings = np.empty((tokens.n_rows, encoder.dim), np.float32)
        self.reports: list[LevelReport] = []
        self.micro_batch_size = -(-settings.batch_size // settings.gradient_accumulation_steps)
        if settings.freeze_embeddings:
            encoder.freeze_embeddings()
        if settings.lora_rank is not None:
            add_adapters(encoder, settings.lora_rank)
            encoder.eval()  # the adapters too
        self.parameters = [p for p in encoder.parameters() if p.requires_grad]
        self.context.broadcast(self.parameters)
        self.optimizers = encoder.optimizers(settings.learning_rate, settings.weight_decay)
        self.scaler = torch.amp.GradScaler(encoder.device.type, enabled=encoder.precision == "float16")
        self._warned = False
        self.early_stopping = EarlyStopping([], settings.patience)
        self._pretrained: list[Tensor] = []  # a second copy of the weights, so only where `finish` needs it
        if settings.wise_ft_alpha < 1 and settings.lora_rank is None:
            self._pretrained = [parameter.detach().clone() for parameter in self.parameters]
        self._epoch: tuple[int, list[NDArray[np.intp]]] | None = None
        rows = np.setdiff1d(np.arange(tokens.n_rows), [] if excluded_rows is None else excluded_rows)
        n_validation = int(settings.validation_fraction * len(rows))
        shuffled = np.random.default_rng([seed, 1]).permutation(rows)
        self.validation_rows, self.train_rows = np.sort(shuffled[:n_validation]), np.sort(shuffled[n_validation:])

    # ------------------------------------------------------------------ batches

    @property
    def batches_per_epoch(self) -> int:
        """Batches of one pass over the training texts."""
        return -(-len(self.train_rows) // self.settings.batch_size)

    def batch(self, number: int) -> NDArray[np.intp]:
        """Return the rows of a batch of the endless stream. The stream depends on the seed alone."""
        epoch, index = divmod(number, self.batches_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.default_rng([self.seed, 2, epoch])
            lengths = self.tokens.lengths[self.train_rows]
            self._epoch = epoch, training_batches(lengths, self.settings.batch_size, rng)
        return self.train_rows[self._epoch[1][index]]

    def _learning_rate_factor(self) -> float:
        """Return the factor of the learning rates at this step: it rises over the warm-up, then falls linearly to 0."""
        n_warmup = max(1.0, self.settings.warmup_ratio * self.total_steps)
        falling = (self.total_steps - self.global_step) / max(1.0, self.total_steps - n_warmup)
        return min((self.global_step + 1) / n_warmup, falling, 1.0)

    # ------------------------------------------------------------------ a level

    def run_level(
        self,
        level: int,
        objective: Objective,
        n_steps: int,
        *,
        first_step: int = 0,
        restore: Callable[[torch.optim.Optimizer | None, EarlyStopping], Any] | None = None,
        progress: Callable[[int, str], Any] | None = None,
        after_step: Callable[[int, torch.optim.Optimizer | None], Any] | None = None,
    ) -> LevelReport:
        """Fine-tune the encoder and the head of one level.

        Parameters
        ----------
        level : int
            From 1, for the report.
        objective : Objective
            Its head is changed in place.
        n_steps : int
        first_step : int, default=0
            The step at which training is resumed.
        restore : callable or None, default=None
            ``restore(head_optimizer, early_stopping)``, called before the first step when training is resumed.
        progress : callable or None, default=None
            ``progress(step, note)``, called after each step.
        after_step : callable or None, default=None
            ``after_step(steps_done, head_optimizer)``, called after each step, for checkpoints.
        """
        if first_step and self.reports and self.reports[-1].level == level:
            report = self.reports[-1]
        else:
            report = LevelReport(level, objective.n_nodes, n_steps, mean_cosine=[mean_cosine(self.embeddings)])
            self.reports.append(report)
        objective.head.to(self.encoder.device)
        head_optimizer = objective.optimizer(self.settings.head_learning_rate)
        optimizers = [*self.optimizers, *([] if head_optimizer is None else [head_optimizer])]
        self.early_stopping = EarlyStopping([*self.parameters, *objective.head.parameters()], self.settings.patience)
        if restore is not None:
            restore(head_optimizer, self.early_stopping)
        save = None if after_step is None else lambda done: after_step(done, head_optimizer)
        self.encoder.train()
        try:
            self._run_steps(report, objective, optimizers, n_steps, first_step, progress, save)
        finally:
            self.encoder.eval()
        return report

    def _run_steps(
        self,
        report: LevelReport,
        objective: Objective,
        optimizers: Sequence[torch.optim.Optimizer],
        n_steps: int,
        first_step: int,
        progress: Callable[[int, str], Any] | None,
        after_step: Callable[[int], Any] | None,
    ) -> None:
        started, n_texts, losses, recent = time.perf_counter(), 0, [], []
        interval = max(1, n_steps // _EVALUATIONS)
        for done in range(first_step, n_steps):
            rows = self.batch(self.global_step)
            self._set_learning_rates(optimizers)
            losses.append(self._training_step(rows, objective, optimizers))
            recent.append(rows)
            n_texts += len(rows)
            self.global_step += 1
            if (done + 1) % interval == 0 or done + 1 == n_steps:
                report.loss.append(float(np.mean(losses)))
                report.mean_cosine.append(mean_cosine(self.embeddings[np.concatenate(recent)]))
                self._warn_of_collapse(report)
                losses, recent = [], []
                if len(self.validation_rows):
                    report.validation_loss.append(self._validate(objective))
                    if self.early_stopping.step(report.validation_loss[-1]):
                        self.global_step += n_steps - done - 1
                        break
            if after_step is not None:
                after_step(done + 1)
            if progress is not None:
                rate = n_texts / (time.perf_counter() - started)
                shown = report.loss[-1] if report.loss else float(np.mean(losses))
                progress(done + 1, f"loss {shown:.3g}, {rate:.0f} texts/s")
        self.early_stopping.restore_best()
        report.seconds += time.perf_counter() - started
        report.texts_per_second = n_texts / max(1e-9, time.perf_counter() - started)

    def finish(self) -> None:
        """Merge adapters, and average pretrained and fine-tuned weights. Called once, after the last level.

        References
        ----------
        Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: the mean of pretrained and fine-tuned
        weights keeps the encoder good at texts unlike those it is trained on.
        """
        if self.settings.lora_rank is not None:
            merge_adapters(self.encoder, self.settings.wise_ft_alpha)
            return
        if not self._pretrained:
            return
        with torch.no_grad():
            for parameter, pretrained in zip(self.parameters, self._pretrained, strict=True):
                parameter.lerp_(pretrained, 1 - self.settings.wise_ft_alpha)

    def _set_learning_rates(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        factor = self._learning_rate_factor()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group.setdefault("initial_lr", group["lr"])

    def _training_step(
        self, rows: NDArray[np.intp], objective: Objective, optimizers: Sequence[torch.optim.Optimizer]
    ) -> float:
        """Make one step on a batch and return its mean loss. The step is made in parts where memory is short."""
        self.context.seed_step(self.seed, self.global_step)
        while True:
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            try:
                total, parts = 0.0, []
                for part in np.array_split(rows, -(-len(rows) // (self.micro_batch_size * self.context.world_size))):
                    embeddings = self.context.encode(self.encoder, self.tokens, part)
                    loss = objective.loss(embeddings, part, rows) / len(rows)
                    self.scaler.scale(loss).backward()
                    parts.append(embeddings.detach().cpu().numpy())
                    total += float(loss.detach())
                break
            except torch.OutOfMemoryError:
                if self.micro_batch_size == 1 or self.context.world_size > 1:  # the others are past this part
                    raise
                self.micro_batch_size = -(-self.micro_batch_size // 2)
                torch.cuda.empty_cache()
            except Exception as error:  # the backward pass is compiled at its first call
                if not self.encoder.stop_compiling(error):
                    raise
        self.context.all_reduce(self.parameters)
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)
        clip_gradients(self.parameters, self.settings.max_grad_norm)
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        newest = np.concatenate(parts)
        objective.update(rows, newest)
        self.embeddings[rows] = newest
        return total

    @torch.no_grad()
    def _validate(self, objective: Objective) -> float:
        """Return the mean loss of the validation texts."""
        self.encoder.eval()
        total = 0.0
        for begin in range(0, len(self.validation_rows), self.settings.batch_size):
            rows = self.validation_rows[begin : begin + self.settings.batch_size]
            for part in np.array_split(rows, -(-len(rows) // self.micro_batch_size)):
                total += float(objective.loss(self.encoder(self.tokens, part), part, rows))
        self.encoder.train()
        return total / len(self.validation_rows)

    def _warn_of_collapse(self, report: LevelReport) -> None:
        before, now = self.reports[0].mean_cosine[0], report.mean_cosine[-1]
        if not self._warned and now > _COLLAPSED and 1 - now < (1 - before) / 2:
            self._warned = True
            warnings.warn(
                f"The encoder is collapsing: the mean cosine between embeddings rose from {before:.3f} to {now:.3f} at "
                f"level {report.level}. Its embeddings hardly differ; lower learning_rate or raise batch_size.",
                CollapseWarning,
                stacklevel=2,
            )

    def describe(self) -> list[dict[str, Any]]:
        """Return the reports of all levels as plain values."""
        return [asdict(report) for report in self.reports]


def clip_gradients(parameters: Sequence[torch.nn.Parameter], max_norm: float) -> None:
    """Scale gradients down to a common norm, as `torch.nn.utils.clip_grad_norm_`. Some may be sparse."""
    values = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()  # a row that occurs twice counts as its sum
            values.append(parameter.grad.values())
        elif parameter.grad is not None:
            values.append(parameter.grad)
    scale = (max_norm / (torch.nn.utils.get_total_norm(values) + _TINY)).clamp(max=1.0)
    for value in values:
        value.mul_(scale)
