"""The level of labels that have texts: the weights of a label are the embedding of its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ceiba.data.instances import InstanceLists
from ceiba.encoders.encoder import Encoder
from ceiba.encoders.tokens import TokenRows, length_groups
from ceiba.finetuning.candidates import SharedCandidates, by_instance, row_entries, shared_candidates
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.level import Level
from ceiba.finetuning.objective import SharedSoftmaxObjective

_MAX_POSITIVES = 3  # of a text in a batch; the positives of a text with more labels take turns


class InBatchCandidates:
    """The labels of a batch as the candidates of each of its texts: the positives of one are negatives of the others.

    Parameters
    ----------
    positives : csr_array of shape (N, L)
        The relevance of each text to its labels.
    seed : int
    """

    def __init__(self, positives: sp.csr_array, seed: int):
        self.n_nodes, self._positives, self._seed = positives.shape[1], positives, seed

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return the candidates of some texts of a batch: the same labels for each.

        The labels depend on the seed and the batch alone, so they are the same in parts of a batch and after a restart.
        """
        row, entries = row_entries(self._positives, batch)
        order = np.lexsort((np.random.default_rng([self._seed, 3, *batch]).random(len(row)), row))
        turn = np.arange(len(row)) - np.searchsorted(row, row)  # rows ascend, so this counts within a row
        labels = np.unique(self._positives.indices[entries[order[turn < _MAX_POSITIVES]]])
        if not len(labels):  # no text of the batch has a label: one candidate that is nobody's, and a loss of 0
            labels = np.zeros(1, np.int64)
        return shared_candidates(self._positives, rows, labels.astype(np.int64))


class TextHead(nn.Module):
    """Cosines to the embeddings of the labels' texts. Only the encoder is trained.

    Parameters
    ----------
    encoder : Encoder
        The encoder that is fine-tuned. It reads texts and labels' texts.
    tokens : TokenRows of L rows
        The labels' texts.
    scale : float
        The factor of cosines: the inverse of the softmax's temperature.
    context : DistributedContext
        Each process encodes a part of the labels' texts.

    References
    ----------
    Dahiya et al., "NGAME: Negative Mining-aware Mini-batching for Extreme Classification", WSDM 2023: one encoder of
    texts and labels' texts, trained on the labels of a batch.
    """

    def __init__(self, encoder: Encoder, tokens: TokenRows, scale: float, context: DistributedContext):
        super().__init__()
        self._encoder = (encoder,)  # in a tuple, or its parameters would count as the head's
        self._tokens, self._scale, self._context = tokens, scale, context

    def forward(self, embeddings: Tensor, nodes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        """Return the margins (B, S) of embeddings (B, d) and labels (S,)."""
        labels = nodes.cpu().numpy()
        groups = length_groups(self._tokens.lengths[labels])  # in one batch, half of all tokens would be padding
        parts = [self._context.encode(self._encoder[0], self._tokens, labels[group]) for group in groups]
        order = torch.from_numpy(np.argsort(np.concatenate(groups))).to(embeddings.device)
        return self._scale * embeddings @ torch.cat(parts)[order].T


class LabelTextObjective(SharedSoftmaxObjective):
    """Softmax over the labels of a batch, with the embeddings of their texts as weights.

    Parameters
    ----------
    head : TextHead
    in_batch : InBatchCandidates
    """

    def __init__(self, head: TextHead, in_batch: InBatchCandidates):
        super().__init__(head, in_batch.n_nodes)
        self._in_batch = in_batch

    @classmethod
    def from_level(cls, level: Level, checkpoint: Mapping[str, Tensor] | None) -> Self:
        """Return the objective of the level of labels. All positives have the same relevance."""
        assert level.label_tokens is not None
        labels = InstanceLists(level.label_positives.ptr, level.label_positives.indices)
        head = TextHead(level.encoder, level.label_tokens, level.settings.logit_scale, level.context)
        return cls(head, InBatchCandidates(by_instance(labels, level.n_instances), level.seed))

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return the labels of the batch."""
        return self._in_batch.candidates(rows, batch)
