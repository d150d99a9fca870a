"""The weights of a trained head at the first step of its level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from torch import Tensor

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import EMBEDDING, FeatureMatrix
from ceiba.finetuning.level import Level
from ceiba.linear.solve import SolverSettings, train_layer

_RANDOM_SCALE = 0.02  # the standard deviation of BERT's initial weights

# margins on embeddings of length 1 need larger weights than margins on embeddings and TF-IDF
_SOLVER = SolverSettings(weight_threshold=0.0, weight_dtype="float32")


def initial_weights(
    level: Level, matched: InstanceLists | None, checkpoint: Mapping[str, Tensor] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weights (K, d) and biases (K,) of a level: those of a checkpoint, or as the settings say.

    Parameters
    ----------
    level : Level
    matched : InstanceLists or None
        The texts of each node above. None: all texts.
    checkpoint : mapping of str to Tensor, or None
    """
    settings = level.settings
    if checkpoint is not None:
        return checkpoint["head.weight"].numpy(), checkpoint["head.bias"][:, 0].numpy()
    head_init = settings.chosen_head_init()
    if head_init == "random":
        return random_weights(level.nodes.n_nodes, level.embeddings.shape[1], level.seed)
    if head_init == "centroid":
        return centroid_weights(level.embeddings, level.nodes, settings.logit_scale)
    child_ptr = level.child_ptr
    if matched is None:  # one node above, and all texts are matched to it
        child_ptr, matched = np.array([0, level.nodes.n_nodes]), InstanceLists.everything(level.n_instances)
    return solved_weights(level.embeddings, child_ptr, matched, level.nodes, seed=level.seed, n_threads=level.n_threads)


def solved_weights(
    embeddings: NDArray[np.float32],
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    *,
    seed: int,
    n_threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the linear solver's weights (K, d) and biases (K,) on the embeddings alone."""
    X = FeatureMatrix.from_block(EMBEDDING, embeddings)
    layer = train_layer(X, child_ptr, matched, positives, _SOLVER, seed=seed, n_threads=n_threads)
    weight = np.zeros((positives.n_nodes, embeddings.shape[1]), np.float32)
    for parent in range(len(child_ptr) - 1):
        feature, child, value = layer.chunk(parent)
        weight[child_ptr[parent] + child, feature] = value
    return weight, layer.arrays["bias"]


def centroid_weights(
    embeddings: NDArray[np.float32], positives: InstanceLists, scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean embedding of each node's positives, scaled to length `scale` (K, d), and biases of 0 (K,).

    A softmax needs no better weights at its first step. Unlike solved weights they do not fit single texts.
    """
    nodes = positives.matrix(len(embeddings), np.ones(len(positives.indices), np.float32))
    return scale * normalize(nodes @ embeddings).astype(np.float32), np.zeros(positives.n_nodes, np.float32)


def random_weights(n_nodes: int, dim: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return small random weights (K, d) and biases of 0 (K,).

    References
    ----------
    Chang, Yu, Zhong, Yang and Dhillon, "Taming Pretrained Transformers for Extreme Multi-label Text Classification"
    (X-Transformer), KDD 2020, section 3.2: a head of one output per cluster, trained with the encoder from the start.
    """
    weight = np.random.default_rng([seed, 5]).standard_normal((n_nodes, dim), np.float32)
    return np.float32(_RANDOM_SCALE) * weight, np.zeros(n_nodes, np.float32)
