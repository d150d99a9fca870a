"""One level of the tree, as its objective sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.instances import InstanceLists
from ceiba.encoders.encoder import Encoder
from ceiba.encoders.tokens import TokenRows
from ceiba.finetuning.candidates import by_instance
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.settings import FineTuningSettings


@dataclass(frozen=True)
class Level:
    """What an objective is made from.

    Attributes
    ----------
    index : int
        t, from 0.
    nodes : InstanceLists
        The positives of each node, with their relevance.
    child_ptr : ndarray of shape (K_{t-1} + 1,), int64
        The children of each node above.
    is_rare : bool
        The nodes have too few positives for trained weights.
    label_tokens : TokenRows of L rows or None
        The texts of the labels, where this level is trained on them.
    label_positives : InstanceLists
        The positives of each label, in the order of the labels.
    embeddings : ndarray of shape (N, d), float32
        The newest embedding of each text. The trainer keeps it up to date.
    train_rows : ndarray of int
        The texts that are trained on.
    encoder : Encoder
    context : DistributedContext
    settings : FineTuningSettings
    match : callable
        Returns M_t: for each node above, the texts that are matched to it. It trains linear matchers, so it is called
        by the objectives that need hard negatives only.
    seed : int
    n_threads : int
    """

    index: int
    nodes: InstanceLists
    child_ptr: NDArray[np.int64]
    is_rare: bool
    label_tokens: TokenRows | None
    label_positives: InstanceLists
    embeddings: NDArray[np.float32]
    train_rows: NDArray[np.intp]
    encoder: Encoder
    context: DistributedContext
    settings: FineTuningSettings
    match: Callable[[], InstanceLists]
    seed: int
    n_threads: int

    @property
    def n_instances(self) -> int:
        """N, the number of texts."""
        return len(self.embeddings)

    @cached_property
    def positives(self) -> sp.csr_array:
        """The relevance of each text to its nodes: (N, K)."""
        return by_instance(self.nodes, self.n_instances)
