"""Fine-tuning from end to end: coarse to fine, one level of the tree after the other."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ceiba._progress import Progress, stage, stage_with_notes
from ceiba.data.instances import InstanceLists
from ceiba.encoders.encoder import Encoder
from ceiba.encoders.tokens import TokenRows
from ceiba.features.matrix import FeatureMatrix
from ceiba.finetuning import checkpoint as checkpoints
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.full_softmax import FullSoftmaxObjective
from ceiba.finetuning.label_text import LabelTextObjective
from ceiba.finetuning.level import Level
from ceiba.finetuning.negatives import match_level
from ceiba.finetuning.objective import Objective
from ceiba.finetuning.prototypes import PrototypeObjective, has_shared_positives
from ceiba.finetuning.sampled_softmax import SampledSoftmaxObjective
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.finetuning.shortlist import ShortlistObjective
from ceiba.finetuning.trainer import Trainer
from ceiba.tree.label_tree import LabelTree
from ceiba.tree.levels import positives_per_level

# The share and the number of tokens of a text that are encoded before the first step. Heads and negatives need no more.
_FIRST_SHARE, _FIRST_TOKENS = 0.25, 32
# Up to so many nodes of trained weights, a softmax over all is faster than to train matchers that choose some.
MAX_FULL_SOFTMAX_NODES = 2048


def choose_objective(level: Level) -> type[Objective]:
    """Return what a level is trained on."""
    n_nodes = level.nodes.n_nodes
    if level.label_tokens is not None:
        return LabelTextObjective
    if level.is_rare:
        return PrototypeObjective if n_nodes <= level.encoder.max_full_softmax_nodes else SampledSoftmaxObjective
    if level.settings.finetuning_loss == "softmax" and (level.index == 0 or n_nodes <= MAX_FULL_SOFTMAX_NODES):
        return FullSoftmaxObjective
    return ShortlistObjective


def train_matcher(
    encoder: Encoder,
    tokens: TokenRows,
    X: FeatureMatrix,
    tree: LabelTree,
    positives: InstanceLists,
    settings: FineTuningSettings,
    *,
    label_tokens: TokenRows | None = None,
    held_out: NDArray[np.intp] | None = None,
    seed: int = 0,
    n_threads: int = 1,
    checkpoint_dir: Path | None = None,
    fingerprint: str = "",
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Fine-tune an encoder level by level against the nodes of a tree.

    Each level has an objective (`choose_objective`). The encoder and its optimizer are carried from level to level.

    Prototypes and label texts need the softmax loss: cosines have no bias, and a hinge loss needs one. With
    `settings.finetuning_loss` "squared_hinge" every level has trained weights.

    Parameters
    ----------
    encoder : Encoder
        Changed in place.
    tokens : TokenRows of N rows
    X : FeatureMatrix of N rows
        The features of the linear matchers beside the embeddings.
    tree : LabelTree
        Its slots are the nodes of the last level.
    positives : InstanceLists
        The positives of each label of the tree.
    settings : FineTuningSettings
    label_tokens : TokenRows of L rows or None, default=None
        The labels' texts. With them the last level is trained on labels whose weights are the embeddings of their
        texts.
    held_out : ndarray of int or None, default=None
        Texts that are not trained on.
    seed : int, default=0
    n_threads : int, default=1
        Threads of the linear solver. Those of torch are set elsewhere.
    checkpoint_dir : Path or None, default=None
        Folder of the checkpoint that is written, and from which training is resumed.
    fingerprint : str, default=""
        Digest of everything that the training depends on. A checkpoint with another fingerprint is refused.
    progress : callable or None, default=None
        ``progress(stage, done, total)``.

    Returns
    -------
    embeddings : ndarray of shape (N, d), float32
        The embeddings of the texts by the fine-tuned encoder.
    reports : list of dict
        Per level: steps, loss, mean cosine of embeddings, texts per second.

    References
    ----------
    Zhang, Chang, Yu and Dhillon, "Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text
    Classification" (XR-Transformer), NeurIPS 2021, section 3.
    """
    if positives.weight is None:
        positives = InstanceLists(positives.ptr, positives.indices, np.ones(len(positives.indices), np.float32))
    levels = positives_per_level(tree, positives, tokens.n_rows, n_threads)
    uses_softmax = settings.finetuning_loss == "softmax"
    label_tokens = label_tokens if uses_softmax else None
    rare = [
        uses_softmax and t > 0 and len(level.indices) < settings.prototype_max_positives * level.n_nodes
        for t, level in enumerate(levels)
    ]
    if label_tokens is not None:
        rare[-1] = False  # the text of a label replaces its missing positives
    trained = [
        not is_rare or has_shared_positives(level, tokens.n_rows) for is_rare, level in zip(rare, levels, strict=True)
    ]
    steps = settings.steps_per_level(tokens.n_rows, trained, rare)
    with torch.random.fork_rng([encoder.device] if encoder.device.type == "cuda" else []):
        torch.manual_seed(seed)
        context = DistributedContext.from_environment(encoder.device)
        trainer = Trainer(encoder, tokens, settings, sum(steps), seed, held_out, context)
        checkpoint = None if checkpoint_dir is None else checkpoints.read(checkpoint_dir, fingerprint)
        if checkpoint is not None:
            checkpoints.restore_trainer(checkpoint, trainer)
        else:
            report = stage(progress, "first embeddings", tokens.n_rows)
            first = tokens.truncate(max(_FIRST_TOKENS, int(_FIRST_SHARE * tokens.lengths.max(initial=0))))
            context.embed(encoder, first, out=trainer.embeddings, progress=report)
        initializer = LevelInitializer(trainer, X, tree, positives, levels, rare, label_tokens, seed, n_threads)
        for t in range(tree.depth):
            if steps[t] == 0 or (checkpoint is not None and t < checkpoint.level):
                continue
            resumed = checkpoint if checkpoint is not None and checkpoint.level == t else None
            objective = initializer.objective(t, resumed)
            save = None
            if checkpoint_dir is not None and context.rank == 0:
                save = _CheckpointWriter(checkpoint_dir, fingerprint, trainer, t, steps[t], objective)
            trainer.run_level(
                t + 1,
                objective,
                steps[t],
                first_step=0 if resumed is None else resumed.steps_done,
                restore=None if resumed is None else partial(checkpoints.restore_level, resumed),
                progress=stage_with_notes(progress, f"fine-tuning, level {t + 1}/{tree.depth}", steps[t]),
                after_step=save,
            )
    trainer.finish()
    report = stage(progress, "embeddings", tokens.n_rows)
    context.embed(encoder, tokens, out=trainer.embeddings, progress=report)
    return trainer.embeddings, trainer.describe()


