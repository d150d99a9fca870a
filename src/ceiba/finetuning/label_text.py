"""The bottom level where labels have texts: the weights of a label are what the encoder makes of its text."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ceiba.encoders.encoder import Encoder
from ceiba.encoders.tokens import TokenRows, length_groups
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.shortlist import SharedCandidates, shared_candidates, stored

_POSITIVES = 3  # of a text in a batch: those of a text with many labels take their turns


class InBatchCandidates:
    """The labels of a batch as the candidates of each of its texts: the others' positives are a text's negatives.

    Parameters
    ----------
    own : csr_array of shape (N, L)
        The relevance of each text to its labels (`by_instance`).
    seed : int
    """

    def __init__(self, own: sp.csr_array, seed: int):
        self.n_nodes, self._own, self._seed = own.shape[1], own, seed

    def candidates(self, rows: NDArray[np.intp], batch: NDArray[np.intp]) -> SharedCandidates:
        """Return the candidates of some rows of a batch: the same labels for each, drawn from the whole batch.

        The draw depends on the seed and the batch alone, so parts of a batch and resumed trainings see the same.
        """
        row, at = stored(self._own, batch)
        order = np.lexsort((np.random.default_rng([self._seed, 3, *batch]).random(len(row)), row))
        turn = np.arange(len(row)) - np.searchsorted(row, row)  # rows ascend, so turns count within a row
        labels = np.unique(self._own.indices[at[order[turn < _POSITIVES]]])
        if not len(labels):  # no text of the batch has a label: one that is nobody's, and no loss
            labels = np.zeros(1, np.int64)
        return shared_candidates(self._own, rows, labels.astype(np.int64))


class TextHead(nn.Module):
    """Weights of labels that are the embeddings of their texts, times a scale: only the encoder is trained.

    Parameters
    ----------
    encoder : Encoder
        The one that is fine-tuned: texts and labels' texts meet in one space.
    tokens : TokenRows of L rows
    scale : float
        What cosines are multiplied by: the inverse of the softmax's temperature.
    processes : DistributedContext
        Those that train together: each reads a part of the labels' texts.

    References
    ----------
    Dahiya et al., "NGAME: Negative Mining-aware Mini-batching for Extreme Classification", WSDM 2023: one encoder of
    texts and labels' texts, trained on the labels of a batch.
    """

    def __init__(self, encoder: Encoder, tokens: TokenRows, scale: float, processes: DistributedContext):
        super().__init__()
        self._encoder = (encoder,)  # in a tuple, or its parameters would count as the head's
        self._tokens, self._scale, self._processes = tokens, scale, processes

    def forward(self, embeddings: Tensor, nodes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        """Return the margins (B, S) of embeddings (B, d) and nodes (S,)."""
        labels = nodes.cpu().numpy()
        groups = length_groups(self._tokens.lengths[labels])  # in one batch, half of all tokens would be padding
        parts = [self._processes.encode(self._encoder[0], self._tokens, labels[group]) for group in groups]
        back = torch.from_numpy(np.argsort(np.concatenate(groups))).to(embeddings.device)
        return self._scale * embeddings @ torch.cat(parts)[back].T

    def update(self, rows: NDArray[np.intp], embeddings: NDArray[np.float32]) -> None:
        """Do nothing: weights are of the labels' texts."""

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer | None:
        """Return None: there is nothing to optimise."""
        return None
