"""A matcher from end to end: coarse to fine down the tree."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ceiba._progress import Progress, noted, stage
from ceiba.data.instances import InstanceLists
from ceiba.encoders.encoder import Encoder
from ceiba.encoders.tokens import TokenRows
from ceiba.features.matrix import FeatureMatrix
from ceiba.finetuning import checkpoint
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.finetune import FineTuner, Head, Shortlists
from ceiba.finetuning.head import LevelHead
from ceiba.finetuning.initial_heads import centroid_head, linear_head, matched_at, random_head
from ceiba.finetuning.label_text import InBatchCandidates, TextHead
from ceiba.finetuning.prototypes import (
    THIN_DRAW,
    PrototypeHead,
    SampledCandidates,
    has_shared_positives,
    membership_matrix,
)
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.finetuning.shortlist import Shortlist, by_instance
from ceiba.tree.label_tree import LabelTree
from ceiba.tree.levels import positives_per_level

# of a text's tokens, what is read before fine-tuning: heads and negatives need no more to begin with
_FIRST_SHARE, _FIRST_TOKENS = 0.25, 32
_FEW_NODES = 2048  # up to so many a softmax over all takes less time than matchers that choose some
_NO_MATCHES = InstanceLists(np.zeros(1, np.int64), np.empty(0, np.int32))


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

    At each level the encoder is trained jointly with a linear head over the level's nodes: all of them at the first
    and where they are few, else the children of the nodes that an instance is matched to. A head begins at what
    the newest embedding of each text gives (`initial_heads.py`), the first of which are of how texts begin, unless
    `settings.head_init` is "random"; encoder and optimiser go on from level to level. Where nodes have too few
    positives (`settings.prototype_max_positives`) the head follows the embeddings and is not trained (`means.py`).

    Only a softmax trains levels of such heads, or of label texts: cosines have no bias, which a hinge loss needs. With
    `settings.finetuning_loss` "squared_hinge" every level has weights of its own, and is trained by that loss.

    Parameters
    ----------
    encoder : Encoder
        Changed in place.
    tokens : TokenRows of N rows
    X : FeatureMatrix of N rows
        What the linear matchers see beside the embeddings when they choose negatives.
    tree : LabelTree
        Its slots are the finest nodes to train on.
    positives : InstanceLists
        The positives of each label of the tree.
    settings : FineTuningSettings
    label_tokens : TokenRows of L rows or None, default=None
        The labels' texts. With them the labels, the tree's last level, are read by the encoder too: a label's weights
        are the embedding of its text, and a text is trained against the labels of its batch.
    held_out : ndarray of int or None, default=None
        Rows not to train on.
    seed : int, default=0
    n_threads : int, default=1
        Of the linear solver; torch has its own.
    checkpoint_dir : Path or None, default=None
        Folder to write checkpoints to, and to go on from.
    fingerprint : str, default=""
        Digest of everything that the training depends on. A checkpoint with another fingerprint is refused.
    progress : callable or None, default=None

    Returns
    -------
    embeddings : ndarray of shape (N, d), float32
        Of the encoder as it is at the end.
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
    by_softmax = settings.finetuning_loss == "softmax"
    label_tokens = label_tokens if by_softmax else None
    rare = [
        by_softmax and t > 0 and len(level.indices) < settings.prototype_max_positives * level.n_nodes
        for t, level in enumerate(levels)
    ]
    if label_tokens is not None:
        rare[-1] = False  # a text says what a label of few positives means
    trained = [not few or has_shared_positives(level, tokens.n_rows) for few, level in zip(rare, levels, strict=True)]
    steps = settings.steps_per_level(tokens.n_rows, trained, rare)
    with torch.random.fork_rng([encoder.device] if encoder.device.type == "cuda" else []):
        torch.manual_seed(seed)
        processes = DistributedContext.here(encoder.device)
        tuner = FineTuner(encoder, tokens, settings, sum(steps), seed, held_out, processes)
        state = None if checkpoint_dir is None else checkpoint.read(checkpoint_dir, fingerprint)
        if state is not None:
            checkpoint.restore_tuner(state, tuner)
        else:
            told = stage(progress, "first embeddings", tokens.n_rows)
            first = tokens.cut(max(_FIRST_TOKENS, int(_FIRST_SHARE * tokens.lengths.max(initial=0))))
            processes.embed(encoder, first, out=tuner.embeddings, progress=told)
        begin = _Beginnings(tuner, X, tree, positives, levels, rare, label_tokens, seed, n_threads)
        for t in range(tree.depth):
            if steps[t] == 0 or (state is not None and t < state.level):
                continue
            here = state if state is not None and state.level == t else None
            matched, shortlist, head = begin(t, here)
            save = None
            if checkpoint_dir is not None and processes.rank == 0:
                save = _Saver(checkpoint_dir, fingerprint, tuner, t, steps[t], matched, settings.checkpoint_seconds)
            tuner.run_level(
                t + 1,
                shortlist,
                head.to(encoder.device),
                steps[t],
                first=0 if here is None else here.steps_done,
                restore=None if here is None else partial(checkpoint.restore_level, here),
                progress=noted(progress, f"fine-tuning, level {t + 1}/{tree.depth}", steps[t]),
                after_step=save,
            )
    tuner.finish()
    told = stage(progress, "embeddings", tokens.n_rows)
    processes.embed(encoder, tokens, out=tuner.embeddings, progress=told)
    return tuner.embeddings, tuner.describe()


class _Beginnings:
    """What each level begins with, by the newest embeddings or as a checkpoint has it: its shortlists and its head."""

    def __init__(
        self,
        tuner: FineTuner,
        X: FeatureMatrix,
        tree: LabelTree,
        positives: InstanceLists,
        levels: list[InstanceLists],
        rare: list[bool],
        label_tokens: TokenRows | None,
        seed: int,
        n_threads: int,
    ):
        self._tuner, self._X, self._tree, self._levels, self._rare = tuner, X, tree, levels, rare
        self._positives, self._label_tokens = positives, label_tokens
        self._seed, self._n_threads = seed, n_threads

    def __call__(self, t: int, kept: checkpoint.State | None) -> tuple[InstanceLists, Shortlists, Head]:
        """Return M_t, which a checkpoint keeps, the candidates made of it, and the head."""
        if self._label_tokens is not None and t == self._tree.depth - 1:
            return self._of_texts(self._label_tokens)
        if self._all_nodes(t):
            matched = _NO_MATCHES
        elif kept is not None:
            parts = kept.named("matched.")
            matched = InstanceLists(parts["ptr"].numpy(), parts["items"].numpy())
        else:
            matched = self._matched(t)
        return (matched, *(self._of_means if self._rare[t] else self._of_weights)(t, matched, kept))

    def _all_nodes(self, t: int) -> bool:
        """Return whether all nodes of a level, or a draw of all, are candidates: nothing is to be matched then."""
        n_nodes, settings = self._levels[t].n_nodes, self._tuner.settings
        if self._rare[t]:
            return n_nodes <= THIN_DRAW * self._tuner.encoder.max_full_softmax_nodes
        return settings.finetuning_loss == "softmax" and (t == 0 or n_nodes <= _FEW_NODES)

    def _of_texts(self, label_tokens: TokenRows) -> tuple[InstanceLists, InBatchCandidates, TextHead]:
        tuner, labels = self._tuner, InstanceLists(self._positives.ptr, self._positives.indices)  # all of one relevance
        head = TextHead(tuner.encoder, label_tokens, tuner.settings.logit_scale, tuner.processes)
        return _NO_MATCHES, InBatchCandidates(by_instance(labels, tuner.tokens.n_rows), self._seed), head

    def _of_means(
        self, t: int, matched: InstanceLists, kept: checkpoint.State | None
    ) -> tuple[SampledCandidates, PrototypeHead]:
        tuner, settings, own = self._tuner, self._tuner.settings, self._own(t)
        shortlist = self._shortlist(t, matched, own) if matched.n_nodes else None
        members = membership_matrix(tuner.trained_on, own)
        sums = None if kept is None else kept.tensors["head.sums"].numpy()
        head = PrototypeHead(tuner.embeddings, members, settings.logit_scale, settings.logit_adjustment, sums)
        return SampledCandidates(shortlist, own, tuner.encoder.max_full_softmax_nodes, self._seed), head

    def _of_weights(
        self, t: int, matched: InstanceLists, kept: checkpoint.State | None
    ) -> tuple[Shortlist | SampledCandidates, LevelHead]:
        settings, embeddings, positives = self._tuner.settings, self._tuner.embeddings, self._levels[t]
        head_init = settings.chosen_head_init()
        if kept is not None:
            begun = kept.tensors["head.weight"].numpy(), kept.tensors["head.bias"][:, 0].numpy()
        elif head_init == "random":
            begun = random_head(positives.n_nodes, embeddings.shape[1], self._seed)
        elif head_init == "centroid":
            begun = centroid_head(embeddings, positives, settings.logit_scale)
        else:
            ptr, learn_from = self._tree.child_ptrs[t], matched
            if not matched.n_nodes:  # every node is a candidate of every text
                ptr, learn_from = np.array([0, positives.n_nodes]), _one_list(len(embeddings))
            begun = linear_head(embeddings, ptr, learn_from, positives, seed=self._seed, n_threads=self._n_threads)
        own = self._own(t)
        if not matched.n_nodes:
            return SampledCandidates(None, own, positives.n_nodes, self._seed), LevelHead(*begun, everything=True)
        return self._shortlist(t, matched, own), LevelHead(*begun, everything=t == 0)

    def _own(self, t: int) -> sp.csr_array:
        return by_instance(self._levels[t], self._tuner.tokens.n_rows)

    def _shortlist(self, t: int, matched: InstanceLists, own: sp.csr_array) -> Shortlist:
        return Shortlist(self._tree.child_ptrs[t], by_instance(matched, own.shape[0]), own)

    def _matched(self, t: int) -> InstanceLists:
        settings = self._tuner.settings
        return matched_at(
            settings.finetuning_negatives,
            self._X,
            self._tuner.embeddings,
            self._tree,
            self._levels,
            t,
            beam_size=settings.negatives_beam_size,
            seed=self._seed,
            n_threads=self._n_threads,
        )


def _one_list(n_instances: int) -> InstanceLists:
    return InstanceLists(np.array([0, n_instances]), np.arange(n_instances, dtype=np.int32))


class _Saver:
    """Writes a checkpoint every so many seconds, and at the end of a level."""

    def __init__(
        self,
        folder: Path,
        of: str,
        tuner: FineTuner,
        level: int,
        n_steps: int,
        matched: InstanceLists,
        seconds: float,
    ):
        self._folder, self._of, self._tuner, self._level, self._n_steps = folder, of, tuner, level, n_steps
        self._matched = {"ptr": torch.from_numpy(matched.ptr), "items": torch.from_numpy(matched.indices)}
        self._seconds, self._last = seconds, time.monotonic()

    def __call__(self, done: int, head: torch.nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
        if time.monotonic() - self._last < self._seconds and done < self._n_steps:
            return
        checkpoint.write(self._folder, self._of, self._tuner, self._level, done, head, optimizer, self._matched)
        self._last = time.monotonic()
