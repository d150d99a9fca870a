"""Training of the hybrid model: the pairs its fusion learns from, the fusion, and the sources on all texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ceiba._progress import Progress, stage
from ceiba.data.label_matrix import Labels, is_positive
from ceiba.data.offsets import row_numbers
from ceiba.errors import InputError
from ceiba.executors.executor import Arrays, Executor, LocalExecutor, Piece, PieceContext
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.fusion.fused_search import FusedSearch
from ceiba.fusion.pair_features import PairFeatures
from ceiba.fusion.thresholds import Thresholds
from ceiba.models.hybrid.folds import MOST_ROWS, named_rows, out_of_fold
from ceiba.models.hybrid.learned_fusion import fit_fusion, fit_reranker, tuned_thresholds
from ceiba.models.hybrid.settings import LABEL_EMBEDDINGS, HybridSettings, LabelRows
from ceiba.models.hybrid.sources import chosen_sources, make_sources
from ceiba.models.hybrid.transformers import (
    TunedModel,
    parts_of,
    rows_held_out,
    sources_of_rows,
    tune_encoders,
    with_embeddings,
)
from ceiba.models.hybrid.unseen_labels import hide_labels
from ceiba.retrieval.dense_index import EXACT
from ceiba.retrieval.generator import CandidateGenerator
from ceiba.retrieval.queries import Queries


@dataclass(frozen=True, eq=False)
class HybridParts:
    """The parts of a trained hybrid model.

    Attributes
    ----------
    generators : tuple of CandidateGenerator
        The sources, and the fusion of all at the end.
    thresholds : Thresholds
        Tuned on the pairs that the fusion was trained on.
    names : list of str
        The sources.
    n_pairs : int
        Pairs that the fusion was trained on.
    tuned : list of TunedModel
        The fine-tuned Transformer models of the base.
    """

    generators: tuple[CandidateGenerator, ...]
    thresholds: Thresholds
    names: list[str]
    n_pairs: int
    tuned: list[TunedModel]


def train_hybrid(
    X: FeatureMatrix,
    labels: Labels,
    label_rows: LabelRows | None,
    settings: HybridSettings,
    *,
    texts: Sequence[str] | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> HybridParts:
    """Train the sources and the fusion.

    The fusion is trained on texts that its sources have not seen. So the sources are trained on folds first, and once
    more on all texts. With a Transformer model in the base there is one fold: its encoder is fine-tuned once, and the
    fusion is trained on the texts held out.

    Parameters
    ----------
    X : FeatureMatrix of N rows
        Sparse features of length 1 and, where there is an encoder, the block "embedding".
    labels : Labels of N rows and L labels
        A label without a positive is a candidate if it has a text.
    label_rows : LabelRows or None
    settings : HybridSettings
    texts : sequence of N str or None, default=None
    progress : callable or None, default=None
    executor : Executor or None, default=None
        Trains folds and label trees. The model does not depend on it, bit for bit.

    References
    ----------
    Wolpert, "Stacked generalization", Neural Networks 1992.
    """
    names = chosen_sources(
        settings,
        embeddings=X.has_block(EMBEDDING),
        label_texts=label_rows is not None,
        stems=label_rows is not None and label_rows.stems is not None,
    )
    tuned: list[TunedModel] = []
    held_out = np.empty(0, np.intp)
    if settings.transformers and texts is not None:
        rows, held_out = rows_held_out(labels.n_rows, settings.seed)
        tuned = tune_encoders(X, texts, labels, label_rows, rows, settings, progress)
        X = with_embeddings(X, texts, tuned, settings.context.n_threads, progress)
        if label_rows is not None:
            of_texts = with_embeddings(
                label_rows.features, label_rows.texts, tuned, settings.context.n_threads, progress
            )
            label_rows = replace(label_rows, features=of_texts)
    if executor is None:
        executor = LocalExecutor()
    features, right, scored = [], [], []
    exact = replace(settings, dense_search=EXACT)  # for a few thousand rows a graph does not pay
    if tuned:
        learned = _pairs_of_tuned(X, labels, label_rows, texts, names, exact, tuned, progress, executor)
    else:
        learned = _pairs_of_folds(X, labels, label_rows, texts, names, exact, progress, executor)
    for held, found in learned:
        Y = labels.by_row[held]
        ptr, columns = found["ptr"], found["columns"]
        features.append(found["features"])
        right.append(is_positive(Y, row_numbers(ptr), columns))
        scored.append((ptr, columns, Y))
    if not any(part.any() for part in right):
        raise InputError(
            "No source found a right label of the texts held out, so that the fusion has nothing to learn from. Give "
            "label_texts, or more texts of the same labels; XRLinear trains without."
        )
    stage(progress, "fusion", sum(len(part) for part in right))
    fusion = fit_fusion(np.concatenate(features), np.concatenate(right), settings)
    stage(progress, "sources", len(names))
    pairs = make_sources(X, labels, label_rows, names, settings, tuned, executor)
    pairs = _with_rows(pairs, X.rows(held_out), labels.take(held_out), names, settings, tuned)
    embeddings = next((each for each in pairs.sources if each.name == LABEL_EMBEDDINGS), None)
    reranker, probabilities = fit_reranker(fusion, features, right, scored, embeddings, settings)
    thresholds = tuned_thresholds(probabilities, scored)
    generators = (*pairs.sources, FusedSearch(pairs, fusion, reranker=reranker))
    return HybridParts(generators, thresholds, names, sum(len(part) for part in right), tuned)


def _pairs_of_folds(
    X: FeatureMatrix,
    labels: Labels,
    label_rows: LabelRows | None,
    texts: Sequence[str] | None,
    names: Sequence[str],
    settings: HybridSettings,
    progress: Progress | None,
    executor: Executor,
) -> Iterator[tuple[NDArray[np.intp], Arrays]]:
    """Yield the rows held out of each fold, and the pairs that sources trained on the others find for them."""
    folds = list(out_of_fold(labels.n_rows, settings.seed, named_rows(texts, label_rows)))
    pieces = [
        Piece(
            f"fold {number}/{len(folds)}",
            {
                "number": number,
                "n_folds": len(folds),
                "rest": rest,
                "held_out": held_out,
                "texts": None if texts is None else [texts[row] for row in held_out],
            },
        )
        for number, (rest, held_out) in enumerate(folds, start=1)
    ]
    shared = {"X": X, "labels": labels, "label_rows": label_rows, "names": names, "settings": settings}
    found = executor.map(learn_fold, pieces, shared=shared, stage="folds", progress=progress)
    for (_, held_out), pairs in zip(folds, found, strict=True):
        yield held_out, pairs


def learn_fold(
    *,
    X: FeatureMatrix,
    labels: Labels,
    label_rows: LabelRows | None,
    names: Sequence[str],
    settings: HybridSettings,
    number: int,
    n_folds: int,
    rest: NDArray[np.intp],
    held_out: NDArray[np.intp],
    texts: Sequence[str] | None,
    context: PieceContext,
) -> Arrays:
    """Train sources on some rows; return the pairs that they find for rows held out. An executor runs it."""
    settings = settings.with_threads(context.threads(settings.context.n_threads))
    report = stage(context.progress, f"fold {number}/{n_folds}", len(held_out))
    of_rest = labels.take(rest)
    if label_rows is not None:
        with_text = np.isin(np.arange(labels.n_labels), label_rows.label)
        of_rest = hide_labels(of_rest, labels.take(held_out), labels.counts, with_text, settings.seed + number)
    pairs = make_sources(X.rows(rest), of_rest, label_rows, names, settings)
    found = _found_pairs(pairs, Queries(X.rows(held_out), texts), settings)
    if report is not None:
        report(len(held_out))
    return found


def _pairs_of_tuned(
    X: FeatureMatrix,
    labels: Labels,
    label_rows: LabelRows | None,
    texts: Sequence[str] | None,
    names: Sequence[str],
    settings: HybridSettings,
    tuned: Sequence[TunedModel],
    progress: Progress | None,
    executor: Executor,
) -> Iterator[tuple[NDArray[np.intp], Arrays]]:
    """Yield what `_pairs_of_folds` yields where encoders were fine-tuned: for parts of the rows held out."""
    rest, held_out = rows_held_out(labels.n_rows, settings.seed)
    trained = make_sources(X.rows(rest), labels.take(rest), label_rows, names, settings, tuned, executor)
    parts = parts_of(held_out, settings.seed)
    for number, (others, tried) in enumerate(parts, start=1):
        held = tried[:MOST_ROWS]
        report = stage(progress, f"fold {number}/{len(parts)}", len(held))
        pairs = _with_rows(trained, X.rows(others), labels.take(others), names, settings, tuned)
        Q = Queries(X.rows(held), None if texts is None else [texts[row] for row in held])
        yield held, _found_pairs(pairs, Q, settings)
        if report is not None:
            report(len(held))


def _found_pairs(pairs: PairFeatures, Q: Queries, settings: HybridSettings) -> Arrays:
    """Return the pairs of rows and labels that sources find, and their features."""
    found = pairs.found(Q, settings.context)
    ptr, columns = pairs.union(found, Q.n_rows)
    return {"ptr": ptr, "columns": columns, "features": pairs.features(Q, found, ptr, columns, settings.context)}


def _with_rows(
    pairs: PairFeatures,
    X: FeatureMatrix,
    labels: Labels,
    names: Sequence[str],
    settings: HybridSettings,
    tuned: Sequence[TunedModel],
) -> PairFeatures:
    """Add the sources of fine-tuned encoders that are made of rows held out."""
    sources, measures = list(pairs.sources), list(pairs.measures)
    for each in tuned:
        more, measured = sources_of_rows(each, X, labels, names, settings)
        sources += more
        measures += measured
    return replace(pairs, sources=sources, measures=measures)
