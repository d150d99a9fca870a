"""What texts of labels are used for, and what cosines to labels' embeddings weigh: chosen on texts held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ceiba.data.label_matrix import Labels
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.metrics import precision_at_k
from ceiba.models.label_texts import embeddings_of_labels
from ceiba.models.linear_recipe import LinearSettings, add_documents, train_linear
from ceiba.models.sample_weights import weighted_positives
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.score_fusion import ScoreFusion
from ceiba.retrieval.tree_search import TreeSearch

AUTO = "auto"
# the weight of cosines to mean embeddings, of 0.05 to 0.5 the best for titles and Debian both: of an encoder as it is,
# and of one that was trained to bring texts near the others of their labels
WITHOUT_TEXTS, TUNED_WITHOUT_TEXTS = 0.1, 0.25
_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
_KS = (1, 3, 5)
_FEWEST, _MOST = 20, 2000  # rows held out to choose with


def validation_rows(n_instances: int, seed: int) -> NDArray[np.intp]:
    """Return a twentieth of the rows, to be held out of fine-tuning; none where they are too few to tell anything."""
    n = min(n_instances // 20, _MOST)
    if n < _FEWEST:
        return np.empty(0, np.intp)
    return np.sort(np.random.default_rng([seed, 4]).permutation(n_instances)[:n])


def tune_fusion_weight(
    settings: LinearSettings,
    X: FeatureMatrix,
    labels: Labels,
    label_rows: FeatureMatrix,
    n_held_out: int,
    documents: bool | str,
    weight: float | str,
) -> tuple[bool, float]:
    """Choose whether label texts are training documents, and what their cosines weigh, by rows held out.

    Parameters
    ----------
    settings : LinearSettings
        Of the rankers; one tree is trained on the other rows.
    X : FeatureMatrix of N rows
        With the block "embedding". No row of it is copied where `label_rows` is the next part of the same matrix.
    labels : Labels of N rows
    label_rows : FeatureMatrix of L rows
        The features of the labels' texts, of the same blocks.
    n_held_out : int
        The first rows, which the encoder was not fine-tuned on. None of them: both are used, at a weight of 0.5.
    documents : bool or "auto"
    weight : float or "auto"

    Returns
    -------
    documents : bool
    weight : float
        Those of the best mean of P@1, P@3 and P@5; of equals the least use of label texts.
    """
    uses = (False, True) if documents == AUTO else (bool(documents),)
    weights = _WEIGHTS if weight == AUTO else (float(weight),)
    if len(uses) == len(weights) == 1:
        return uses[0], weights[0]
    if not n_held_out:
        return uses[-1], 0.5 if weight == AUTO else weights[0]
    asked, truth = X.part(0, n_held_out), labels.part(0, n_held_out).by_row
    others, of_others = X.part(n_held_out, X.n_rows), labels.part(n_held_out, X.n_rows)
    embeddings = embeddings_of_labels(label_rows.block(EMBEDDING), others.block(EMBEDDING), of_others.by_row)
    best = (-np.inf, uses[0], weights[0])
    one_tree = replace(settings, trees=replace(settings.trees, n_trees=1), overlap=replace(settings.overlap, overlap=1))
    positives = weighted_positives(of_others, None, settings.instances.relevance_norm)
    ctx = SearchContext(settings.search.beam_size, settings.search.combine, settings.n_threads)
    for use in uses:
        rows = add_documents(others, positives, label_rows) if use else (others, positives)
        search = TreeSearch(train_linear(*rows, one_tree), labels.n_labels)
        for each in weights:
            fusion = ScoreFusion(search, embeddings, each, exhaustive=True)
            ids, _ = fusion.rank(Queries(asked), max(_KS), ctx=ctx)
            figure = float(np.mean([precision_at_k(truth, ids, k) for k in _KS]))
            if figure > best[0]:
                best = (figure, use, each)
    return best[1:]
