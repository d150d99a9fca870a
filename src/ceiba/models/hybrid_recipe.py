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
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, stacked
from ceiba.fusion.boosting import BoostedFusion, has_lightgbm
from ceiba.fusion.fused_search import FusedSearch, Fusion
from ceiba.fusion.logistic import LogisticFusion
from ceiba.fusion.pair_features import PairFeatures
from ceiba.fusion.pair_measures import LabelPhrases, PairMeasure, ScoreMeasure
from ceiba.fusion.thresholds import Thresholds, tune_thresholds
from ceiba.linear.solve import SolverSettings
from ceiba.models.linear_params import TreeSettings
from ceiba.models.linear_recipe import LinearSettings, train_linear
from ceiba.models.sample_weights import weighted_positives
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import CandidateGenerator, SearchContext
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.neighbors import SPARSE, Neighbors
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.restricted import Restricted
from ceiba.retrieval.sparse_index import SparseIndex
from ceiba.retrieval.sparse_labels import SparseLabels, merged_columns
from ceiba.retrieval.tree_search import TreeSearch

LINEAR, LINEAR_DOCUMENTS, LINEAR_EMBEDDINGS = "linear", "linear-documents", "linear-embeddings"
NEIGHBORS, EMBEDDED_NEIGHBORS = "neighbors", "embedding-neighbors"
LABEL_WORDS, LABEL_STEMS = "label-words", "label-stems"
LABEL_EMBEDDINGS, CLASS_MEANS = "label-embeddings", "class-means"
SOURCES = (
    LINEAR, LINEAR_DOCUMENTS, LINEAR_EMBEDDINGS, NEIGHBORS, EMBEDDED_NEIGHBORS, LABEL_WORDS, LABEL_STEMS,
    LABEL_EMBEDDINGS, CLASS_MEANS,
)  # fmt: skip
GBDT = "gbdt"
FUSIONS = ("logistic", GBDT)
_FEWEST_TO_BOOST = 1000  # right pairs
_POWERS = (1.0, 4.0)  # of the similarities of neighbors in words
_DENSE_POWER = 8.0  # of those in embeddings, which differ less

_LEAF_SIZE, _WEIGHT_THRESHOLD = 200, 0.01  # on embeddings, which need larger clusters and smaller weights than words
_FEW, _MANY = 20_000, 200_000  # training texts
_MOST_ROWS = 3000  # of a fold that the fusion learns from
_FOLDS = 4


@dataclass(frozen=True)
class HybridSettings:
    """How a hybrid model is trained; `HybridClassifier` documents the fields under the same names."""

    linear: tuple[LinearSettings, ...]
    sources: tuple[str, ...] | None
    n_candidates: int
    n_neighbors: int
    fusion: str
    seed: int
    context: SearchContext


@dataclass(frozen=True, eq=False)
class LabelRows:
    """The features of the labels' texts.

    Attributes
    ----------
    features : FeatureMatrix of R rows
        Embeddings too, where texts have them.
    label : ndarray of shape (R,), int32, ascending
        The label of each text.
    texts : sequence of R str
    stems : ndarray of shape (number of sparse features,), int32, or None
        The number of each word's stem; None where features are no words.
    """

    features: FeatureMatrix
    label: NDArray[np.int32]
    texts: Sequence[str]
    stems: NDArray[np.int32] | None = None


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
    """

    generators: tuple[CandidateGenerator, ...]
    thresholds: Thresholds
    names: list[str]
    n_pairs: int


def train_hybrid(
    X: FeatureMatrix,
    labels: Labels,
    label_rows: LabelRows | None,
    settings: HybridSettings,
    *,
    texts: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> HybridParts:
    """Train sources and the fusion of what they find.

    The fusion learns from texts that its sources were not trained on: sources are trained on folds first, then once
    more on all texts.

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
    features, right, scored = [], [], []
    folds = list(out_of_fold(labels.n_rows, settings.seed))
    for number, (rest, held_out) in enumerate(folds, start=1):
        report = stage(progress, f"fold {number}/{len(folds)}", len(held_out))
        pairs = make_sources(X.rows(rest), labels.take(rest), label_rows, names, settings)
        Q = Queries(X.rows(held_out), None if texts is None else [texts[row] for row in held_out])
        found = pairs.found(Q, settings.context)
        ptr, columns = pairs.union(found, Q.n_rows)
        features.append(pairs.features(Q, found, ptr, columns, settings.context))
        Y = labels.by_row[held_out]
        right.append(is_positive(Y, row_numbers(ptr), columns))
        scored.append((ptr, columns, Y))
        if report is not None:
            report(len(held_out))
    stage(progress, "fusion", sum(len(part) for part in right))
    fusion = _fit_fusion(np.concatenate(features), np.concatenate(right), settings)
    thresholds = _tune_thresholds(fusion, features, scored)
    stage(progress, "sources", len(names))
    pairs = make_sources(X, labels, label_rows, names, settings)
    generators = (*pairs.sources, FusedSearch(pairs, fusion))
    return HybridParts(generators, thresholds, names, sum(len(part) for part in right))


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
    if settings.sources is None:
        return [name for name in SOURCES if not lacks.get(name)]
    if not settings.sources:
        raise InputError('sources is an empty list: name one source or more, or write "auto".')
    for name in settings.sources:
        if lacks.get(name):
            raise InputError(f"sources: {name!r} needs {lacks[name]}.")
    return [name for name in SOURCES if name in settings.sources]


