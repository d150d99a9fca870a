"""The losses of fine-tuning: each is a sum over the texts of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_squared_hinge(margins: Tensor, sign: Tensor, cost: Tensor) -> Tensor:
    """Return the sum over candidates of cost x max(0, 1 - sign x margin)^2.

    The linear solver has the same loss, so a head that begins at its solution begins near the optimum. Padding has a
    cost of 0 and no gradient.

    Parameters
    ----------
    margins, sign, cost : Tensor of shape (B, S)
        See `ceiba.finetuning.shortlist.ShortlistCandidates`.

    References
    ----------
    Zhang, Chang, Yu and Dhillon, "Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text
    Classification", NeurIPS 2021, section 3 (weighted squared hinge with relevance as cost).
    """
    return (cost * torch.relu(1 - sign * margins).square()).sum()


def softmax(margins: Tensor, sign: Tensor, cost: Tensor) -> Tensor:
    """Return the sum over texts of the cross-entropy between their positives and a softmax over their candidates.

    The relevance of a text's positives is scaled to a sum of 1. Texts without positives add nothing.

    Parameters
    ----------
    margins, sign, cost : Tensor of shape (B, S)
        See `ceiba.finetuning.shortlist.ShortlistCandidates`.
    """
    logarithms = torch.log_softmax(margins.masked_fill(cost == 0, -torch.inf), dim=-1)
    share = torch.where(sign > 0, cost, 0)
    share = share / share.sum(-1, keepdim=True).clamp(min=1e-9)
    return -(share * logarithms.masked_fill(share == 0, 0)).sum()


def shared_softmax(
    margins: Tensor, log_importance_weight: Tensor, row: Tensor, column: Tensor, relevance: Tensor
) -> Tensor:
    """Return the loss of `softmax` where all texts of a batch share their candidates.

    Positives are given by their positions. So no sign and no cost is stored for each pair of text and candidate.

    Parameters
    ----------
    margins : Tensor of shape (B, S)
        A margin of -inf takes the candidate away from that text.
    log_importance_weight : Tensor of shape (S,)
        The logarithm of how often each candidate counts in the softmax.
    row, column, relevance : Tensor of shape (n,)
        The positives.
    """
    positive = margins[row, column]
    finite = positive > -torch.inf
    row, positive, relevance = row[finite], positive[finite], relevance[finite]
    sums = relevance.new_zeros(len(margins)).index_add_(0, row, relevance)
    has_positives = sums > 0
    counted = margins if has_positives.all() else margins[has_positives]
    logarithms = torch.logsumexp(counted + log_importance_weight, dim=-1)
    return logarithms.sum() - (relevance / sums[row] * positive).sum()
