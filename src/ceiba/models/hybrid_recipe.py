"""Training of the hybrid model: sources, the pairs its fusion learns from, and the fusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from ceiba._progress import Progress, stage
from ceiba.data.label_matrix import Labels, is_positive
from ceiba.data.offsets import row_numbers
from ceiba.errors import InputError
from ceiba.executors.executor import Arrays, Executor, LocalExecutor, Piece, PieceContext
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, stacked
from ceiba.fusion.boosting import BoostedFusion, has_lightgbm
from ceiba.fusion.fused_search import FusedSearch, Fusion
from ceiba.fusion.logistic import LogisticFusion
from ceiba.fusion.pair_features import PairFeatures
from ceiba.fusion.pair_measures import LabelPhrases, PairMeasure, ScoreMeasure
from ceiba.fusion.thresholds import Thresholds, tune_thresholds
from ceiba.linear.solve import SolverSettings
from ceiba.models.hybrid_folds import MOST_ROWS, named_rows, out_of_fold
from ceiba.models.hybrid_settings import (
    CLASS_MEANS,
    EMBEDDED_NEIGHBORS,
    GBDT,
    LABEL_EMBEDDINGS,
    LABEL_STEMS,
    LABEL_WORDS,
    LINEAR,
    LINEAR_DOCUMENTS,
    LINEAR_EMBEDDINGS,
    NEIGHBORS,
    OF_TRANSFORMERS,
    SOURCES,
    TRANSFORMER_LABELS,
    HybridSettings,
    LabelRows,
)
from ceiba.models.hybrid_transformers import (
    TunedModel,
    mean_label_embeddings,
    parts_of,
    rows_held_out,
    sources_of_rows,
    trained_sources,
    tune_encoders,
    with_embeddings,
)
from ceiba.models.linear_params import TreeSettings
from ceiba.models.linear_recipe import LinearSettings, train_linear
from ceiba.models.sample_weights import weighted_positives
from ceiba.models.unseen_labels import hide_labels
from ceiba.retrieval.dense_index import EXACT, dense_index
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import CandidateGenerator
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.neighbors import SPARSE, Neighbors
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.restricted import Restricted
from ceiba.retrieval.sparse_index import SparseIndex
from ceiba.retrieval.sparse_labels import SparseLabels, merged_columns
from ceiba.retrieval.tree_search import TreeSearch

_FEWEST_TO_BOOST = 1000  # right pairs
_POWERS = (1.0, 4.0)  # of the similarities of neighbors in words
_DENSE_POWER = 8.0  # of those in embeddings, which differ less

_LEAF_SIZE, _WEIGHT_THRESHOLD = 200, 0.01  # on embeddings, which need larger clusters and smaller weights than words


@dataclass(frozen=True, eq=False)
class HybridParts:
    """What training makes.

    Attributes
    ----------
    generators : tuple of CandidateGenerator
        The sources, and the fusion of all at the end.
    thresholds : Thresholds
        Tuned on the pairs that the fusion learned from.
    names : list of str
        The sources.
    n_pairs : int
        Pairs that the fusion learned from.
    tuned : list of TunedModel
        The Transformer models of the base.
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
    """Train sources and the fusion of what they find.

    The fusion learns from texts that its sources were not trained on: sources are trained on folds first, then once
    more on all texts. With a Transformer model in the base there is one fold: its encoder is tuned once, and the fusion
    learns from the texts held out of that.

    Parameters
    ----------
    X : FeatureMatrix of N rows
        Sparse features of length 1 and, where there is an encoder, the block "embedding".
    labels : Labels of N rows and L labels
        A label without a positive is a candidate where it has a text.
    label_rows : LabelRows or None
    settings : HybridSettings
    texts : sequence of N str or None, default=None
    progress : callable or None, default=None
    executor : Executor or None, default=None
        Deals out folds, and the trees of the sources. The model does not depend on it, bit for bit.

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
    fusion = _fit_fusion(np.concatenate(features), np.concatenate(right), settings)
    thresholds = _tune_thresholds(fusion, features, scored)
    stage(progress, "sources", len(names))
    pairs = make_sources(X, labels, label_rows, names, settings, tuned, executor)
    pairs = _with_rows(pairs, X.rows(held_out), labels.take(held_out), names, settings, tuned)
    generators = (*pairs.sources, FusedSearch(pairs, fusion))
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
    """Train sources on some rows, and return what they say of rows held out; done wherever an executor runs it."""
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
    """Yield what `_pairs_of_folds` yields, where encoders were tuned: for parts of the rows held out of that."""
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
    """Return the sources with those of tuned encoders that are made of rows held out."""
    sources, measures = list(pairs.sources), list(pairs.measures)
    for each in tuned:
        more, measured = sources_of_rows(each, X, labels, names, settings)
        sources += more
        measures += measured
    return replace(pairs, sources=sources, measures=measures)


def chosen_sources(settings: HybridSettings, *, embeddings: bool, label_texts: bool, stems: bool) -> list[str]:
    """Return the sources to make: all that have what they need, or those asked for.

    Raises
    ------
    InputError
        When one was asked for that lacks what it needs.
    """
    lacks = {
        LINEAR_EMBEDDINGS: not embeddings and "an encoder",
        EMBEDDED_NEIGHBORS: not embeddings and "an encoder",
        CLASS_MEANS: not embeddings and "an encoder",
        LINEAR_DOCUMENTS: not label_texts and "label_texts",
        LABEL_WORDS: not label_texts and "label_texts",
        LABEL_STEMS: not stems and "label_texts, and a vectorizer of words",
        LABEL_EMBEDDINGS: not (embeddings and label_texts) and "an encoder and label_texts",
    }
    lacks |= dict.fromkeys(OF_TRANSFORMERS, not settings.transformers and "a Transformer model in base")
    if settings.transformers and not label_texts:
        lacks[TRANSFORMER_LABELS] = "label_texts"
    if settings.sources is None:
        return [name for name in SOURCES if not lacks.get(name)]
    if not settings.sources:
        raise InputError('sources is an empty list: name one source or more, or write "auto".')
    for name in settings.sources:
        if lacks.get(name):
            raise InputError(f"sources: {name!r} needs {lacks[name]}.")
    if settings.transformers and not set(OF_TRANSFORMERS).intersection(settings.sources):
        raise InputError("base holds a Transformer model, but sources names none of its sources.")
    return [name for name in SOURCES if name in settings.sources]


def make_sources(
    X: FeatureMatrix,
    labels: Labels,
    label_rows: LabelRows | None,
    names: Sequence[str],
    settings: HybridSettings,
    tuned: Sequence[TunedModel] = (),
    executor: Executor | None = None,
) -> PairFeatures:
    """Train sources, and return the features of pairs that they give."""
    Y, counts = labels.by_row, labels.counts
    words = X.sparse_part()
    sources: list[CandidateGenerator] = []
    measures: list[PairMeasure] = []
    if LINEAR in names:
        sources += _train_trees(LINEAR, X, labels, settings, executor, sparse_only=True)
    if LINEAR_DOCUMENTS in names and label_rows is not None:
        sources += _train_trees(LINEAR_DOCUMENTS, X, labels, settings, executor, sparse_only=True, documents=label_rows)
    if LINEAR_EMBEDDINGS in names:
        sources += _train_trees(LINEAR_EMBEDDINGS, X, labels, settings, executor, sparse_only=False)
    if NEIGHBORS in names:
        first, n = _POWERS[0], settings.n_neighbors
        name = f"{NEIGHBORS}-{first:g}"
        near = Neighbors(SparseIndex(words), NeighborVotes(Y), name=name, block=SPARSE, power=first, n_neighbors=n)
        sources += [near, *(near.with_power(power, name=f"{NEIGHBORS}-{power:g}") for power in _POWERS[1:])]
    if EMBEDDED_NEIGHBORS in names:
        dense, n = X.block(EMBEDDING), settings.n_neighbors
        sources.append(
            Neighbors(
                dense,
                NeighborVotes(Y),
                name=EMBEDDED_NEIGHBORS,
                block=EMBEDDING,
                power=_DENSE_POWER,
                n_neighbors=n,
                index=dense_index(dense, settings.dense_search),
            )
        )
    if LABEL_WORDS in names and label_rows is not None:
        sources.append(SparseLabels(SparseIndex(label_rows.features.sparse_part()), label_rows.label, name=LABEL_WORDS))
        measures += [ScoreMeasure(sources[-1]), LabelPhrases(label_rows.texts, label_rows.label)]
    if LABEL_STEMS in names and label_rows is not None and label_rows.stems is not None:
        stems, n_stems = label_rows.stems, int(label_rows.stems.max()) + 1
        rows = merged_columns(label_rows.features, stems, n_stems)
        sources.append(SparseLabels(SparseIndex(rows), label_rows.label, name=LABEL_STEMS, merged=stems))
        measures.append(ScoreMeasure(sources[-1]))
    if CLASS_MEANS in names:
        means = normalize(np.asarray(Y.T @ X.block(EMBEDDING), np.float32))
        sources.append(DenseLabels(means, name=CLASS_MEANS, index=dense_index(means, settings.dense_search)))
        measures.append(ScoreMeasure(sources[-1]))
    if LABEL_EMBEDDINGS in names and label_rows is not None:
        embeddings = mean_label_embeddings(label_rows, len(counts))
        index = dense_index(embeddings, settings.dense_search)
        sources.append(DenseLabels(embeddings, name=LABEL_EMBEDDINGS, index=index))
        measures.append(ScoreMeasure(sources[-1]))
    for each in tuned:
        more, measured = trained_sources(each, X, labels, label_rows, names)
        sources += more
        measures += measured
    known, names_of = [np.log1p(counts).astype(np.float32)], ["log frequency"]
    if label_rows is not None:
        known.append(_n_words(label_rows, len(counts)))
        names_of.append("words")
    return PairFeatures(sources, measures, np.column_stack(known), tuple(names_of), settings.n_candidates)


def _train_trees(
    name: str,
    X: FeatureMatrix,
    labels: Labels,
    settings: HybridSettings,
    executor: Executor | None,
    *,
    sparse_only: bool,
    documents: LabelRows | None = None,
) -> list[CandidateGenerator]:
    """Train a tree search of the known labels for each base; with `documents` label texts are training texts too."""
    several = len(X.blocks) > 1
    if sparse_only:
        X = X.sparse_part()
    elif several:
        X = X.sparse_part().with_block(EMBEDDING, X.block(EMBEDDING))
    Y = labels.by_row
    if documents is not None:
        X = stacked(X, documents.features.sparse_part())
        ones = np.ones(len(documents.label), np.float32)
        of_texts = sp.csr_array((ones, documents.label, np.arange(len(ones) + 1)), shape=(len(ones), Y.shape[1]))
        Y = sp.csr_array(sp.vstack([Y, of_texts], format="csr"))
    known = np.flatnonzero(np.bincount(Y.indices, minlength=Y.shape[1])).astype(np.int32)
    if len(known) < Y.shape[1]:
        Y = sp.csr_array(Y[:, known])
    found: list[CandidateGenerator] = []
    for number, linear in enumerate(settings.linear, start=1):
        own = linear if sparse_only else _on_embeddings(linear)
        positives = weighted_positives(Labels(Y), None, linear.instances.relevance_norm)
        trees = train_linear(X, positives, own, executor=executor)
        source_name = name if len(settings.linear) == 1 else f"{name}-{number}"
        inner = TreeSearch(trees, len(known), name=source_name)
        block = EMBEDDING if several and not sparse_only else None
        found.append(Restricted(inner, known, X.n_features, sparse_only=sparse_only, block=block))
    return found


def _on_embeddings(linear: LinearSettings) -> LinearSettings:
    """Return settings for embeddings, where those for words are the defaults."""
    trees, solver = linear.trees, linear.solver
    if trees.max_leaf_size == TreeSettings().max_leaf_size:
        trees = replace(trees, max_leaf_size=_LEAF_SIZE)
    if solver.weight_threshold == SolverSettings().weight_threshold:
        solver = replace(solver, weight_threshold=_WEIGHT_THRESHOLD)
    return replace(linear, trees=trees, solver=solver)


def _n_words(label_rows: LabelRows, n_labels: int) -> NDArray[np.float32]:
    """Return the number of distinct words of each label's shortest text, 0 where it has none."""
    sizes = np.diff(label_rows.features.indptr).astype(np.float32)
    shortest = np.full(n_labels, np.inf, np.float32)
    np.minimum.at(shortest, label_rows.label, sizes)
    return np.where(np.isinf(shortest), 0, shortest).astype(np.float32)


def _fit_fusion(features: NDArray[np.float32], right: NDArray[np.bool_], settings: HybridSettings) -> Fusion:
    n_threads = settings.context.n_threads
    boosted = settings.fusion == GBDT
    if settings.fusion == "auto":
        boosted = has_lightgbm() and int(right.sum()) >= _FEWEST_TO_BOOST
    if boosted:
        return BoostedFusion.fitted(features, right, seed=settings.seed, n_threads=n_threads)
    return LogisticFusion().fit(features, right, n_threads=n_threads)


def _tune_thresholds(
    fusion: Fusion,
    features: Sequence[NDArray[np.float32]],
    scored: Sequence[tuple[NDArray[np.int64], NDArray[np.int32], sp.csr_array]],
) -> Thresholds:
    """Tune the threshold of `predict` on the rows held out."""
    scores = [
        sp.csr_array((fusion.probability(part), columns, ptr), shape=Y.shape)
        for part, (ptr, columns, Y) in zip(features, scored, strict=True)
    ]
    truth = [Y for *_, Y in scored]
    return tune_thresholds(sp.csr_array(sp.vstack(scores, format="csr")), sp.csr_array(sp.vstack(truth, format="csr")))
