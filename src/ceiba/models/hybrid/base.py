"""The models that are given to a hybrid model as sources."""

from __future__ import annotations

from typing import Any

from ceiba._settings import check_parameters
from ceiba.errors import InputError, InputTypeError
from ceiba.models.transformer import TransformerClassifier
from ceiba.models.xr_linear import XRLinear


def models_of_base(base: Any) -> tuple[list[XRLinear], list[TransformerClassifier]]:
    """Return the linear models and the Transformer models of the parameter `base`.

    Raises
    ------
    InputError, InputTypeError
        When a model cannot be a source, or is fitted already: it may have been trained on texts that are held out
        for the fusion.
    """
    models = list(base) if isinstance(base, (list, tuple)) else [] if base is None else [base]
    if not models and base is not None:
        raise InputError("base is an empty list: give one model or more, or None.")
    linear, transformers = [], []
    for each in models:
        name = type(each).__name__
        if isinstance(each, type) or not isinstance(each, (XRLinear, TransformerClassifier)):
            raise InputTypeError(f"base must hold XRLinear, XRTransformer or XTransformer estimators, not {name}.")
        check_parameters(each)
        if "model_" in vars(each):
            raise InputError(
                f"base: the {name} is fitted already, and may know the texts that the fusion learns from. Give one "
                "that is not fitted, such as sklearn.base.clone(model): it is trained here."
            )
        if each.tunes_encoder:
            transformers.append(_checked_transformer(each, name))
        else:
            linear.append(_checked_linear(each))
    return linear or [XRLinear(n_trees=3, relevance_norm="l2")], transformers


def _checked_linear(model: Any) -> Any:
    if model.tree is not None or not isinstance(model.label_embedding, str) or "text" in model.label_embedding:
        raise InputError("base must cluster labels by their training texts: tree=None, label_embedding='pifa'.")
    return model


def _checked_transformer(model: Any, name: str) -> Any:
    if not isinstance(model.vectorizer, str):
        raise InputError(
            f"base: the vectorizer of the {name} must be 'tfidf': it gets the sparse features of the hybrid model, "
            "whose own vectorizer may be set."
        )
    if model.ranker is not None:
        check_parameters(model.ranker)
        _checked_linear(model.ranker)
    return model
