"""Models of the formats 2 and 3: one list of fields for each class, and a linear model within a Transformer model.

Format 2 had no generations. Parameters that are no plain values stood apart there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from ceiba._params import Constraint, Exactly, Flag, Interval, Options
from ceiba.data.label_space import LabelSpace, read_label_texts
from ceiba.errors import ModelFormatError
from ceiba.features.store import read_vectorizer
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import LoadContext
from ceiba.io.sealed import OBJECT, STRING, Fields
from ceiba.io.values import array_named
from ceiba.models.decision import TUNED, UNTUNED
from ceiba.models.encoder_queries import EncoderQueries, load_encoder_of_model
from ceiba.models.model import TREE, Model
from ceiba.models.parameter_files import check_params, read_params, set_fitted_vectorizer, set_param
from ceiba.models.query_makers import FeatureQueries, QueryMaker, VectorizerQueries, checked_names
from ceiba.models.transformer import TransformerClassifier
from ceiba.models.transformer_recipe import FUSED
from ceiba.models.xr_linear import XRLinear
from ceiba.retrieval.dense_labels import read_dense
from ceiba.retrieval.generator import CandidateGenerator, SearchContext
from ceiba.retrieval.score_fusion import ScoreFusion
from ceiba.retrieval.tree_search import TreeSearch

_EMBEDDING_FILE, _COSINE_FILE = "label_embedding.safetensors", "cosine.safetensors"
_RANKER = "ranker"  # the folder of a Transformer model's linear model
_EMBEDDINGS: Constraint = Options("pifa", "pii", "text", "pifa+text", "array")


def read_older(estimator: Any, files: FolderFiles, fields: Fields, trusted: Sequence[str | type]) -> None:
    """Read an estimator that was saved in format 2 or 3."""
    read = _read_linear if type(estimator) is XRLinear else _read_transformer
    read(estimator, files, fields, trusted)


def _read_linear(estimator: XRLinear, files: FolderFiles, fields: Fields, trusted: Sequence[str | type]) -> None:
    described = fields.get("vectorizer", OBJECT, Exactly(None))
    own = {
        "n_features": fields.get("n_features", Interval(int, 1, 2**31 - 1)),
        "vectorizer": described,
        "feature_names": fields.values.get("feature_names") is True,
    }
    maker = FeatureQueries if described is None else VectorizerQueries
    context = LoadContext(trusted, owner=type(estimator).__name__)
    queries: QueryMaker = maker.load(files, Fields(own, fields.path), context)
    _read_params(estimator, files, fields, queries.vectorizer)
    if estimator.prediction_threshold == UNTUNED:  # the default of that time
        estimator.prediction_threshold = TUNED
    texts = fields.values.get("label_texts") is True  # of the newer ones of format 2 too
    labels, search = _labels_and_trees(files, fields, queries, texts)
    search_context = SearchContext(estimator.beam_size, estimator.combine)
    model = Model(labels, queries, (search,), TREE, search_context, estimator.prediction_threshold)
    estimator.restore(model, {})
    if _is_format_2(fields):
        estimator.tree = search.trees[0].tree if fields.get("own_tree", Flag()) else None
        estimator.label_embedding = fields.get("label_embedding", _EMBEDDINGS)
        if estimator.label_embedding == "array":
            estimator.label_embedding = _embedding(files)


def _read_transformer(
    estimator: TransformerClassifier, files: FolderFiles, fields: Fields, trusted: Sequence[str | type]
) -> None:
    inner = files.part(_RANKER)
    fields_of_ranker, ranker = inner.manifest(), XRLinear()
    if fields_of_ranker.get("class", STRING) != "XRLinear":
        raise ModelFormatError(f"{fields_of_ranker.path} is not of a linear model.")
    _read_linear(ranker, inner, fields_of_ranker, ())
    described = fields.get("vectorizer", OBJECT, Exactly(None))
    vectorizer = None if described is None else read_vectorizer(described, files, trusted=trusted)
    _read_params(estimator, files, fields, vectorizer)
    n_sparse = fields.get("n_sparse", Interval(int, 0, 2**31 - 1))
    names = fields.values.get("feature_names")  # not in folders of format 2
    if names is not None:
        names = checked_names(names, n_sparse, f"{files.path()}: 'feature_names' does not hold {n_sparse} names.")
    queries = EncoderQueries(
        load_encoder_of_model(files, LoadContext(device=estimator.device, precision=estimator.precision)),
        n_sparse,
        vectorizer=vectorizer,
        own_features=bool(fields.get("own_features", Flag())),
        feature_names=names,
        chunks=estimator.long_texts == "chunks",
        owner=type(estimator).__name__,
    )
    if queries.n_features != ranker.n_features_in_:
        raise ModelFormatError(
            f"{files.path('encoder')}: the encoder's embeddings do not have the width that the ranker learned."
        )
    labels, search = ranker.model_.labels, ranker.model_.tree_search
    if fields.values.get("label_texts") is True:
        labels = replace(labels, texts=read_label_texts(files, len(labels)))
    generators: tuple[CandidateGenerator, ...] = (search,)
    exhaustive = bool(fields.get("read_label_texts", Flag()))
    weight = float(fields.get("cosine_weight", Interval(float, 0, None)))
    if weight > 0:
        embeddings = read_dense(files, _COSINE_FILE, (len(labels), queries.dim), array="embeddings")
        generators = search, ScoreFusion(search, embeddings, weight, exhaustive=exhaustive, name=FUSED)
    model = replace(
        ranker.model_, labels=labels, queries=queries, generators=generators, answers_by=generators[-1].name
    )
    estimator.restore(model, {"ranker": ranker})
    if _is_format_2(fields):
        own_ranker = fields.get("own_ranker", Flag())
        # whether it learned from label texts was the model's choice, not the template's
        estimator.ranker = clone(ranker).set_params(label_documents=False) if own_ranker else None


def _labels_and_trees(
    files: FolderFiles, fields: Fields, queries: QueryMaker, texts: bool
) -> tuple[LabelSpace, TreeSearch]:
    of_labels = {**fields.values, "n_instances": fields.get("n_train", Interval(int, 1, 2**63 - 1)), "texts": texts}
    context = LoadContext()
    labels = LabelSpace.load(files, Fields(of_labels, fields.path), context)
    parts = {"labels": labels, "queries": queries}
    of_trees = Fields({**fields.values, "name": TREE}, fields.path)
    return labels, TreeSearch.load(files, of_trees, LoadContext(parts=parts))


def _is_format_2(fields: Fields) -> bool:
    return fields.values["format_version"] == 2


def _read_params(estimator: Any, files: FolderFiles, fields: Fields, vectorizer: Any) -> None:
    if not _is_format_2(fields):
        read_params(estimator, fields, files)
        set_fitted_vectorizer(estimator, fields, vectorizer)
        return
    for name, value in fields.get("params", OBJECT).items():
        if name != "preset":  # its values stand among the parameters
            set_param(estimator, name, value, fields.path)
    said = fields.get("vectorizer_param", Options("tfidf", "fitted"), Exactly(None))
    estimator.vectorizer = said
    if said == "fitted":
        if vectorizer is None:
            raise ModelFormatError(f"{fields.path}: there is no fitted vectorizer.")
        estimator.vectorizer = clone(vectorizer)
    check_params(estimator, fields.path)


def _embedding(files: FolderFiles) -> Any:
    arrays, path = files.tensors(_EMBEDDING_FILE), files.path(_EMBEDDING_FILE)
    if "dense" in arrays:
        return np.array(array_named("dense", arrays, path, kinds="f", ndim=2))
    parts = [array_named(name, arrays, path, kinds=kind) for name, kind in _CSR]
    shape = array_named("shape", arrays, path, kinds="iu").tolist()
    try:
        matrix = sp.csr_array(tuple(np.array(part) for part in parts), shape=tuple(shape))
        matrix.check_format(full_check=True)
    except (ValueError, OverflowError) as error:
        raise ModelFormatError(f"{path}: the label embedding is damaged: {error}") from error
    return matrix


_CSR = (("data", "f"), ("indices", "iu"), ("indptr", "iu"))
