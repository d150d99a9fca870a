"""The recipe of Transformer models: an encoder is fine-tuned on levels of a tree, then linear rankers are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._params import available_threads
from ceiba._progress import Progress, stage
from ceiba._random import seed_from
from ceiba._settings import settings_of
from ceiba.data.instances import InstanceLists
from ceiba.data.label_space import LabelSpace
from ceiba.encoders import FROZEN
from ceiba.encoders.load import load_encoder
from ceiba.encoders.runtime import choose_device, torch_threads
from ceiba.errors import InputError
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features, stacked
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.linear.tree_model import TreeModel
from ceiba.models.encoder_queries import EncoderQueries
from ceiba.models.fusion_weight import AUTO, TUNED_WITHOUT_TEXTS, WITHOUT_TEXTS, tune_fusion_weight
from ceiba.models.label_texts import embeddings_of_labels, kept_texts
from ceiba.models.linear_recipe import PIFA_FEATURES, LinearSettings, add_documents, report_of, train_linear
from ceiba.models.model import TREE, Model
from ceiba.models.query_makers import new_vectorizer
from ceiba.models.sample_weights import weighted_positives
from ceiba.models.timer import Timer
from ceiba.models.training_texts import TrainingTexts, grow_rows, no_features
from ceiba.models.transformer_params import OVERLAP, TransformerParameters
from ceiba.models.xr_linear import XRLinear
from ceiba.retrieval.generator import CandidateGenerator, SearchContext
from ceiba.retrieval.score_fusion import ScoreFusion
from ceiba.retrieval.tree_search import TreeSearch
from ceiba.tree.clustering import cluster_labels
from ceiba.tree.embeddings import pifa
from ceiba.tree.label_tree import LabelTree
from ceiba.tree.levels import positives_per_level

FUSED = "score_fusion"  # the name of the generator that fuses the tree's scores and cosines


@dataclass(frozen=True)
class Recipe:
    """What makes one Transformer model different from another.

    Attributes
    ----------
    levels : callable
        Gets a label tree, the positives of each label and the number of instances. Returns the tree to fine-tune on and
        the positives of each node of its last level.
    reads_label_texts : bool
        Whether the last level is trained on the texts of labels, where they have some.
    """

    levels: Callable[[LabelTree, InstanceLists, int], tuple[LabelTree, InstanceLists]]
    reads_label_texts: bool


def _all_levels(tree: LabelTree, positives: InstanceLists, n_instances: int) -> tuple[LabelTree, InstanceLists]:
    return tree, positives


def _bottom_clusters(tree: LabelTree, positives: InstanceLists, n_instances: int) -> tuple[LabelTree, InstanceLists]:
    if tree.depth == 1:
        return tree, positives
    clusters = positives_per_level(tree, positives, n_instances)[-2]
    n = clusters.n_nodes
    return LabelTree([np.array([0, n])], np.arange(n)), clusters


ALL_LEVELS = Recipe(_all_levels, reads_label_texts=True)
BOTTOM_CLUSTERS = Recipe(_bottom_clusters, reads_label_texts=False)


def train_transformer(
    params: TransformerParameters,
    recipe: Recipe,
    given: TrainingTexts,
    ranker: XRLinear,
    columns: NDArray | None,
    seed: int,
    progress: Progress | None,
) -> tuple[Model, dict[str, Any]]:
    """Train a Transformer model.

    Parameters
    ----------
    params : TransformerParameters
        The estimator, of which only the parameters are read.
    recipe : Recipe
    given : TrainingTexts
    ranker : XRLinear
        The rankers' parameters; its `label_documents` is set to what was used.
    columns : ndarray of str, or None
        The names of the features that were given.
    seed : int
    progress : callable or None

    Returns
    -------
    model : Model
    report : dict
        What ``fit_report_`` says.
    """
    cache = None
    if params.cache_dir is not None:
        from ceiba.encoders.cache import Cache

        cache = Cache(params.cache_dir)
    n = len(given.texts)
    every_text = [*given.texts, *(given.names or [])]
    encoder = _new_encoder(params, every_text, seed, stage(progress, "vocabulary", n))
    timer = Timer()

    features, vectorizer = _sparse(params, every_text, given.X, progress)
    timer.lap("features")
    read = encoder.tokenize if cache is None else partial(cache.tokens, encoder)
    chunks, report = None, stage(progress, "tokens", n)
    if params.long_texts == "chunks":
        chunks = encoder.tokenize_chunks(given.texts, report)
    tokens = read(given.texts, report) if chunks is None else chunks.first
    label_tokens = None if given.names is None else read(given.names)
    timer.lap("tokens")
    with torch_threads(available_threads(params.n_jobs)), encoder.compiling(params.compile):
        embeddings, levels = _fine_tune(
            params, recipe, encoder, tokens, label_tokens, features.part(0, n), given, seed, timer, progress, cache
        )
        if chunks is not None:
            embeddings = encoder.embed_chunks(chunks, embeddings)
        if label_tokens is not None:
            embeddings = grow_rows(embeddings, label_tokens.n_rows)
            if cache is not None and params.encoder.startswith(FROZEN):
                embeddings[n:] = cache.embeddings(encoder, label_tokens)
            else:
                encoder.embed(label_tokens, out=embeddings[n:])
    timer.lap("matcher")
    inputs = features.with_block(EMBEDDING, embeddings)
    trees, weight = _train_rankers(params, ranker, inputs, given, timer, progress)

    labels = LabelSpace(given.classes, given.labels.counts, n, kept_texts(given.names))
    search = TreeSearch(trees, len(labels))
    generators: tuple[CandidateGenerator, ...] = (search,)
    answers_by = TREE
    if weight > 0:
        of_texts = None if given.names is None else embeddings[n:]
        label_embeddings = embeddings_of_labels(of_texts, embeddings[:n], given.labels.by_row)
        exhaustive = given.names is not None
        generators = (search, ScoreFusion(search, label_embeddings, weight, exhaustive=exhaustive, name=FUSED))
        answers_by = FUSED
    queries = EncoderQueries(
        encoder,
        features.n_features,
        vectorizer=vectorizer,
        own_features=given.X is not None,
        feature_names=columns,
        chunks=params.long_texts == "chunks",
        owner=type(params).__name__,
    )
    context = SearchContext(ranker.beam_size, ranker.combine, available_threads(params.n_jobs))
    model = Model(labels, queries, generators, answers_by, context, ranker.prediction_threshold)
    return model, {"seconds": timer.seconds, "matcher": levels, "ranker": report_of(trees, {})}


def _train_rankers(
    params: TransformerParameters,
    ranker: XRLinear,
    inputs: FeatureMatrix,
    given: TrainingTexts,
    timer: Timer,
    progress: Progress | None,
) -> tuple[list[TreeModel], float]:
    """Train the rankers on sparse features and embeddings of texts and, below them, of labels' texts.

    Returns
    -------
    trees : list of TreeModel
    weight : float
        What cosines to the embeddings of labels weigh.
    """
    n = len(given.texts)
    without = WITHOUT_TEXTS if params.encoder.startswith(FROZEN) else TUNED_WITHOUT_TEXTS
    weight = without if params.cosine_weight == AUTO else float(params.cosine_weight)
    settings = LinearSettings.of(
        ranker, seed=seed_from(params.random_state), n_threads=available_threads(params.n_jobs)
    )
    positives = weighted_positives(given.labels, None, settings.instances.relevance_norm)
    documents = False
    if given.names is not None:
        label_rows, inputs = inputs.part(n, inputs.n_rows), inputs.part(0, n)
        documents, weight = tune_fusion_weight(
            settings,
            inputs,
            given.labels,
            label_rows,
            given.n_held_out,
            params.ranker_label_documents,
            params.cosine_weight,
        )
        timer.lap("use of label texts")
        if documents:
            inputs, positives = add_documents(inputs, positives, label_rows)
    ranker.set_params(label_documents=documents)
    trees = train_linear(inputs, positives, settings, progress=progress)
    timer.lap("rankers")
    return trees, weight


def _fine_tune(
    params: TransformerParameters,
    recipe: Recipe,
    encoder: Any,
    tokens: Any,
    label_tokens: Any,
    X: FeatureMatrix,
    given: TrainingTexts,
    seed: int,
    timer: Timer,
    progress: Progress | None,
    cache: Any,
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Return the embeddings of the texts by the encoder, which is fine-tuned unless it is frozen."""
    if params.encoder.startswith(FROZEN):
        report = stage(progress, "embeddings", tokens.n_rows)
        return encoder.embed(tokens, progress=report) if cache is None else cache.embeddings(
            encoder, tokens, report
        ), []
    from ceiba.encoders.cache import encoder_fingerprint
    from ceiba.encoders.static import static_dim
    from ceiba.finetuning.checkpoint import fingerprint
    from ceiba.finetuning.train import train_matcher

    n_threads, positives = available_threads(params.n_jobs), given.labels.by_label
    basis = X
    if len(X.indices) == 0 and X.dense is None:
        basis = FeatureMatrix.from_block(EMBEDDING, encoder.embed(tokens))
    tree = cluster_labels(
        pifa(basis, positives, max_features=PIFA_FEATURES, n_threads=n_threads),
        branching_factor=params.matcher_branching_factor,
        max_leaf_size=params.matcher_leaf_size,
        random_state=seed,
        n_threads=n_threads,
    )
    tree, nodes = recipe.levels(tree, positives, tokens.n_rows)
    settings = _settings(params, tree.depth)
    timer.lap("matcher's tree")
    parameters = {n: v for n, v in params.get_params(deep=False).items() if n not in _NOT_OF_THE_MATCHER}
    parameters["random_state"] = seed
    folder = None if params.checkpoint_dir is None else Path(params.checkpoint_dir)
    training = ""
    if folder is not None:
        if static_dim(params.encoder) is None:  # a static one follows from the texts
            parameters["encoder"] = encoder_fingerprint(encoder)  # wherever it was loaded from
        parts: Any = (tokens, label_tokens or (), (positives.ptr, positives.indices), X.arrays())
        arrays = (a for part in parts for a in part if a is not None)
        training = fingerprint(type(params).__name__, parameters, *arrays)
    return train_matcher(
        encoder,
        tokens,
        X,
        tree,
        nodes,
        settings,
        label_tokens=label_tokens if recipe.reads_label_texts else None,
        held_out=np.arange(given.n_held_out),
        seed=seed,
        n_threads=n_threads,
        checkpoint_dir=folder,
        fingerprint=training,
        progress=progress,
    )


