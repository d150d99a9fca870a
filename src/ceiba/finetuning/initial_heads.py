"""What a level begins with: its shortlists from the levels above, and its head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.linear.negatives import match
from ceiba.linear.solve import SolverSettings, train_layer
from ceiba.linear.tree_model import train_tree
from ceiba.tree.label_tree import LabelTree

COMBINE = "l3-hinge"
_SPREAD = 0.02  # of a head's weights that begin at random, as of BERT's own

# margins on embeddings of length 1 need larger weights than those on TF-IDF beside them
_HEAD = SolverSettings(weight_threshold=0.0, weight_dtype="float32")
_MATCHER = SolverSettings()


def matched_at(
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
    """Return M_t, the instances of each parent of level t + 1, from linear matchers on X and the newest embeddings.

    The matchers of all levels above are trained anew: they cost little beside the encoder, and embeddings have changed
    since those levels were fine-tuned.
    """
    if t == 0:
        return InstanceLists.everything(X.n_rows)
    if scheme == "tfn":
        return match(scheme, X, [], levels[t - 1], beam_size=beam_size, combine=COMBINE)
    above = LabelTree(tree.child_ptrs[:t], np.arange(levels[t - 1].n_nodes))
    features = X.with_block(EMBEDDING, embeddings)
    plain = InstanceLists(levels[t - 1].ptr, levels[t - 1].indices)
    layers = train_tree(features, plain, above, _MATCHER, seed=seed, n_threads=n_threads).layers
    return match(scheme, features, layers, plain, beam_size=beam_size, combine=COMBINE, n_threads=n_threads)


def linear_head(
    embeddings: NDArray[np.float32],
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    *,
    seed: int,
    n_threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Solve the level's classifiers on the embeddings alone: weights (K, d) and biases (K,)."""
    X = FeatureMatrix.from_block(EMBEDDING, embeddings)
    layer = train_layer(X, child_ptr, matched, positives, _HEAD, seed=seed, n_threads=n_threads)
    weight = np.zeros((positives.n_nodes, embeddings.shape[1]), np.float32)
    for parent in range(len(child_ptr) - 1):
        feature, child, value = layer.chunk(parent)
        weight[child_ptr[parent] + child, feature] = value
    return weight, layer.arrays["bias"]


def centroid_head(
    embeddings: NDArray[np.float32], positives: InstanceLists, scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Point each node's weights at the mean embedding of its positives: weights (K, d) of length `scale`, biases of 0.

    A softmax's head needs no more to begin with, and unlike a solved one it does not fit single texts.
    """
    nodes = positives.matrix(len(embeddings), np.ones(len(positives.indices), np.float32))
    return scale * normalize(nodes @ embeddings).astype(np.float32), np.zeros(positives.n_nodes, np.float32)


def random_head(n_nodes: int, dim: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw small weights (K, d), and biases of 0: a head that knows nothing yet.

    References
    ----------
    Chang, Yu, Zhong, Yang and Dhillon, "Taming Pretrained Transformers for Extreme Multi-label Text Classification"
    (X-Transformer), KDD 2020, section 3.2: a head of one output per cluster, trained with the encoder from the start.
    """
    weight = np.random.default_rng([seed, 5]).standard_normal((n_nodes, dim), np.float32)
    return np.float32(_SPREAD) * weight, np.zeros(n_nodes, np.float32)
