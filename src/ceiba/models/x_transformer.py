"""X-Transformer: an encoder fine-tuned once, against one level of clusters, and linear rankers."""

from __future__ import annotations

import numpy as np

from ceiba.data.instances import InstanceLists
from ceiba.models.transformer_params import transformer_parameters
from ceiba.models.xr_transformer import XRTransformer
from ceiba.tree.label_tree import LabelTree
from ceiba.tree.levels import positives_per_level


@transformer_parameters
class XTransformer(XRTransformer):
    """Transformer matcher over one level of clusters, with linear rankers.

    The same as `XRTransformer`, with the same parameters, but for the levels: the encoder is fine-tuned once, against
    all bottom clusters of the matcher's tree (of at most `matcher_leaf_size` labels each), every text on every cluster.
    Labels' texts do not take part in fine-tuning, only in ranking.

    {parameters}

    References
    ----------
    Chang, Yu, Zhong, Yang and Dhillon, "Taming Pretrained Transformers for Extreme Multi-label Text Classification"
    (X-Transformer), KDD 2020.
    """

    _reads_labels = False

    def _matcher_tree(
        self, tree: LabelTree, positives: InstanceLists, n_instances: int
    ) -> tuple[LabelTree, InstanceLists]:
        if tree.depth == 1:
            return tree, positives
        clusters = positives_per_level(tree, positives, n_instances)[-2]
        n = clusters.n_nodes
        return LabelTree([np.array([0, n])], np.arange(n)), clusters
