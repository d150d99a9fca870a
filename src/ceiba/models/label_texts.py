"""Texts of labels as training documents and as embeddings: what a label is called says what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.instances import InstanceLists
from ceiba.errors import InputError, InputTypeError
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.features.texts import check_texts, text_rows

_OF_DOCUMENTS = 0.5  # 0.25 to 1 are alike on a validation split of titles, and better than 0, fine-tuned or frozen


def in_class_order(label_texts: Any, classes: NDArray) -> list[str] | FeatureMatrix | None:
    """Check label texts as callers have them.

    Parameters
    ----------
    label_texts : None, sequence of L str, mapping of label to str, or features of shape (L, D)
    classes : ndarray of shape (L,)

    Returns
    -------
    list of str, FeatureMatrix or None
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
    texts = text_rows(label_texts)
    if texts is not None:
        rows = check_texts(texts, "label_texts")
        n = len(rows)
    elif not sp.issparse(label_texts) and isinstance(label_texts, (list, tuple)) and not label_texts:
        n, rows = 0, []
    else:
        rows = as_features(label_texts, name="label_texts")
        n = rows.n_rows
    if n != len(classes):
        raise InputError(f"label_texts must be one for each of the {len(classes)} labels; got {n}.")
    return rows


def kept_texts(label_texts: list[str] | FeatureMatrix | None) -> NDArray | None:
    """Return label texts as a model keeps them for its answers: an array of str; None where there are none."""
    if not isinstance(label_texts, list):
        return None
    texts = np.empty(len(label_texts), object)
    texts[:] = label_texts
    return texts


def with_documents(positives: InstanceLists, n_instances: int) -> InstanceLists:
    """Return the positives where a row per label has been put below the N instances, each its own label's positive."""
    ends, label = positives.ptr[1:], np.arange(positives.n_nodes)
    items = np.insert(positives.indices, ends, (n_instances + label).astype(np.int32))
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