def out_of_fold(n: int, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the rows that sources are trained on, and rows held out that the fusion learns from.

    Up to 20,000 texts, three of four folds are held out in turn; up to 200,000, two of them; above that a twentieth,
    once. At most 3,000 rows of each are used.
    """
    order = np.random.default_rng([seed, 6]).permutation(n)
    share, used = (n // _FOLDS, 3 if n <= _FEW else 2) if n <= _MANY else (n // 20, 1)
    if share < 1:
        raise InputError(f"A fusion needs {_FOLDS} rows or more to learn from; got {n}. XRLinear takes fewer.")
    for fold in range(used):
        held_out = order[fold * share : (fold + 1) * share]
        rest = np.concatenate([order[: fold * share], order[(fold + 1) * share :]])
        yield np.sort(rest), np.sort(held_out[:_MOST_ROWS])


def make_sources(
    X: FeatureMatrix, labels: Labels, label_rows: LabelRows | None, names: Sequence[str], settings: HybridSettings
) -> PairFeatures:
    """Train sources, and return the features of pairs that they give."""
    Y, counts = labels.by_row, labels.counts
    words = X.sparse_part()
    sources: list[CandidateGenerator] = []
    measures: list[PairMeasure] = []
    if LINEAR in names:
        sources += _train_trees(LINEAR, X, labels, settings, sparse_only=True)
    if LINEAR_DOCUMENTS in names and label_rows is not None:
        sources += _train_trees(LINEAR_DOCUMENTS, X, labels, settings, sparse_only=True, documents=label_rows)
    if LINEAR_EMBEDDINGS in names:
        sources += _train_trees(LINEAR_EMBEDDINGS, X, labels, settings, sparse_only=False)
    if NEIGHBORS in names:
        index, votes = SparseIndex(words), NeighborVotes(Y)  # the same for all powers
        n = settings.n_neighbors
        sources += [
            Neighbors(index, votes, name=f"{NEIGHBORS}-{power:g}", block=SPARSE, power=power, n_neighbors=n)
            for power in _POWERS
        ]
    if EMBEDDED_NEIGHBORS in names:
        dense, n = X.block(EMBEDDING), settings.n_neighbors
        sources.append(
            Neighbors(
                dense, NeighborVotes(Y), name=EMBEDDED_NEIGHBORS, block=EMBEDDING, power=_DENSE_POWER, n_neighbors=n
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
        sources.append(DenseLabels(means, name=CLASS_MEANS))
        measures.append(ScoreMeasure(sources[-1]))
    if LABEL_EMBEDDINGS in names and label_rows is not None:
        embeddings = _mean_label_embeddings(label_rows, len(counts))
        sources.append(DenseLabels(embeddings, name=LABEL_EMBEDDINGS))
        measures.append(ScoreMeasure(sources[-1]))
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
    *,
    sparse_only: bool,
    documents: LabelRows | None = None,
) -> list[CandidateGenerator]:
    """Train a tree search of the known labels for each base; with `documents` label texts are training texts too."""
    if sparse_only:
        X = X.sparse_part()
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
        trees = train_linear(X, positives, own)
        source_name = name if len(settings.linear) == 1 else f"{name}-{number}"
        inner = TreeSearch(trees, len(known), name=source_name)
        found.append(Restricted(inner, known, X.n_features, sparse_only=sparse_only))
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


def _mean_label_embeddings(label_rows: LabelRows, n_labels: int) -> NDArray[np.float32]:
    """Return the mean embedding of each label's texts, of length 1; 0 where it has none."""
    embeddings = label_rows.features.block(EMBEDDING)
    if len(label_rows.label) == n_labels and (label_rows.label == np.arange(n_labels)).all():
        return np.ascontiguousarray(embeddings)
    ones = np.ones(len(label_rows.label), np.float32)
    own = sp.csr_array((ones, (label_rows.label, np.arange(len(ones)))), shape=(n_labels, len(ones)))
    return normalize(np.asarray(own @ embeddings, np.float32))


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
