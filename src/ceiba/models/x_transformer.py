"""X-Transformer: an encoder fine-tuned once, against one level of clusters, and linear rankers."""

from __future__ import annotations

from ceiba.models.transformer import TransformerClassifier
from ceiba.models.transformer_params import transformer_parameters
from ceiba.models.transformer_recipe import BOTTOM_CLUSTERS


@transformer_parameters
class XTransformer(TransformerClassifier):
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

    _recipe = BOTTOM_CLUSTERS
