"""The texts that linear matchers give to each node above a level: hard negatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.linear.negatives import match
from ceiba.linear.solve import SolverSettings
from ceiba.linear.tree_model import train_tree
from ceiba.tree.label_tree import LabelTree

_COMBINE = "l3-hinge"


def match_level(
    scheme: str,
    X: FeatureMatrix,
    embeddings: NDArray[np.float32],
    tree: LabelTree,
    levels: Sequence[InstanceLists],
    t: int,
    *,
    beam_size: int,
    seed: int,
    n_threads: int,
) -> InstanceLists:
    """Return M_t, the texts of each node above level t + 1, from linear matchers on X and the newest embeddings.

    The matchers of all levels above are trained again. They cost little beside the encoder, and the embeddings have
    changed since those levels were fine-tuned.

    Parameters
    ----------
    scheme : {"tfn", "man", "tfn+man"}
        As in `ceiba.linear.negatives.match`.
    X : FeatureMatrix of N rows
    embeddings : ndarray of shape (N, d), float32
    tree : LabelTree
    levels : sequence of InstanceLists
        The positives of the nodes of each level.
    t : int
        From 0.
    beam_size : int
        Nodes that a matcher gives each text.
    seed : int
    n_threads : int
    """
    if t == 0:
        return InstanceLists.everything(X.n_rows)
    if scheme == "tfn":
        return match(scheme, X, [], levels[t - 1], beam_size=beam_size, combine=_COMBINE)
    above = LabelTree(tree.child_ptrs[:t], np.arange(levels[t - 1].n_nodes))
    features = X.with_block(EMBEDDING, embeddings)
    plain = InstanceLists(levels[t - 1].ptr, levels[t - 1].indices)
    layers = train_tree(features, plain, above, SolverSettings(), seed=seed, n_threads=n_threads).layers
    return match(scheme, features, layers, plain, beam_size=beam_size, combine=_COMBINE, n_threads=n_threads)
