"""Labels hidden from the sources of a fold, so that the fusion is trained on labels without training texts too."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba.data.label_matrix import Labels

MAX_SHARE = 0.1  # of the positives held out


def hide_labels(
    trained_on: Labels, held_out: Labels, counts: NDArray[np.int64], texts: NDArray[np.bool_], seed: int
) -> Labels:
    """Return the labels of a fold's training rows without those that the fold hides.

    To rank labels without training texts, the fusion must be trained on such labels. Where nearly all labels are
    frequent, every positive of the rows held out has training texts, and the fusion would learn that a label without
    any is never right. So random labels are hidden. Their share of the positives held out is the share of labels
    without training texts among the labels with a text, at most a tenth.

    Parameters
    ----------
    trained_on : Labels
        Of the rows that the fold's sources are trained on.
    held_out : Labels
        Of the rows that the fusion learns from.
    counts : ndarray of shape (L,)
        Training texts of each label, in all rows.
    texts : ndarray of shape (L,), bool
        Which labels have a text; others are never hidden.
    seed : int

    Returns
    -------
    Labels
        `trained_on` itself where nothing is to be hidden.
    """
    share = min(MAX_SHARE, float(np.mean(counts[texts] == 0)) if texts.any() else 0.0)
    positives, known = held_out.counts, trained_on.counts > 0
    missing = share * positives.sum() - positives[texts & ~known].sum()
    hidden = np.zeros(len(counts), bool)
    for label in np.random.default_rng([seed, 9]).permutation(np.flatnonzero(texts & known & (positives > 0))):
        if positives[label] <= missing:
            hidden[label] = True
            missing -= positives[label]
    if not hidden.any():
        return trained_on
    Y = trained_on.by_row
    kept = ~hidden[Y.indices]
    ptr = np.concatenate([[0], np.cumsum(kept)])[Y.indptr]
    return Labels(sp.csr_array((Y.data[kept], Y.indices[kept], ptr.astype(Y.indptr.dtype)), shape=Y.shape))
