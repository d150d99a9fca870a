"""What texts of labels are used for: what a label is called says what it means, however few its own texts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone

from ceiba.errors import InputError, InputTypeError
from ceiba.features.matrix import Features, as_features, is_text
from ceiba.layers.instances import InstanceLists
from ceiba.metrics import precision_at_k
from ceiba.search.cosine import CosineSearcher

if TYPE_CHECKING:
    from ceiba.models.xr_linear import XRLinear

AUTO = "auto"
_OF_DOCUMENTS = 0.5  # 0.25 to 1 are alike on a validation split of titles, and better than 0, fine-tuned or frozen
# the weight of cosines to mean embeddings, of 0.05 to 0.5 the best for titles and Debian both: of an encoder as it is,
# and of one that was trained to bring texts near the others of their labels
WITHOUT_TEXTS, TUNED_WITHOUT_TEXTS = 0.1, 0.25
_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
_KS = (1, 3, 5)
_FEWEST, _MOST = 20, 2000  # rows held out to choose with


def in_class_order(label_texts: Any, classes: NDArray) -> list[str] | Features | None:
    """Check label texts as callers have them.

    Parameters
    ----------
    label_texts : None, sequence of L str, mapping of label to str, or features of shape (L, D)
    classes : ndarray of shape (L,)

    Returns
    -------
    list of str, Features or None
        One text, or one row, per label in the order of `classes`.

    Raises
    ------
    InputError, InputTypeError
        When a label has no text, the number of texts is another than that of labels, or one is no str.
    """
    if label_texts is None:
        return None
    if isinstance(label_texts, Mapping):
        missing = [label for label in classes.tolist() if label not in label_texts]
        if missing:
            raise InputError(f"label_texts has no text for {len(missing)} labels, {missing[0]!r} for one.")
        label_texts = [label_texts[label] for label in classes.tolist()]
    if isinstance(label_texts, str):
        raise InputTypeError("label_texts is a single str; a text for each label is needed.")
    rows: Any
    if sp.issparse(label_texts) or not is_text(label_texts):
        if not sp.issparse(label_texts) and isinstance(label_texts, Sequence) and not len(label_texts):
            n, rows = 0, []
        else:
            rows = as_features(label_texts, name="label_texts")
            n = rows.n_rows
    else:
        rows = list(label_texts)
        n = len(rows)
        for number, text in enumerate(rows):
            if not isinstance(text, str):
                raise InputTypeError(f"label_texts, row {number}: expected a str, found {type(text).__name__}.")
    if n != len(classes):
        raise InputError(f"label_texts must be one for each of the {len(classes)} labels; got {n}.")
    return rows


def with_documents(positives: InstanceLists, n_instances: int) -> InstanceLists:
    """Return the positives where a row per label has been put below the N instances, each its own label's positive."""
    ends, label = positives.ptr[1:], np.arange(positives.n_nodes)
    items = np.insert(positives.items, ends, (n_instances + label).astype(np.int32))
    weight = None if positives.weight is None else np.insert(positives.weight, ends, np.float32(1))
    return InstanceLists(positives.ptr + np.arange(len(positives.ptr)), items, weight)


def embeddings_of_labels(
    of_texts: NDArray[np.float32] | None, embeddings: NDArray[np.float32], Y: sp.csr_array
) -> NDArray[np.float32]:
    """Return the mean embeddings of labels' training documents, or those of their texts, moved towards the means.

    A name is near what is called by it; documents say what a label is used for. A label without documents stays where
    it is.

    Parameters
    ----------
    of_texts : ndarray of shape (L, d), float32, or None
        Of the labels' texts, rows of length 1; None where they have none.
    embeddings : ndarray of shape (N, d), float32
    Y : csr_array of shape (N, L)

    Returns
    -------
    ndarray of shape (L, d), float32
        Rows of length 1; of 0 where a label has neither text nor documents.
    """
    means = _unit(np.asarray(Y.T @ embeddings, np.float32))
    return means if of_texts is None else _unit(of_texts + np.float32(_OF_DOCUMENTS) * means)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))


def rows_to_choose_with(n_instances: int, seed: int) -> NDArray[np.intp]:
    """Return a twentieth of the rows, to be held out of fine-tuning; none where they are too few to tell anything."""
    n = min(n_instances // 20, _MOST)
    if n < _FEWEST:
        return np.empty(0, np.intp)
    return np.sort(np.random.default_rng([seed, 4]).permutation(n_instances)[:n])


def choose_use(
    ranker: XRLinear,
    X: Features,
    Y: sp.csr_array,
    label_rows: Features,
    of_texts: NDArray[np.float32],
    n_held_out: int,
    documents: bool | str,
    weight: float | str,
) -> tuple[bool, float]:
    """Choose whether label texts are training documents, and what their cosines weigh, by rows held out.

    Parameters
    ----------
    ranker : XRLinear
        A template; one tree of it is trained on the other rows.
    X : Features of N rows
        The embedding in the last d columns. No row of it is copied where `label_rows` follows in the same arrays.
    Y : csr_array of shape (N, L)
    label_rows : Features of L rows
        The features of the labels' texts.
    of_texts : ndarray of shape (L, d), float32
        The embeddings of the labels' texts.
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
    asked, truth = X.part(0, n_held_out), Y[:n_held_out]
    others, of_others = X.part(n_held_out, X.n_rows), Y[n_held_out:]
    assert others.dense is not None
    labels = embeddings_of_labels(of_texts, others.dense[:, -of_texts.shape[1] :], of_others)
    best = (-np.inf, uses[0], weights[0])
    for use in uses:
        model = clone(ranker).set_params(n_trees=1, overlap=1, label_documents=use, empty_labels="keep")
        model.fit(others, of_others, classes=np.arange(Y.shape[1]), label_texts=label_rows)
        for each in weights:
            searcher = CosineSearcher(model._searcher(), labels, each, everywhere=True)
            ids, _ = searcher.rank(asked, max(_KS), model.beam_size)
            figure = float(np.mean([precision_at_k(truth, ids, k) for k in _KS]))
            if figure > best[0]:
                best = (figure, use, each)
    return best[1:]
