"""Fine-tuned encoders in the hybrid model: fine-tuned once; what is cheap on top of them is trained again.

An encoder is fine-tuned on nine tenths of the training texts. The fusion is trained on the tenth held out. The
embedding of a text that the encoder was fine-tuned on gives its labels away. So nearest texts and class means are
computed from the tenth held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.preprocessing import normalize

from ceiba._progress import Progress, stage
from ceiba.data.label_matrix import Labels
from ceiba.errors import InputError
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.fusion.pair_measures import PairMeasure, ScoreMeasure
from ceiba.models.hybrid.settings import (
    DENSE_POWER,
    TRANSFORMER,
    TRANSFORMER_LABELS,
    TRANSFORMER_MEANS,
    TRANSFORMER_NEIGHBORS,
    HybridSettings,
    LabelRows,
)
from ceiba.models.hybrid.several_encoders import TextEncoder
from ceiba.models.label_texts import embeddings_of_labels
from ceiba.models.linear_recipe import LinearSettings, add_documents, train_linear
from ceiba.models.sample_weights import weighted_positives
from ceiba.models.training_texts import no_features
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import CandidateGenerator
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.neighbors import Neighbors
from ceiba.retrieval.restricted import Restricted
from ceiba.retrieval.score_fusion import ScoreFusion
from ceiba.retrieval.tree_search import TreeSearch

_SHARE = 10  # one text of so many is held out
_FEWEST = 100  # texts held out, where that is no more than a quarter
_PARTS = 4  # of the texts held out: nearest texts and means of three parts are scored on the fourth


@dataclass(frozen=True, eq=False)
class TunedModel:
    """A Transformer model that was fine-tuned on the texts that were not held out.

    Attributes
    ----------
    name : str
        The name of its source, and of the block of its embeddings.
    encoder : TextEncoder
    rankers : LinearSettings
    label_documents : bool
        Whether label texts are training texts of the rankers.
    cosine_weight : float
        Weight of the cosine to the label embeddings, beside the rankers' scores.
    label_texts : bool
        Whether the model was trained with label texts.
    report : dict
        Its ``fit_report_``.
    """

    name: str
    encoder: TextEncoder
    rankers: LinearSettings
    label_documents: bool
    cosine_weight: float
    label_texts: bool
    report: dict[str, Any]


def rows_held_out(n: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows for fine-tuning, and the rows held out: a tenth, in small sets up to a quarter."""
    share = max(n // _SHARE, min(_FEWEST, n // 4))
    if share < 2:
        raise InputError(f"A fusion of Transformer models needs 8 texts or more to learn from; got {n}.")
    order = np.random.default_rng([seed, 6]).permutation(n)
    return np.sort(order[share:]), np.sort(order[:share])


def parts_of(held_out: NDArray[np.intp], seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split the rows held out; for each part return the other rows, for nearest texts and means, and its own."""
    order = np.random.default_rng([seed, 7]).permutation(held_out)
    n = min(_PARTS, len(order))
    return [(np.setdiff1d(held_out, order[part::n]), np.sort(order[part::n])) for part in range(n)]


def tune_encoders(
    X: FeatureMatrix,
    texts: Sequence[str],
    labels: Labels,
    label_rows: LabelRows | None,
    rows: NDArray[np.intp],
    settings: HybridSettings,
    progress: Progress | None,
) -> list[TunedModel]:
    """Fine-tune the Transformer models of the settings on some rows."""
    own = labels.take(rows)
    known = np.flatnonzero(own.counts)
    own = Labels(sp.csr_array(own.by_row[:, known]))
    names = None if label_rows is None else _texts_of(known, label_rows)
    given, words = [texts[row] for row in rows], X.sparse_part().rows(rows)
    tuned = []
    for number, template in enumerate(settings.transformers, start=1):
        name = TRANSFORMER if len(settings.transformers) == 1 else f"{TRANSFORMER}-{number}"
        model = clone(template).set_params(random_state=settings.seed, n_jobs=settings.context.n_threads)
        model.fit(given, own, words, classes=np.arange(len(known)), label_texts=names, progress=progress)
        tuned.append(
            TunedModel(
                name,
                TextEncoder(name, model.encoder_, template.long_texts == "chunks"),
                LinearSettings.of(model.ranker_, seed=settings.seed, n_threads=settings.context.n_threads),
                bool(model.ranker_.label_documents),
                model.cosine_weight_,
                names is not None,
                model.fit_report_,
            )
        )
    return tuned


def with_embeddings(
    X: FeatureMatrix, texts: Sequence[str], tuned: Sequence[TunedModel], n_threads: int, progress: Progress | None
) -> FeatureMatrix:
    """Return features with a block for each fine-tuned encoder."""
    for each in tuned:
        report = stage(progress, "embeddings", len(texts))
        X = X.with_block(each.name, each.encoder.embed(list(texts), progress=report, n_threads=n_threads))
    return X


def trained_sources(
    tuned: TunedModel, X: FeatureMatrix, labels: Labels, label_rows: LabelRows | None, names: Sequence[str]
) -> tuple[list[CandidateGenerator], list[PairMeasure]]:
    """Return the Transformer model's own ranking, trained on these rows, and the search among label texts."""
    sources: list[CandidateGenerator] = []
    measures: list[PairMeasure] = []
    n_features = X.n_sparse + X.block(tuned.name).shape[1]
    if TRANSFORMER in names:
        sources.append(_ranking(tuned, X, labels, label_rows, n_features))
    if TRANSFORMER_LABELS in names and label_rows is not None:
        known = np.unique(label_rows.label)
        rows = mean_label_embeddings(label_rows, labels.n_labels, tuned.name)[known]
        inner = DenseLabels(rows, name=_own(tuned, TRANSFORMER_LABELS))
        sources.append(Restricted(inner, known, n_features, block=tuned.name))
        measures.append(ScoreMeasure(sources[-1]))
    return sources, measures


def sources_of_rows(
    tuned: TunedModel, X: FeatureMatrix, labels: Labels, names: Sequence[str], settings: HybridSettings
) -> tuple[list[CandidateGenerator], list[PairMeasure]]:
    """Return nearest texts and class means of rows that the encoder was not fine-tuned on."""
    sources: list[CandidateGenerator] = []
    measures: list[PairMeasure] = []
    embeddings, n_features = X.block(tuned.name), X.n_sparse + X.block(tuned.name).shape[1]
    embeddings = np.ascontiguousarray(embeddings)
    known = _known(labels)
    Y = sp.csr_array(labels.by_row[:, known])
    if TRANSFORMER_NEIGHBORS in names:
        name, n = _own(tuned, TRANSFORMER_NEIGHBORS), settings.n_neighbors
        near = Neighbors(embeddings, NeighborVotes(Y), name=name, block=EMBEDDING, power=DENSE_POWER, n_neighbors=n)
        sources.append(Restricted(near, known, n_features, block=tuned.name))
    if TRANSFORMER_MEANS in names:
        means = mean_embeddings(Y.T, embeddings)
        inner = DenseLabels(means, name=_own(tuned, TRANSFORMER_MEANS))
        sources.append(Restricted(inner, known, n_features, block=tuned.name))
        measures.append(ScoreMeasure(sources[-1]))
    return sources, measures


def mean_embeddings(rows_of_labels: Any, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean embedding of each label's rows, of length 1; 0 where it has none."""
    return normalize(np.asarray(rows_of_labels @ embeddings, np.float32))


def mean_label_embeddings(label_rows: LabelRows, n_labels: int, block: str = EMBEDDING) -> NDArray[np.float32]:
    """Return the mean embedding of each label's texts, of length 1; 0 where it has none."""
    embeddings = label_rows.features.block(block)
    if len(label_rows.label) == n_labels and (label_rows.label == np.arange(n_labels)).all():
        return np.ascontiguousarray(embeddings)
    ones = np.ones(len(label_rows.label), np.float32)
    own = sp.csr_array((ones, (label_rows.label, np.arange(len(ones)))), shape=(n_labels, len(ones)))
    return mean_embeddings(own, embeddings)


def _ranking(
    tuned: TunedModel, X: FeatureMatrix, labels: Labels, label_rows: LabelRows | None, n_features: int
) -> CandidateGenerator:
    """Return the Transformer model's own ranking, of the labels that have a positive among the rows."""
    known = _known(labels)
    own = Labels(sp.csr_array(labels.by_row[:, known]))
    rows = X.sparse_part().with_block(EMBEDDING, X.block(tuned.name))
    positives = weighted_positives(own, None, tuned.rankers.instances.relevance_norm)
    of_texts = None
    if tuned.label_texts and label_rows is not None:
        of_texts = mean_label_embeddings(label_rows, labels.n_labels, tuned.name)[known]
    inputs = rows
    if tuned.label_documents and of_texts is not None:
        documents = no_features(len(known), X.n_sparse).with_block(EMBEDDING, of_texts)
        inputs, positives = add_documents(rows, positives, documents)
    search = TreeSearch(train_linear(inputs, positives, tuned.rankers), len(known), name=tuned.name)
    if not tuned.cosine_weight:
        return Restricted(search, known, n_features, block=tuned.name)
    search = TreeSearch(search.trees, len(known), name=f"{tuned.name}-tree")
    embeddings = embeddings_of_labels(of_texts, rows.block(EMBEDDING), own.by_row)
    fused = ScoreFusion(search, embeddings, tuned.cosine_weight, exhaustive=of_texts is not None, name=tuned.name)
    return Restricted(fused, known, n_features, block=tuned.name, parts=[search])


def _own(tuned: TunedModel, source: str) -> str:
    """Return the name of a model's source, such as "transformer-2-means" of the second model."""
    return tuned.name + source.removeprefix(TRANSFORMER)


def _known(labels: Labels) -> NDArray[np.int32]:
    """Return the labels that have a positive among the rows; label 0 where none has."""
    known = np.flatnonzero(labels.counts)
    return (known if len(known) else np.zeros(1)).astype(np.int32)


def _texts_of(known: NDArray[np.intp], label_rows: LabelRows) -> list[str] | None:
    """Return the first text of each known label; None where one has none."""
    first = np.searchsorted(label_rows.label, known)
    there = np.minimum(first, len(label_rows.label) - 1)
    if not (label_rows.label[there] == known).all():
        return None
    return [label_rows.texts[at] for at in first.tolist()]
