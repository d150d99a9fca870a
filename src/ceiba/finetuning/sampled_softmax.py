"""Levels of many rare nodes: prototypes, and a softmax over a sample of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from torch import Tensor

from ceiba.data.instances import InstanceLists
from ceiba.finetuning.candidates import SharedCandidates, row_entries, shared_candidates
from ceiba.finetuning.level import Level
from ceiba.finetuning.prototypes import PrototypeHead, PrototypeObjective, prototype_head
from ceiba.finetuning.shortlist import Shortlist, matched_from, matched_state

# Nodes per sampled node above which half of the sample are hard negatives: random ones are seldom near a text then.
MAX_SAMPLING_RATIO = 16
_RANDOM, _HARD, _POSITIVE = 1, 2, 3  # kinds of candidates


class SampledCandidates:
    """A sample of the nodes of a level: the positives of the batch, hard negatives and random nodes.

    A sampled node counts as often as there are nodes of its kind per sampled one. On average the sum over the sample is
    therefore the sum over all nodes.

    Parameters
    ----------
    shortlist : Shortlist or None
        Half of the sample is from the shortlists of the batch. None: there are no hard negatives.
    positives : csr_array of shape (N, K)
        The relevance of each text to its nodes.
    n_candidates : int
        Nodes sampled beside the positives. All nodes are candidates where the level has no more than this.
    seed : int

    References
    ----------
    Jean, Cho, Memisevic and Bengio, "On using very large target vocabulary for neural machine translation", ACL 2015,
    section 3: a softmax over a sample of the classes with importance weights.
    """

    def __init__(self, shortlist: Shortlist | None, positives: sp.csr_array, n_candidates: int, seed: int):
        self.n_nodes, self._positives = positives.shape[1], positives
        self._shortlist, self._n_candidates, self._seed = shortlist, n_candidates, seed

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return the candidates of some texts of a batch: the same nodes for each.

        The sample depends on the seed and the batch alone, so it is the same in parts of a batch and after a restart.
        """
        if self.n_nodes <= self._n_candidates:
            return shared_candidates(self._positives, rows, np.arange(self.n_nodes))
        rng = np.random.default_rng([self._seed, 6, *batch])
        hard = np.empty(0, np.int64) if self._shortlist is None else self._shortlist.nodes(batch)
        n_random = self._n_candidates - min(len(hard), self._n_candidates // 2)
        kind = np.zeros(self.n_nodes, np.int8)
        kind[rng.choice(self.n_nodes, n_random, replace=False, shuffle=False)] = _RANDOM
        kind[hard] = 0
        kind[self._positives.indices[row_entries(self._positives, batch)[1]]] = _POSITIVE
        hard = hard[kind[hard] != _POSITIVE]
        kind[rng.permutation(hard)[: self._n_candidates // 2]] = _HARD
        n_sampled = np.bincount(kind, minlength=_POSITIVE + 1)
        n_positive = n_sampled[_POSITIVE]
        n_nodes = np.array([0, self.n_nodes - len(hard) - n_positive, len(hard), n_positive])  # of each kind
        log_importance_weight = np.log(np.maximum(n_nodes, 1) / np.maximum(n_sampled, 1)).astype(np.float32)
        nodes = np.flatnonzero(kind)
        return shared_candidates(self._positives, rows, nodes, log_importance_weight[kind[nodes]])


class SampledSoftmaxObjective(PrototypeObjective):
    """Softmax over a sample of the nodes, with prototypes as their weights.

    Parameters
    ----------
    head : PrototypeHead
    positives : csr_array of shape (N, K)
    sampled : SampledCandidates
    matched : InstanceLists or None
        What the shortlists of `sampled` were made from, for checkpoints.
    """

    def __init__(
        self,
        head: PrototypeHead,
        positives: sp.csr_array,
        sampled: SampledCandidates,
        matched: InstanceLists | None,
    ):
        super().__init__(head, positives)
        self.sampled, self._matched = sampled, matched

    @classmethod
    def from_level(cls, level: Level, checkpoint: Mapping[str, Tensor] | None) -> Self:
        """Return the objective of a level. Hard negatives are matched only where random ones are too thin."""
        n_candidates = level.encoder.max_full_softmax_nodes
        matched = shortlist = None
        if level.nodes.n_nodes > MAX_SAMPLING_RATIO * n_candidates:
            matched = level.match() if checkpoint is None else matched_from(checkpoint)
            shortlist = Shortlist.of_level(level, matched)
        sampled = SampledCandidates(shortlist, level.positives, n_candidates, level.seed)
        return cls(prototype_head(level, checkpoint), level.positives, sampled, matched)

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return a sample of the nodes."""
        return self.sampled.candidates(rows, batch)

    def state(self) -> dict[str, Tensor]:
        """Return the prototypes and the matched texts."""
        return {**super().state(), **({} if self._matched is None else matched_state(self._matched))}
