"""Parameters of the linear model beside those of the solver and of labels in several clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ceiba._params import COUNT, N_JOBS, SHARE, Exactly, Flag, Instance, Interval, Options, setting
from ceiba._random import RANDOM_STATE
from ceiba.linear.negatives import NEGATIVES
from ceiba.linear.nodes import COMBINE_NAMES
from ceiba.models.decision import TUNED
from ceiba.tree.label_tree import LabelTree

VECTORIZER = (
    Options("tfidf"),
    Exactly(None),
    Instance("a transformer with fit and transform", methods=("fit", "transform")),
)


@dataclass(frozen=True)
class TreeSettings:
    """The label trees: how many, and how labels are clustered."""

    n_trees: int = setting(
        1,
        COUNT,
        doc="Trees of different seeds, whose scores are averaged. Three are more accurate than one, at three times "
        "the cost.",
    )
    branching_factor: int = setting(
        16, Interval(int, 2, None), doc="The most children of a node above the bottom clusters."
    )
    max_leaf_size: int = setting(
        100,
        COUNT,
        doc="The most labels of a bottom cluster. As large as the number of labels: one level, that is one-vs-all.",
    )
    label_embedding: Any = setting(
        "pifa",
        Options("pifa", "pii", "text", "pifa+text"),
        Instance("an array of shape (L, d)", np.ndarray, sp.sparray, sp.spmatrix),
        doc="What labels are clustered by: the sum of their positives' features, the positives themselves, the "
        "features of `label_texts`, the first and the third side by side, or given rows (dense or sparse).",
    )
    tree: LabelTree | None = setting(
        None,
        Exactly(None),
        Instance("a LabelTree", LabelTree),
        doc="A tree of your own, used in place of clustering by every member of the ensemble.",
    )


@dataclass(frozen=True)
class InstanceSettings:
    """What classifiers learn from."""

    label_documents: bool = setting(
        False,
        Flag(),
        doc="Whether the text of a label (`label_texts`) is also a training text of it. It helps labels of few texts "
        "whose names say what they mean. It hurts where labels are terse tags.",
    )
    negatives: str = setting(
        "tfn",
        Options(*NEGATIVES),
        doc="Which instances a node's children learn from: those with a positive below the node (teacher-forced), "
        "those the levels above lead there (matcher-aware), or both.",
    )
    relevance_norm: str | None = setting(
        None,
        Exactly(None),
        Options("l1", "l2"),
        doc='What a text weighs as a positive of its labels. None: as much as any other. "l1": less the more labels '
        'it has, 1 / n of n labels, "l2": 1 / sqrt(n), both scaled to a mean of 1; of a cluster, the sum over its '
        "labels. Not used where ``fit`` is given a `relevance`.",
    )
    empty_labels: str = setting(
        "error",
        Options("error", "keep"),
        doc="What to do about a column of an indicator Y that is never positive: refuse it, or keep it as a label "
        "that is practically never predicted (for splits of a set that as a whole has positives, in a grid search "
        "for example).",
    )


@dataclass(frozen=True)
class SearchSettings:
    """How labels are ranked."""

    beam_size: int = setting(10, COUNT, doc='Nodes kept per level when predicting, and when training with "man".')
    combine: str = setting(
        "l3-hinge",
        Options(*COMBINE_NAMES),
        doc="A node's score from its margin m, multiplied down the path: exp(-max(0, 1 - m)^p), or 1 / (1 + "
        'exp(-m)). The "log-" forms return logarithms.',
    )
    prediction_threshold: float | str = setting(
        TUNED,
        SHARE,
        Options(TUNED),
        doc='The score from which ``predict`` returns a label; of a calibrated model, the probability. "tuned": what '
        "``tune_thresholds`` found, or 0.5 before that.",
    )


@dataclass(frozen=True)
class LinearModelSettings:
    """Settings of the whole model."""

    vectorizer: Any = setting(
        "tfidf",
        *VECTORIZER,
        doc="Turns texts into features: Ceiba's TfidfVectorizer with its defaults and the model's `n_jobs`, or any "
        "scikit-learn transformer, which is cloned. None: texts are an error.",
    )
    random_state: Any = setting(
        0,
        *RANDOM_STATE,
        doc="Seeds clustering and solver. The same seed gives the same model, bit for bit, for any `n_jobs`; None: "
        "no seed.",
    )
    n_jobs: int | None = setting(
        None,
        *N_JOBS,
        doc="Threads for training and batches; None and -1 are all processors this process may use, also by its "
        "container's quota, -2 all but one.",
    )