def _settings(params: TransformerParameters, depth: int) -> FineTuningSettings:
    if isinstance(params.steps, (list, tuple)) and len(params.steps) != depth:
        raise InputError(
            f"steps has {len(params.steps)} numbers, but the tree that is fine-tuned on has {depth} levels; change "
            "matcher_branching_factor or matcher_leaf_size for another number of levels."
        )
    return settings_of(params, FineTuningSettings)


def _new_encoder(params: TransformerParameters, texts: list[str], seed: int, progress: Any) -> Any:
    """Return the encoder to begin with: loaded, or learned from the texts if it is a static one."""
    from ceiba.encoders.static import fit_static_encoder, static_dim

    name = params.encoder.removeprefix(FROZEN)
    dim = static_dim(name)
    if dim is not None:
        device = choose_device(params.device)
        if params.pooling not in ("auto", "mean"):
            raise InputError(f"pooling={params.pooling!r}, but a static encoder has no order of tokens: use 'auto'.")
        encoder = fit_static_encoder(
            texts, dim, max_length=params.max_length, dropout=params.dropout, seed=seed, progress=progress
        )
        return encoder.to(device)
    return load_encoder(
        name,
        pooling=params.pooling,
        max_length=params.max_length,
        dropout=params.dropout,
        device=params.device,
        precision=params.precision,
    )


def _sparse(
    params: TransformerParameters, texts: list[str], given: FeatureMatrix | None, progress: Progress | None
) -> tuple[FeatureMatrix, Any]:
    if given is not None:
        more = len(texts) - given.n_rows  # label texts, which have no features
        return stacked(given, no_features(more, given.n_features)) if more else given, None
    if params.vectorizer is None:
        return no_features(len(texts)), None
    stage(progress, "features", len(texts))
    vectorizer = new_vectorizer(params.vectorizer, params.n_jobs)
    return as_features(vectorizer.fit_transform(texts)), vectorizer


# parameters that a checkpoint's training does not depend on
_NOT_OF_THE_MATCHER = (
    *OVERLAP,
    "ranker",
    "n_jobs",
    "device",
    "compile",
    "checkpoint_dir",
    "checkpoint_seconds",
    "cache_dir",
    "vectorizer",
    "long_texts",
)
