"""The sources of the hybrid model: which of them to make, and how each is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.label_matrix import Labels
from ceiba.errors import InputError
from ceiba.executors.executor import Executor
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, stacked
from ceiba.fusion.boosting import has_lightgbm
from ceiba.fusion.label_mentions import LabelMentions
from ceiba.fusion.pair_features import PairFeatures
from ceiba.fusion.pair_measures import LabelPhrases, PairMeasure, ScoreMeasure
from ceiba.linear.solve import SolverSettings
from ceiba.models.hybrid.settings import (
    CLASS_MEANS,
    CLASS_WORDS,
    DENSE_POWER,
    EMBEDDED_NEIGHBORS,
    GBDT,
    LABEL_BLEND,
    LABEL_EMBEDDINGS,
    LABEL_STEMS,
    LABEL_TERMS,
    LABEL_WORDS,
    LINEAR,
    LINEAR_DOCUMENTS,
    LINEAR_EMBEDDINGS,
    MAPPED_EMBEDDINGS,
    NEIGHBORS,
    OF_TRANSFORMERS,
    SOURCES,
    TRANSFORMER_LABELS,
    HybridSettings,
    LabelRows,
)
from ceiba.models.hybrid.transformers import (
    TunedModel,
    mean_embeddings,
    mean_label_embeddings,
    trained_sources,
)
from ceiba.models.linear_params import TreeSettings
from ceiba.models.linear_recipe import LinearSettings, train_linear
from ceiba.models.sample_weights import weighted_positives
from ceiba.retrieval.blended_search import BlendedSearch
from ceiba.retrieval.dense_index import dense_index
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import CandidateGenerator
from ceiba.retrieval.label_terms import LabelTerms, label_term_rows, n_stems_of
from ceiba.retrieval.mapped_search import MappedSearch, fit_query_map
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.neighbors import SPARSE, Neighbors
from ceiba.retrieval.restricted import Restricted
from ceiba.retrieval.sparse_index import SparseIndex
from ceiba.retrieval.sparse_labels import SparseLabels, merged_columns
from ceiba.retrieval.tree_search import TreeSearch
from ceiba.tree.embeddings import pifa

_MADE_OF = {MAPPED_EMBEDDINGS: (LABEL_EMBEDDINGS,), LABEL_BLEND: (MAPPED_EMBEDDINGS, LABEL_TERMS)}
_MAPPED_WEIGHT = 1.5  # weight of the cosine in the blend; the score of terms has 1
_BLEND_DEPTH = 2  # times the candidates of another source: labels that no part ranks first follow later
_POWERS = (1.0, 4.0)  # exponents of the similarities of neighbors in words
_CLASS_WORDS = 128  # words kept of a label's mean: 64 to 512 are alike on validation texts of titles
_LEAF_SIZE, _WEIGHT_THRESHOLD = 200, 0.01  # defaults on embeddings: larger clusters and smaller weights than on words


def chosen_sources(settings: HybridSettings, *, embeddings: bool, label_texts: bool, stems: bool) -> list[str]:
    """Return the sources to train: those asked for, or all whose requirements are met and that gain.

    Without being asked for, class words are a source only where words are all there is, and where a boosted fusion may
    rank what they find. Beside label texts they gained nothing on validation texts of GND and of titles. A logistic
    fusion gained PSP by them and lost P@1 on those of Debian.

    Raises
    ------
    InputError
        When the requirements of a source that was asked for are not met.
    """
    lacks = {
        LINEAR_EMBEDDINGS: not embeddings and "an encoder",
        EMBEDDED_NEIGHBORS: not embeddings and "an encoder",
        CLASS_MEANS: not embeddings and "an encoder",
        LINEAR_DOCUMENTS: not label_texts and "label_texts",
        LABEL_WORDS: not label_texts and "label_texts",
        **dict.fromkeys((LABEL_STEMS, LABEL_TERMS), not stems and "label_texts, and a vectorizer of words"),
        **dict.fromkeys(
            (LABEL_EMBEDDINGS, MAPPED_EMBEDDINGS), not (embeddings and label_texts) and "an encoder and label_texts"
        ),
        LABEL_BLEND: not (embeddings and stems) and "an encoder, label_texts and a vectorizer of words",
    }
    lacks |= dict.fromkeys(OF_TRANSFORMERS, not settings.transformers and "a Transformer model in base")
    if settings.transformers and not label_texts:
        lacks[TRANSFORMER_LABELS] = "label_texts"
    if settings.sources is None:
        boosted = settings.fusion == GBDT or (settings.fusion == "auto" and has_lightgbm())
        if not boosted or embeddings or label_texts or settings.transformers:
            lacks[CLASS_WORDS] = "a boosted fusion and nothing but words"
        return [name for name in SOURCES if not lacks.get(name)]
    if not settings.sources:
        raise InputError('sources is an empty list: name one source or more, or write "auto".')
    for name in settings.sources:
        if lacks.get(name):
            raise InputError(f"sources: {name!r} needs {lacks[name]}.")
        for other in _MADE_OF.get(name, ()):
            if other not in settings.sources:
                raise InputError(f"sources: {name!r} is made of {other!r}, which must be among them.")
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
    """Train the sources; return them with the measures of pairs."""
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
                power=DENSE_POWER,
                n_neighbors=n,
                index=dense_index(dense, settings.dense_search),
            )
        )
    if CLASS_WORDS in names:
        trained = np.flatnonzero(counts)
        class_words = pifa(words, labels.by_label, max_features=_CLASS_WORDS, n_threads=settings.context.n_threads)
        sources.append(SparseLabels(SparseIndex(class_words.rows(trained)), trained.astype(np.int32), name=CLASS_WORDS))
        measures.append(ScoreMeasure(sources[-1]))
    if LABEL_WORDS in names and label_rows is not None:
        sources.append(SparseLabels(SparseIndex(label_rows.features.sparse_part()), label_rows.label, name=LABEL_WORDS))
        measures += [ScoreMeasure(sources[-1]), LabelPhrases(label_rows.texts, label_rows.label)]
    if LABEL_STEMS in names and label_rows is not None and label_rows.stems is not None:
        stems = label_rows.stems
        rows = merged_columns(label_rows.features, stems, n_stems_of(stems))
        sources.append(SparseLabels(SparseIndex(rows), label_rows.label, name=LABEL_STEMS, merged=stems))
        measures.append(ScoreMeasure(sources[-1]))
    if LABEL_TERMS in names and label_rows is not None and label_rows.stems is not None:
        rows, stems = label_rows.features.sparse_part(), label_rows.stems
        terms = SparseIndex(label_term_rows(rows, stems))
        sources.append(LabelTerms(terms, label_rows.label, stems, name=LABEL_TERMS))
        measures += [ScoreMeasure(sources[-1]), LabelMentions.of(words, Y, rows, label_rows.label, stems)]
    if CLASS_MEANS in names:
        means = mean_embeddings(Y.T, X.block(EMBEDDING))
        sources.append(DenseLabels(means, name=CLASS_MEANS, index=dense_index(means, settings.dense_search)))
        measures.append(ScoreMeasure(sources[-1]))
    if LABEL_EMBEDDINGS in names and label_rows is not None:
        embeddings = mean_label_embeddings(label_rows, len(counts))
        index = dense_index(embeddings, settings.dense_search)
        sources.append(DenseLabels(embeddings, name=LABEL_EMBEDDINGS, index=index))
        measures.append(ScoreMeasure(sources[-1]))
        if MAPPED_EMBEDDINGS in names:
            matrix = fit_query_map(X.block(EMBEDDING), Y, embeddings)
            sources.append(MappedSearch(sources[-1], matrix, name=MAPPED_EMBEDDINGS))
            measures.append(ScoreMeasure(sources[-1]))
    depths = {}
    if LABEL_BLEND in names:
        parts = [next(source for source in sources if source.name == name) for name in _MADE_OF[LABEL_BLEND]]
        depth = depths[LABEL_BLEND] = min(_BLEND_DEPTH * settings.n_candidates, len(counts))
        sources.append(BlendedSearch(parts, (_MAPPED_WEIGHT, 1.0), len(counts), depth=2 * depth, name=LABEL_BLEND))
        measures.append(ScoreMeasure(sources[-1]))
    for each in tuned:
        more, measured = trained_sources(each, X, labels, label_rows, names)
        sources += more
        measures += measured
    known, names_of = [np.log1p(counts).astype(np.float32)], ["log frequency"]
    if label_rows is not None:
        known.append(_n_words(label_rows, len(counts)))
        names_of.append("words")
    return PairFeatures(sources, measures, np.column_stack(known), tuple(names_of), settings.n_candidates, depths)


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
    """Return settings for embeddings: the defaults for words are replaced, other values kept."""
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
