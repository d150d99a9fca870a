"""Parameters of the hybrid model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ceiba._params import COUNT, N_JOBS, SHARE, Exactly, Flag, Instance, JsonList, Options, Text, setting
from ceiba._random import RANDOM_STATE
from ceiba.linear.nodes import COMBINE_NAMES
from ceiba.models.hybrid.settings import FUSIONS, SOURCES
from ceiba.models.x_transformer import XTransformer
from ceiba.models.xr_linear import XRLinear
from ceiba.models.xr_transformer import XRTransformer
from ceiba.retrieval.dense_index import AUTO, DENSE_SEARCHES


@dataclass(frozen=True)
class HybridSourceSettings:
    """Where candidates come from."""

    base: Any = setting(
        None,
        Exactly(None),
        Instance(
            "an XRLinear, an XRTransformer, an XTransformer or a list of them",
            XRLinear,
            XRTransformer,
            XTransformer,
            list,
            tuple,
        ),
        doc="Unfitted models to train as sources, with this model's `random_state` and `n_jobs`. Without an XRLinear "
        'among them, three label trees with relevance_norm="l2" are trained. A Transformer model is fine-tuned once, '
        "on nine tenths of the texts, and the fusion is trained on the tenth held out.",
    )
    sources: Any = setting(
        "auto",
        Options("auto"),
        JsonList(Options(*SOURCES)),
        doc='"linear", "neighbors"; with label texts also "linear-documents", "label-words", "label-stems", '
        '"label-terms"; with an encoder "linear-embeddings", "embedding-neighbors", "class-means"; with both '
        '"label-embeddings", "mapped-label-embeddings", "label-blend"; with a Transformer '
        'model in `base` "transformer", "transformer-neighbors", "transformer-means", and with label texts '
        '"transformer-label-embeddings"; and "class-words". "auto": all that have what they need; "class-words" only '
        "without label texts and encoder, where the fusion is boosted.",
    )
    encoder: str | None = setting(
        None,
        Exactly(None),
        Text('"frozen:" and a folder or a name'),
        doc='"frozen:" followed by a folder in the layout of Hugging Face, or by the name of a model on the hub. It '
        "embeds texts and label texts, and is not fine-tuned. None: no embeddings.",
    )
    max_length: int = setting(128, COUNT, doc="Tokens that the encoder reads of a text.")
    n_candidates: int = setting(60, COUNT, doc="Labels that each source proposes for a text.")
    n_neighbors: int = setting(30, COUNT, doc="Nearest training texts that vote.")
    dense_search: str = setting(
        AUTO,
        Options(*DENSE_SEARCHES),
        doc='How the nearest embeddings are found. "exact": by comparison with all. "graph": by an approximate search '
        'on a graph of them (usearch, the extra ceiba[ann]). "auto": "graph" above 100,000 rows if usearch is '
        "installed.",
    )
    fusion: str = setting(
        "auto",
        Options("auto", *FUSIONS),
        doc='"logistic": a logistic regression. "gbdt": gradient boosting on top of it (LightGBM, the extra '
        'ceiba[boosting]). "auto": "gbdt" if LightGBM is installed and there are at least 1,000 positive pairs of text '
        "and label to train on.",
    )


@dataclass(frozen=True)
class HybridModelSettings:
    """Settings of the whole model."""

    beam_size: int = setting(10, COUNT, doc="Nodes kept per level of a label tree when predicting.")
    combine: str = setting(
        "l3-hinge",
        Options(*(name for name in COMBINE_NAMES if not name.startswith("log-"))),
        doc="How margins become scores in label trees, see `XRLinear`.",
    )
    prediction_threshold: Any = setting(
        "tuned",
        Options("tuned"),
        SHARE,
        doc='The probability from which ``predict`` returns a label. "tuned": the one of best micro-F1 on texts held '
        "out.",
    )
    vectorizer: Any = setting(
        "tfidf",
        Options("tfidf"),
        Instance("a transformer with fit and transform", methods=("fit", "transform")),
        doc="Turns texts into features with rows of length 1: Ceiba's TfidfVectorizer, or any scikit-learn "
        "transformer, which is cloned.",
    )
    include_training_texts: bool = setting(
        False,
        Flag(),
        doc="Keep the training texts with the model, so that explanations show the nearest ones with their labels. "
        "Whoever has the model, or may ask a service on it, can then read them. Needs X to be texts, and a source of "
        "neighbors.",
    )
    random_state: Any = setting(
        0, *RANDOM_STATE, doc="Seeds clustering, solver, folds and boosting. The same seed gives the same model."
    )
    n_jobs: int | None = setting(
        None,
        *N_JOBS,
        doc="Threads; None and -1 are all processors this process may use, -2 all but one. The model does not depend "
        "on it.",
    )
