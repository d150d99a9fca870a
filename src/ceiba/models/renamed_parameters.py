"""Former names of parameters: errors name those of today, and folders of formats 2 and 3 are translated at load."""

from __future__ import annotations

from ceiba._estimator import Renamed
from ceiba._params import Flag, Interval

XR_LINEAR = {"threshold": Renamed("weight_threshold")}

TRANSFORMERS = {
    "loss": Renamed("finetuning_loss"),
    "negatives": Renamed("finetuning_negatives"),
    "label_documents": Renamed("ranker_label_documents"),
    "bootstrap": Renamed("head_init", was=[Flag()], value=lambda at_embeddings: "auto" if at_embeddings else "random"),
    "negative_beam": Renamed("negatives_beam_size"),
    # formerly the share of the pretrained weights; alpha is the share of the fine-tuned ones, as where it was published
    "averaging": Renamed("wise_ft_alpha", was=[Interval(float, 0, 1)], value=lambda share: round(1.0 - share, 12)),
    "scale": Renamed("logit_scale"),
    "accumulation": Renamed("gradient_accumulation_steps"),
    "warmup": Renamed("warmup_ratio"),
    "min_positives": Renamed("prototype_max_positives"),
}
