"""Ranking metrics of extreme multi-label classification, all in percent; and calibration, in shares.

Containers
----------
Every function takes the same containers and gives the same figures for the same content.

Positives (``Y_true``, ``Y_train``), one row per instance:

- a sparse matrix or array of shape (n, L), of any format: every stored value other than zero is a positive.
  A stored zero is none, and a positive that is stored twice counts once;
- a dense indicator of shape (n, L) of bool, int or float, by the same rule;
- a list of lists or sets of labels, all ints or all strings; a label listed twice in a row counts once.

Scores (``Y_score``):

- a sparse matrix or array of shape (n, L): a stored value is the score of a returned label, whatever its
  sign, zero too; a label without a stored value was not returned.  Duplicate entries add up, as in scipy;
- a dense *float* array of shape (n, L): every label is returned;
- labels, best first: an array of *ints* or strings of shape (n, k), or a list of lists.  -1 and None are
  empty places, as the ``labels`` of ``predict_topk`` have them.  They keep their place, and so does a label
  that stood further up in the same row: both are no hit.

Ints are column numbers beside a matrix, and names of labels where all containers are lists.  Strings beside a
matrix need ``classes``, the label of each column.  Labels outside ``classes`` are legal, see below.

Definitions
-----------
For a row with the positives y and the ranking r_1, r_2, ...: hit_j is 1 where r_j is in y and else 0, w_l
is the inverse propensity of label l, d_j = 1 / log2(j + 1), and D_j = d_1 + ... + d_j.

- P@k: mean over all rows of (hit_1 + ... + hit_k) / k.
- R@k: mean over the rows with positives of (hit_1 + ... + hit_k) / size of y.
- nDCG@k: mean over the rows with positives of (hit_1 d_1 + ... + hit_k d_k) / D_min(k, size of y).
- PSP@k: sum over rows of hit_1 w_r1 + ... + hit_k w_rk, divided by the same sum for the best ranking
  there is.
- PSnDCG@k: sum over rows of (hit_1 w_r1 d_1 + ... + hit_k w_rk d_k) / D_min(k, size of y), divided by the
  same sum for the best ranking there is.
- coverage@k: of the labels that are a positive of some row, the share that is a hit in the first k of
  some row.
- macro-P@k, macro-R@k, macro-F1@k: mean over all L labels of T / S, T / Y and 2 T / (S + Y), where label
  l is a hit in the first k of T rows, is returned in the first k of S rows and is a positive of Y rows.

What counts in the odd cases:

- Ties: of equal scores the lower column ranks first, whatever the order of storage.
- A score of -inf is no answer, as in the short rows of ``predict_topk``.  NaN is an error.
- Fewer than k returned: the missing places are no hits; P@k still divides by k.
- Rows without positives count as zero in P@k, and not at all in R@k and nDCG@k; they add nothing to
  either sum of PSP@k and PSnDCG@k.  (pyxclib counts them as zero in R@k and nDCG@k as well.)
- A quotient whose denominator is 0 is 0: labels that no row returns have precision 0, and a set without
  any positives has all figures 0.
- A label of the test set that training never saw is a positive that cannot be hit.  It counts in every
  denominator: in the size of y for R@k and nDCG@k, in the best ranking of PSP@k and PSnDCG@k with the
  propensity of n_l = 0 training instances, in coverage@k, and as one of the L labels of the macro metrics.
  `ceiba evaluate` gives the same figures and says how many such positives there are.
- L, for the macro metrics, is the number of columns of a matrix, else the length of ``classes`` (plus,
  with ``classes``, the listed labels that it lacks), else the number of distinct labels in all containers
  of the call.  So lists give the macro figures of a matrix only with ``classes``; no other figure depends
  on L.

`compare` gives the differences of two rankings with intervals, `by_frequency` the figures of rare and of frequent
labels, `per_label` those of each label.

`expected_calibration_error`, `log_loss`, `brier_score` and `reliability_curve` ask whether scores that are
probabilities can be believed.  They take matrices of scores in [0, 1] and look at the labels returned.

PSP@k and PSnDCG@k follow the XMC repository's Python evaluation code (pyxclib): the mean over rows,
divided by the mean of the best ranking.  napkinXC computes the same.  The repository's older MATLAB
scripts divide the discounted gain of every row by D_k, so their PSnDCG@k differs where rows have fewer
than k positives.

References
----------
- Jain, Prabhu and Varma, "Extreme Multi-label Loss Functions for Recommendation, Tagging, Ranking & Other
  Missing Label Applications", KDD 2016: propensities, PSP@k and PSnDCG@k.
- Bhatia et al., "The Extreme Classification Repository: Multi-label Datasets and Code", 2016.
- Schultheis, Wydmuch, Kotłowski, Babbar and Dembczyński, "Generalized test utilities for long-tail
  performance in extreme multi-label classification", NeurIPS 2023: macro metrics and coverage at k.
"""

from ceiba.metrics.calibration import (
    ReliabilityCurve,
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_curve,
)
from ceiba.metrics.comparison import Difference, compare
from ceiba.metrics.evaluate import evaluate, top_k
from ceiba.metrics.frequency import FrequencyGroup, by_frequency, per_label
from ceiba.metrics.propensity import LabelCounts, inverse_propensity
from ceiba.metrics.single import (
    coverage_at_k,
    macro_f1_at_k,
    macro_precision_at_k,
    macro_recall_at_k,
    ndcg_at_k,
    precision_at_k,
    psndcg_at_k,
    psp_at_k,
    recall_at_k,
)

__all__ = [
    "Difference",
    "FrequencyGroup",
    "LabelCounts",
    "ReliabilityCurve",
    "brier_score",
    "by_frequency",
    "compare",
    "coverage_at_k",
    "evaluate",
    "expected_calibration_error",
    "inverse_propensity",
    "log_loss",
    "macro_f1_at_k",
    "macro_precision_at_k",
    "macro_recall_at_k",
    "ndcg_at_k",
    "per_label",
    "precision_at_k",
    "psndcg_at_k",
    "psp_at_k",
    "recall_at_k",
    "reliability_curve",
    "top_k",
]
