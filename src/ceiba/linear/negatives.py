"""Which instances the children of a node are trained on: M_t."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.layer import Layer
from ceiba.linear.nodes import beam_nodes

NEGATIVES = ("tfn", "man", "tfn+man")


def match(
    scheme: str,
    X: FeatureMatrix,
    trained: Sequence[Layer],
    parent_positives: InstanceLists | None,
    *,
    beam_size: int,
    combine: str,
    n_threads: int = 1,
) -> InstanceLists:
    """Match instances to the parents of the level about to be trained.

    Parameters
    ----------
    scheme : {"tfn", "man", "tfn+man"}
        "tfn", teacher-forced: an instance is matched to the nodes that hold one of its positives. "man",
        matcher-aware: to the nodes that the layers trained so far return for it. "tfn+man": to both.
    X : FeatureMatrix of N rows
    trained : sequence of Layer
        The layers above, from the root down; none for the first level.
    parent_positives : InstanceLists or None
        The positives of the parents; None for the root, to which every instance is matched.
    beam_size : int
        Nodes per instance that "man" takes.
    combine : str
        As at prediction.
    n_threads : int, default=1

    Returns
    -------
    InstanceLists
        One list per parent.

    References
    ----------
    Yu et al., "PECOS", JMLR 2022, section 3.3 (teacher-forcing and matcher-aware negatives).
    """
    if parent_positives is None:
        return InstanceLists.everything(X.n_rows)
    teacher = InstanceLists(parent_positives.ptr, parent_positives.indices)
    if scheme == "tfn":
        return teacher
    ptr, nodes, _ = beam_nodes(trained, X, beam_size, combine, n_threads)
    hits = sp.csr_array((np.ones(len(nodes), np.int8), nodes, ptr), shape=(X.n_rows, parent_positives.n_nodes))
    matched = InstanceLists.from_columns(hits)
    return matched if scheme == "man" else teacher.union(matched, X.n_rows)
