"""The parameters of the Transformer models: what they mean, what they may be, their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ceiba._estimator import Nested
from ceiba._params import Constraints, Exactly, Flag, Instance, Interval, JsonList, Options, Text
from ceiba.finetuning.settings import HEAD_INITS
from ceiba.models import renamed_parameters
from ceiba.models.classifier import PartitionedClassifier
from ceiba.models.presets import Presets
from ceiba.models.xr_linear import XRLinear

_POSITIVE = Interval(float, 0, None, closed="neither")
_COUNT = Interval(int, 1, None)

OVERLAP = ("overlap", "overlap_rounds", "overlap_capacity")  # parameters of the rankers that the models have too


# The numpydoc section of both models. It is no docstring: Python drops those with -OO, and from 3.13 on strips their
# indentation.
PARAMETERS = """Parameters
    ----------
    encoder : str, default="sentence-transformers/all-MiniLM-L6-v2"
        A folder in Hugging Face's or sentence-transformers' layout, or the name of a model on the hub. "static" (or
        "static:256", with its width): vectors of tokens learned from the texts alone, for machines without a GPU and
        without pretrained weights; its vectors learn at 400 times `learning_rate`. With "frozen:" before it the
        encoder is used as it is: texts are embedded once and nothing is fine-tuned.
    max_length : int, default=128
        Tokens read of a text at once.
    long_texts : {"truncate", "chunks"}, default="truncate"
        What becomes of a text of more than `max_length` tokens: its beginning stands for it, or it is divided into
        chunks of that length. Its embedding is then the mean of the chunks', scaled to length 1. Fine-tuning and label
        texts take the first chunk only.
    pooling : {"auto", "mean", "cls", "last"}, default="auto"
        How the tokens' vectors become one: their mean, the first, or the last. "auto": what a sentence-transformers
        model names, else the last for decoders and the mean for all others.
    epochs : float, default=1.0
        Passes over the texts, of all levels together; each level has four times the steps of the one above, one of rare
        nodes (`prototype_max_positives`) sixteen times.
    steps : int, list of int or None, default=None
        Steps in place of `epochs`: of all levels together, or of each (0: a level is left out).
    finetuning_loss : {"softmax", "squared_hinge"}, default="softmax"
        Of every level: cross-entropy over a text's candidates, or the linear solver's own loss for each of them. With
        "squared_hinge" every level has weights of its own, so `prototype_max_positives` and `logit_adjustment` do not
        count, and label texts take part in ranking, not in fine-tuning.
    logit_scale : float, default=20.0
        With "softmax", what cosines are multiplied by at the start of a level: the inverse of a temperature.
    head_init : {"auto", "centroid", "linear", "random"}, default="auto"
        What the weights of a level's head are at its start. "centroid": the mean embedding of each node's positives.
        "linear": the linear solver's weights on the newest embeddings. "random": small random numbers, as X-Transformer
        was published (Chang et al., KDD 2020). "auto": "centroid" with "softmax", "linear" with "squared_hinge", which
        means do not suit.
    batch_size : int, default=32
        Texts per step. When memory runs out a step is made in smaller parts, with the same result.
    gradient_accumulation_steps : int, default=1
        Parts that a step is made in from the start, one after the other: less memory, the same gradients.
    learning_rate : float, default=0.0001
        The largest learning rate of the encoder: it rises over the warm-up, then falls to 0 over all levels.
    head_learning_rate : float, default=0.005
        The same for the heads.
    prototype_max_positives : float, default=100.0
        Levels whose nodes have fewer positives than this on average, but for the first, have no weights of their own,
        which would fit single texts: a node is where the mean embedding of its other texts lies, a text is told its
        nodes from all others by a softmax, and only the encoder is trained. Of more than 32,768 nodes (with a static
        encoder 2,048) so many are drawn at each step, to stand for all (Jean et al., ACL 2015). A level at which most
        texts share no node with another is left out. 0: every level has weights.
    logit_adjustment : float, default=0.5
        At levels of means, how much of the logarithm of a node's frequency, log(1 + n / 20) of n texts, is added to its
        margin in training: the encoder then need not learn which nodes are frequent, and tells rare ones apart better
        (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021). 0: nothing.
    warmup_ratio : float, default=0.1
        The share of all steps in which learning rates rise.
    weight_decay : float, default=0.01
        Of the encoder (AdamW), but for a static encoder's vectors, which have none.
    max_grad_norm : float, default=1.0
        Gradients of the encoder are scaled down to this length.
    dropout : float or None, default=None
        Replaces the encoder's own dropout in training, which leaves attention weights whole in any case; of a static
        encoder, the share of tokens left out.
    freeze_embeddings : bool, default=True
        Leave the tokens' own vectors as they are, but for a static encoder, which is nothing else.
    lora_rank : int or None, default=None
        Train additions of this rank to the weight matrices and leave the weights themselves as they are (LoRA): less
        memory, and little that can be unlearned; it bears ten times the learning rate. They are added in at the end.
        Needs the extra ceiba[lora].
    wise_ft_alpha : float, default=1.0
        The share of the fine-tuned weights in the final ones; the rest is that of the pretrained weights (WiSE-FT,
        Wortsman et al., CVPR 2022). 1 takes the fine-tuned weights as they are, 0.5 the mean of both, for texts of few
        words and labels of few texts.
    finetuning_negatives : {"tfn", "man", "tfn+man"}, default="tfn+man"
        Whose children a text is trained on below the first level: the clusters of its labels (teacher-forced), those
        that a linear matcher finds on embeddings and TF-IDF (matcher-aware), or both.
    negatives_beam_size : int, default=10
        Clusters that the matcher gives a text.
    matcher_branching_factor : int, default=32
        The most children of a node of the tree that is fine-tuned on.
    matcher_leaf_size : int, default=16
        The most labels of a bottom cluster of that tree.
    validation_fraction : float, default=0.0
        Share of the texts held out of fine-tuning (not of the rankers). The best weights by their loss are kept.
    patience : int, default=3
        With held-out texts: fine-tuning of a level ends after this many looks (20 per level) without a better loss.
    cosine_weight : float or "auto", default="auto"
        What the cosine between the embeddings of a text and of a label counts beside the ranker's score. A label's
        embedding is the mean of its training texts', and only the labels that the search reaches are compared
        ("auto": at 0.25, of a frozen encoder at 0.1). With label texts it is that of the label's text, moved towards
        the mean, and all labels are compared, L x d multiplications a text ("auto": the best of 0 to 2 on a twentieth
        of the texts, which is held out of fine-tuning for that).
    ranker_label_documents : bool or "auto", default="auto"
        With label texts: whether each is also a training text of the rankers. "auto": what is better on those texts.
    overlap : int, default=1
        lambda, the most clusters of a ranker's tree that one label may stand in (label disentanglement), as in
        `XRLinear`: learned from the matcher of the new tree, on the fine-tuned embeddings. At 1 that of `ranker`
        counts, and its `overlap_rounds` and `overlap_capacity`.
    overlap_rounds : int, default=1
        How often clusters are learned.
    overlap_capacity : float, default=1.0
        How much a cluster may cost when it takes in further labels, in multiples of the mean cost.
    ranker : XRLinear or None, default=None
        The linear model on embeddings and TF-IDF, as a template: its `random_state` and `n_jobs` are the model's. None:
        `default_ranker`.
    vectorizer : "tfidf", transformer or None, default="tfidf"
        The sparse features, as in `XRLinear`. None: the embeddings alone.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is a GPU where there is one.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What matrix products are made in; "auto" is the fastest that the device has and training bears.
    compile : {"auto"} or bool, default="auto"
        Compile the encoder for ``fit`` (`torch.compile`): a minute at the start, faster steps. "auto": on CUDA only.
        Where the compiler fails there is a warning, and training goes on without.
    checkpoint_dir : str or None, default=None
        Folder for checkpoints. A training that was stopped goes on from the last one when ``fit`` is called again with
        the same texts, labels and parameters, and ends with the same model.
    checkpoint_seconds : float, default=300.0
        Seconds between checkpoints; one is also written after each level.
    cache_dir : str or None, default=None
        Folder in which tokens, and a frozen encoder's embeddings, are kept for other trainings on the same texts and
        label texts.
    random_state : int, RandomState, Generator or None, default=0
        Seeds everything. The same seed gives the same model on the same machine's CPU. None: another model each time,
        so no training goes on from a checkpoint, and several processes refuse it.
    n_jobs : int or None, default=None
        Threads; None and -1 are all processors this process may use, also by its container's quota, -2 all but one.