class LevelInitializer:
    """Makes the objective of each level from the newest embeddings, or from a checkpoint."""

    def __init__(
        self,
        trainer: Trainer,
        X: FeatureMatrix,
        tree: LabelTree,
        positives: InstanceLists,
        levels: list[InstanceLists],
        rare: list[bool],
        label_tokens: TokenRows | None,
        seed: int,
        n_threads: int,
    ):
        self._trainer, self._X, self._tree, self._levels, self._rare = trainer, X, tree, levels, rare
        self._positives, self._label_tokens = positives, label_tokens
        self._seed, self._n_threads = seed, n_threads

    def objective(self, t: int, checkpoint: checkpoints.Checkpoint | None) -> Objective:
        """Return the objective of a level."""
        level = self._level(t)
        state = None if checkpoint is None else checkpoint.named("objective.")
        return choose_objective(level).from_level(level, state)

    def _level(self, t: int) -> Level:
        trainer = self._trainer
        return Level(
            index=t,
            nodes=self._levels[t],
            child_ptr=self._tree.child_ptrs[t],
            is_rare=self._rare[t],
            label_tokens=self._label_tokens if t == self._tree.depth - 1 else None,
            label_positives=self._positives,
            embeddings=trainer.embeddings,
            train_rows=trainer.train_rows,
            encoder=trainer.encoder,
            context=trainer.context,
            settings=trainer.settings,
            match=partial(self._match, t),
            seed=self._seed,
            n_threads=self._n_threads,
        )

    def _match(self, t: int) -> InstanceLists:
        settings = self._trainer.settings
        return match_level(
            settings.finetuning_negatives,
            self._X,
            self._trainer.embeddings,
            self._tree,
            self._levels,
            t,
            beam_size=settings.negatives_beam_size,
            seed=self._seed,
            n_threads=self._n_threads,
        )


class _CheckpointWriter:
    """Writes a checkpoint every `checkpoint_seconds`, and at the end of a level."""

    def __init__(
        self, folder: Path, fingerprint: str, trainer: Trainer, level: int, n_steps: int, objective: Objective
    ):
        self._folder, self._fingerprint, self._trainer = folder, fingerprint, trainer
        self._level, self._n_steps, self._objective = level, n_steps, objective
        self._last = time.monotonic()

    def __call__(self, steps_done: int, head_optimizer: torch.optim.Optimizer | None) -> None:
        is_due = time.monotonic() - self._last >= self._trainer.settings.checkpoint_seconds
        if not is_due and steps_done < self._n_steps:
            return
        checkpoints.write(
            self._folder,
            self._fingerprint,
            self._trainer,
            self._level,
            steps_done,
            self._objective,
            head_optimizer,
        )
        self._last = time.monotonic()
