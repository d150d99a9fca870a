"""The parameters of the Transformer models beside those of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ceiba._estimator import Nested
from ceiba._params import COUNT, N_JOBS, NOT_NEGATIVE, Exactly, Flag, Instance, Interval, Options, Text, setting
from ceiba._random import RANDOM_STATE
from ceiba._settings import parameters
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.models import renamed_parameters
from ceiba.models.classifier import PartitionedClassifier
from ceiba.models.disentangle import OverlapSettings
from ceiba.models.linear_params import VECTORIZER
from ceiba.models.presets import Presets
from ceiba.models.xr_linear import XRLinear

_FOLDER = (Exactly(None), Text("a folder"), Instance("a Path", Path))


@dataclass(frozen=True)
class EncoderSettings:
    """The encoder, and what it reads of a text."""

    encoder: str = setting(
        "sentence-transformers/all-MiniLM-L6-v2",
        Text("a folder, a name on the hub, 'static' or 'static:256', or any of these after 'frozen:'"),
        doc="A folder in Hugging Face's or sentence-transformers' layout, or the name of a model on the hub. "
        '"static" (or "static:256", with its width): vectors of tokens learned from the texts alone, for machines '
        "without a GPU and without pretrained weights; its vectors learn at 400 times `learning_rate`. With "
        '"frozen:" before it the encoder is used as it is: texts are embedded once and nothing is fine-tuned.',
    )
    max_length: int = setting(128, Interval(int, 4, None), doc="Tokens read of a text at once.")
    long_texts: str = setting(
        "truncate",
        Options("truncate", "chunks"),
        doc='How a text of more than `max_length` tokens is read. "truncate": only its first tokens. "chunks": in '
        "chunks of that length; its embedding is the mean of theirs, scaled to length 1. Fine-tuning and label texts "
        "take the first chunk only.",
    )
    pooling: str = setting(
        "auto",
        Options("auto", "mean", "cls", "last"),
        doc='How the tokens\' vectors become one: their mean, the first, or the last. "auto": what a '
        "sentence-transformers model names, else the last for decoders and the mean for all others.",
    )
    dropout: float | None = setting(
        None,
        Exactly(None),
        Interval(float, 0, 1, closed="left"),
        doc="Replaces the encoder's own dropout in training, which leaves attention weights whole in any case; of a "
        "static encoder, the share of tokens left out.",
    )


@dataclass(frozen=True)
class MatcherTreeSettings:
    """The tree that an encoder is fine-tuned on."""

    matcher_branching_factor: int = setting(
        32, Interval(int, 2, None), doc="The most children of a node of the tree that is fine-tuned on."
    )
    matcher_leaf_size: int = setting(16, COUNT, doc="The most labels of a bottom cluster of that tree.")


@dataclass(frozen=True)
class RankerSettings(OverlapSettings):
    """The linear rankers, and what counts beside their scores."""

    overlap: int = setting(
        1,
        COUNT,
        doc="lambda, the most clusters of a ranker's tree that one label may stand in (label disentanglement), as in "
        "`XRLinear`: learned from the matcher of the new tree, on the fine-tuned embeddings. At 1 that of `ranker` "
        "counts, and its `overlap_rounds` and `overlap_capacity`.",
    )
    cosine_weight: float | str = setting(
        "auto",
        Options("auto"),
        NOT_NEGATIVE,
        doc="What the cosine between the embeddings of a text and of a label counts beside the ranker's score. A "
        "label's embedding is the mean of its training texts', and only the labels that the search reaches are "
        'compared ("auto": at 0.25, of a frozen encoder at 0.1). With label texts it is that of the label\'s text, '
        'moved towards the mean, and all labels are compared, L x d multiplications a text ("auto": the best of 0 to '
        "2 on a twentieth of the texts, which is held out of fine-tuning for that).",
    )
    ranker_label_documents: bool | str = setting(
        "auto",
        Options("auto"),
        Flag(),
        doc='With label texts: whether each is also a training text of the rankers. "auto": what is better on those '
        "texts.",
    )
    ranker: XRLinear | None = setting(
        None,
        Exactly(None),
        Instance("an XRLinear", XRLinear),
        doc="The linear model on embeddings and TF-IDF, as a template: its `random_state` and `n_jobs` are the "
        "model's. None: `default_ranker`.",
    )


@dataclass(frozen=True)
class TransformerModelSettings:
    """Settings of the whole model."""

    vectorizer: Any = setting(
        "tfidf", *VECTORIZER, doc="The sparse features, as in `XRLinear`. None: the embeddings alone."
    )
    device: str = setting(
        "auto",
        Text("a device such as 'auto', 'cpu' or 'cuda:0'"),
        doc='"cpu", "cuda", "cuda:1", "mps"; "auto" is a GPU where there is one.',
    )
    precision: str = setting(
        "auto",
        Options("auto", "float32", "bfloat16", "float16"),
        doc='The number format of matrix products; "auto" is the fastest that the device has and training allows.',
    )
    compile: bool | str = setting(
        "auto",
        Options("auto"),
        Flag(),
        doc='Compile the encoder for ``fit`` (`torch.compile`): a minute at the start, faster steps. "auto": on CUDA '
        "only. Where the compiler fails there is a warning, and training goes on without.",
    )
    checkpoint_dir: str | Path | None = setting(
        None,
        *_FOLDER,
        doc="Folder for checkpoints. A training that was stopped goes on from the last one when ``fit`` is called "
        "again with the same texts, labels and parameters, and ends with the same model.",
    )
    cache_dir: str | Path | None = setting(
        None,
        *_FOLDER,
        doc="Folder in which tokens, and a frozen encoder's embeddings, are kept for other trainings on the same "
        "texts and label texts.",
    )
    random_state: Any = setting(
        0,
        *RANDOM_STATE,
        doc="Seeds everything. The same seed gives the same model on the same machine's CPU. None: another model "
        "each time, so no training goes on from a checkpoint, and several processes refuse it.",
    )
    n_jobs: int | None = setting(
        None,
        *N_JOBS,
        doc="Threads; None and -1 are all processors this process may use, also by its container's quota, -2 all but "
        "one.",
    )


OVERLAP = tuple(OverlapSettings.__dataclass_fields__)  # parameters of the rankers that the models have too
transformer_parameters = parameters(
    EncoderSettings, FineTuningSettings, MatcherTreeSettings, RankerSettings, TransformerModelSettings
)


@transformer_parameters
class TransformerParameters(Presets, PartitionedClassifier):
    """Base of the Transformer models; not to be used by itself."""

    _presets: ClassVar[dict[str, dict[str, Any]]] = {
        "fast": {"epochs": 0.25},
        "balanced": {},
        "accurate": {"epochs": 2.0, "overlap": 2, "overlap_capacity": 2.0},
    }

    _renamed = renamed_parameters.TRANSFORMERS

    @staticmethod
    def default_ranker() -> XRLinear:
        """Return the rankers' template where none is given.

        Beside an encoder their time does not count, so they are three trees of larger clusters, and small weights, of
        which embeddings have many, are kept. Texts of many labels weigh less as positives.
        """
        return XRLinear(n_trees=3, max_leaf_size=200, weight_threshold=0.01, relevance_norm="l2")

    _nested: ClassVar[dict[str, Nested]] = {
        **XRLinear._nested,
        "ranker": Nested(None, default_ranker, shared=("random_state", "n_jobs")),
    }