"""


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
    _constraints: ClassVar[Constraints] = {
        "encoder": [Text("a folder, a name on the hub, 'static' or 'static:256', or any of these after 'frozen:'")],
        "max_length": [Interval(int, 4, None)],
        "long_texts": [Options("truncate", "chunks")],
        "pooling": [Options("auto", "mean", "cls", "last")],
        "epochs": [_POSITIVE],
        "steps": [Exactly(None), _COUNT, JsonList(Interval(int, 0, None))],
        "finetuning_loss": [Options("softmax", "squared_hinge")],
        "logit_scale": [_POSITIVE],
        "head_init": [Options(*HEAD_INITS)],
        "batch_size": [_COUNT],
        "gradient_accumulation_steps": [_COUNT],
        "learning_rate": [_POSITIVE],
        "head_learning_rate": [_POSITIVE],
        "prototype_max_positives": [Interval(float, 0, None)],
        "logit_adjustment": [Interval(float, 0, None)],
        "warmup_ratio": [Interval(float, 0, 1)],
        "weight_decay": [Interval(float, 0, None)],
        "max_grad_norm": [_POSITIVE],
        "dropout": [Exactly(None), Interval(float, 0, 1, closed="left")],
        "freeze_embeddings": [Flag()],
        "lora_rank": [Exactly(None), _COUNT],
        "wise_ft_alpha": [Interval(float, 0, 1)],
        "finetuning_negatives": [Options("tfn", "man", "tfn+man")],
        "negatives_beam_size": [_COUNT],
        "matcher_branching_factor": [Interval(int, 2, None)],
        "matcher_leaf_size": [_COUNT],
        "validation_fraction": [Interval(float, 0, 0.5)],
        "patience": [_COUNT],
        "cosine_weight": [Options("auto"), Interval(float, 0, None)],
        "ranker_label_documents": [Options("auto"), Flag()],
        **{name: XRLinear._constraints[name] for name in OVERLAP},
        "ranker": [Exactly(None), Instance("an XRLinear", XRLinear)],
        "vectorizer": XRLinear._constraints["vectorizer"],
        "device": [Text("a device such as 'auto', 'cpu' or 'cuda:0'")],
        "precision": [Options("auto", "float32", "bfloat16", "float16")],
        "compile": [Options("auto"), Flag()],
        "checkpoint_dir": [Exactly(None), Text("a folder"), Instance("a Path", Path)],
        "checkpoint_seconds": [Interval(float, 0, None)],
        "cache_dir": [Exactly(None), Text("a folder"), Instance("a Path", Path)],
        "random_state": XRLinear._constraints["random_state"],
        "n_jobs": XRLinear._constraints["n_jobs"],
    }

    def __init__(
        self,
        *,
        encoder: str = "sentence-transformers/all-MiniLM-L6-v2",
        max_length: int = 128,
        long_texts: str = "truncate",
        pooling: str = "auto",
        epochs: float = 1.0,
        steps: int | Sequence[int] | None = None,
        finetuning_loss: str = "softmax",
        logit_scale: float = 20.0,
        head_init: str = "auto",
        batch_size: int = 32,
        gradient_accumulation_steps: int = 1,
        learning_rate: float = 1e-4,
        head_learning_rate: float = 5e-3,
        prototype_max_positives: float = 100.0,
        logit_adjustment: float = 0.5,
        warmup_ratio: float = 0.1,
        weight_decay: float = 0.01,
        max_grad_norm: float = 1.0,
        dropout: float | None = None,
        freeze_embeddings: bool = True,
        lora_rank: int | None = None,
        wise_ft_alpha: float = 1.0,
        finetuning_negatives: str = "tfn+man",
        negatives_beam_size: int = 10,
        matcher_branching_factor: int = 32,
        matcher_leaf_size: int = 16,
        validation_fraction: float = 0.0,
        patience: int = 3,
        cosine_weight: float | str = "auto",
        ranker_label_documents: bool | str = "auto",
        overlap: int = 1,
        overlap_rounds: int = 1,
        overlap_capacity: float = 1.0,
        ranker: XRLinear | None = None,
        vectorizer: Any = "tfidf",
        device: str = "auto",
        precision: str = "auto",
        compile: bool | str = "auto",
        checkpoint_dir: str | Path | None = None,
        checkpoint_seconds: float = 300.0,
        cache_dir: str | Path | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ):
        self.encoder = encoder
        self.max_length = max_length
        self.long_texts = long_texts
        self.pooling = pooling
        self.epochs = epochs
        self.steps = steps
        self.finetuning_loss = finetuning_loss
        self.logit_scale = logit_scale
        self.head_init = head_init
        self.batch_size = batch_size
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.prototype_max_positives = prototype_max_positives
        self.logit_adjustment = logit_adjustment
        self.warmup_ratio = warmup_ratio
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.dropout = dropout
        self.freeze_embeddings = freeze_embeddings
        self.lora_rank = lora_rank
        self.wise_ft_alpha = wise_ft_alpha
        self.finetuning_negatives = finetuning_negatives
        self.negatives_beam_size = negatives_beam_size
        self.matcher_branching_factor = matcher_branching_factor
        self.matcher_leaf_size = matcher_leaf_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.cosine_weight = cosine_weight
        self.ranker_label_documents = ranker_label_documents
        self.overlap = overlap
        self.overlap_rounds = overlap_rounds
        self.overlap_capacity = overlap_capacity
        self.ranker = ranker
        self.vectorizer = vectorizer
        self.device = device
        self.precision = precision
        self.compile = compile
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_seconds = checkpoint_seconds
        self.cache_dir = cache_dir
        self.random_state = random_state
        self.n_jobs = n_jobs
