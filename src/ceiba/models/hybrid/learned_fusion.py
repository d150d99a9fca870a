"""What the hybrid model learns from pairs of texts held out: a fusion, a reranker, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.offsets import row_numbers
from ceiba.fusion.boosting import BoostedFusion, has_lightgbm
from ceiba.fusion.fused_search import Fusion
from ceiba.fusion.logistic import LogisticFusion
from ceiba.fusion.row_context import HeldOutPairs, RowContext
from ceiba.fusion.thresholds import Thresholds, tune_thresholds
from ceiba.models.hybrid.settings import GBDT, HybridSettings

Scored = tuple[NDArray[np.int64], NDArray[np.int32], sp.csr_array]  # labels found for rows, and their right labels

_FEWEST_TO_BOOST = 1000  # right pairs
_PARTS = 3  # of the rows: a fusion trained on two of them gives the probabilities of the third


def fit_fusion(features: NDArray[np.float32], right: NDArray[np.bool_], settings: HybridSettings) -> Fusion:
    """Return the fusion of pairs that the settings ask for."""
    boosted = settings.fusion == GBDT or (settings.fusion == "auto" and _can_boost(right))
    return _fitted(features, right, settings, boosted=boosted)


def fit_reranker(
    fusion: Fusion,
    features: Sequence[NDArray[np.float32]],
    right: Sequence[NDArray[np.bool_]],
    scored: Sequence[Scored],
    embeddings: Any,
    settings: HybridSettings,
) -> tuple[RowContext | None, list[NDArray[np.float32]]]:
    """Return a reranker, and the probabilities of all pairs.

    The reranker is trained on probabilities by fusions that were not trained on the row. There is no reranker without
    embeddings of label texts, for a logistic fusion, where pairs are few, or where nearly all are right or wrong.

    Parameters
    ----------
    fusion : Fusion
    features, right, scored : sequences
        Of the rows of each fold.
    embeddings : DenseLabels or None
        Of the labels' texts.
    settings : HybridSettings
    """
    may = embeddings is not None and settings.fusion in ("auto", GBDT)
    if not may or not _can_boost(np.concatenate(right)) or not _both_in_others(right, scored):
        return None, [fusion.probability(part) for part in features]
    learned = [
        HeldOutPairs(ptr, columns, part, own, first)
        for part, own, (ptr, columns, _), first in zip(
            features, right, scored, _first_probabilities(features, right, scored, settings), strict=True
        )
    ]
    context = RowContext.fitted(learned, embeddings, seed=settings.seed, n_threads=settings.context.n_threads)
    return context, [context.rerank(pairs.ptr, pairs.labels, pairs.features, pairs.first) for pairs in learned]


def tuned_thresholds(probabilities: Sequence[NDArray[np.float32]], scored: Sequence[Scored]) -> Thresholds:
    """Tune the threshold of `predict` on the rows held out."""
    scores = [
        sp.csr_array((part, columns, ptr), shape=Y.shape)
        for part, (ptr, columns, Y) in zip(probabilities, scored, strict=True)
    ]
    truth = [Y for *_, Y in scored]
    return tune_thresholds(sp.csr_array(sp.vstack(scores, format="csr")), sp.csr_array(sp.vstack(truth, format="csr")))


def _fitted(
    features: NDArray[np.float32], right: NDArray[np.bool_], settings: HybridSettings, *, boosted: bool
) -> Fusion:
    n_threads = settings.context.n_threads
    if boosted:
        return BoostedFusion.fitted(features, right, seed=settings.seed, n_threads=n_threads)
    return LogisticFusion().fit(features, right, n_threads=n_threads)


def _can_boost(right: NDArray[np.bool_]) -> bool:
    return has_lightgbm() and int(right.sum()) >= _FEWEST_TO_BOOST


def _part_of_pairs(scored: Sequence[Scored]) -> NDArray[np.int64]:
    return np.concatenate([row_numbers(ptr) % _PARTS for ptr, *_ in scored])


def _both_in_others(right: Sequence[NDArray[np.bool_]], scored: Sequence[Scored]) -> bool:
    """Return whether right pairs and wrong ones are left, whichever part of the rows is held out."""
    part, each = _part_of_pairs(scored), np.concatenate(right)
    kinds = np.stack([np.bincount(part[each == kind], minlength=_PARTS) for kind in (True, False)])
    return bool((kinds < kinds.sum(axis=1, keepdims=True)).all())


def _first_probabilities(
    features: Sequence[NDArray[np.float32]],
    right: Sequence[NDArray[np.bool_]],
    scored: Sequence[Scored],
    settings: HybridSettings,
) -> list[NDArray[np.float32]]:
    """Return the probability of each pair, by a fusion that was not trained on the pair's row."""
    everything, all_right = np.concatenate(features), np.concatenate(right)
    part = _part_of_pairs(scored)
    first = np.empty(len(part), np.float32)
    for number in range(_PARTS):
        held_out = part == number
        if held_out.any():
            fusion = _fitted(everything[~held_out], all_right[~held_out], settings, boosted=True)
            first[held_out] = fusion.probability(everything[held_out])
    return np.split(first, np.cumsum([len(each) for each in features])[:-1])
