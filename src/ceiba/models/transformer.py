"""Base of the Transformer models: an encoder that is fine-tuned, and linear rankers on what it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ceiba._estimator import named_arguments
from ceiba._params import available_threads
from ceiba._progress import Progress, shows_progress, stage
from ceiba._random import seed_from
from ceiba._settings import check_parameters
from ceiba.data.label_matrix import as_labels
from ceiba.encoders.runtime import require_accelerate, require_torch
from ceiba.errors import InputError, InputTypeError
from ceiba.executors.executor import Executor, start_executor
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.models.classifier import PartitionedClassifier
from ceiba.models.column_names import feature_names
from ceiba.models.encoder_queries import EncoderQueries
from ceiba.models.fusion_weight import AUTO, validation_rows
from ceiba.models.label_texts import in_class_order
from ceiba.models.linear_recipe import LinearSettings, check_label_embedding, check_labels
from ceiba.models.model import TREE, Model, check_rows
from ceiba.models.query_makers import FeatureQueries
from ceiba.models.spread_training import fit_together
from ceiba.models.training_texts import TrainingTexts, as_texts
from ceiba.models.transformer_params import OVERLAP, TransformerParameters
from ceiba.models.transformer_recipe import FUSED, Recipe, train_transformer
from ceiba.models.xr_linear import XRLinear
from ceiba.retrieval.score_fusion import ScoreFusion


class TransformerClassifier(TransformerParameters):
    """Base of the Transformer models; not to be used by itself. A subclass has a recipe."""

    tunes_encoder = True
    _recipe: ClassVar[Recipe]
    ranker_: XRLinear

    # ------------------------------------------------------------------ training

    @named_arguments({"Y": "y", "texts": "X"}, labels="y", X="features")
    @shows_progress
    def fit(
        self,
        X: Any,
        y: Any,
        features: Any = None,
        *,
        classes: Any = None,
        label_texts: Any = None,
        executor: Executor | None = None,
        progress: Any = None,
    ) -> Self:
        """Train the model.

        The processes that `accelerate launch` or `torchrun` started fine-tune together, each on a part of every batch.
        All end with the same model; save it where the environment's RANK is 0. This needs the extra
        ceiba[distributed], and for `checkpoint_dir` a folder that all of them see.

        Parameters
        ----------
        X : iterable of str
            The texts.
        y : sequence of N collections of str or int, or (N, L) indicator
            Y, the positives of each row, as in ``XRLinear.fit``.
        features : sparse matrix or array-like of shape (N, D), default=None
            Features of your own in place of TF-IDF. Answers then take a pair (texts, features).
        classes : sequence of L str or int, default=None
            Names of the columns of an indicator.
        label_texts : sequence of L str or dict, default=None
            A text per label, in the order of the classes (sorted, where Y is lists) or by label. The encoder is then
            trained to bring a text near its labels' texts, and their cosines count when labels are ranked
            for every label (`cosine_weight`); `ranker_label_documents` says what else they are used for.
        executor : Executor, default=None
            Its workers fine-tune together, as processes that `torchrun` starts do. The model is that of one process
            with the same `batch_size`, up to rounding and dropout. None: this process.
        progress : callable, bool or None, default=None
            ``progress(stage, done, total)``, called now and then; if it has a method ``note``, that is told loss and
            speed. None, True, False: as in ``XRLinear.fit``.

        Returns
        -------
        estimator
            The model itself.

        Raises
        ------
        MissingExtraError
            When torch, transformers or what a parameter needs is not installed.
        InputError, InputTypeError
            When a parameter or an argument cannot be used; nothing has been trained then.
        """
        name = type(self).__name__
        check_parameters(self)
        require_torch(name)
        if self.lora_rank is not None:
            from ceiba.encoders.lora import require_peft

            require_peft("lora_rank")
        if executor is not None:
            start_executor(executor)
            texts = as_texts(X)
            self._checked(texts, y, features, classes, label_texts, seed=0)  # before anything is sent
            arguments = {"X": texts, "y": y, "features": features, "classes": classes, "label_texts": label_texts}
            fitted = fit_together(self, executor, arguments, progress)
            self.__dict__.update(model_=fitted.model_, ranker_=fitted.ranker_, fit_report_=fitted.fit_report_)
            return self
        seed = seed_from(self.random_state, shared=require_accelerate("Training in several processes"))
        columns = feature_names(features)
        given, ranker = self._checked(X, y, features, classes, label_texts, seed)
        model, report = train_transformer(self, self._recipe, given, ranker, columns, seed, progress)
        self.__dict__.update(model_=model, ranker_=_fitted_ranker(ranker, model), fit_report_=report)
        return self

    def _checked(
        self, texts: Any, y: Any, features: Any, classes: Any, label_texts: Any, seed: int
    ) -> tuple[TrainingTexts, XRLinear]:
        """Check what there is to train on, and return it beside a ranker that is yet to be fitted."""
        texts = as_texts(texts)
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        labels, classes = as_labels(y, classes)
        ranker = self._new_ranker()
        check_parameters(ranker)
        settings = LinearSettings.of(ranker, seed=seed, n_threads=1)
        check_labels(labels, classes, settings)
        check_label_embedding(settings, len(classes), texts=False, label_texts=None)
        check_rows("Y", labels.n_rows, len(texts))
        given = None if features is None else as_features(features)
        if given is not None:
            check_rows("features", given.n_rows, len(texts))
        names = in_class_order(label_texts, classes)
        if isinstance(names, FeatureMatrix):
            raise InputTypeError("label_texts must be texts; an encoder reads texts, not features.")
        found = TrainingTexts(texts, labels, classes, given, names)
        if names is not None and AUTO in (self.ranker_label_documents, self.cosine_weight):
            found = found.holdout_first(validation_rows(len(texts), seed))
        return found, ranker

    def _new_ranker(self) -> XRLinear:
        ranker = self.default_ranker() if self.ranker is None else clone(self.ranker)
        if isinstance(ranker.label_embedding, str) and "text" in ranker.label_embedding:
            raise InputError("ranker: label_embedding by label texts is for texts alone; use 'pifa' or 'pii'.")
        if ranker.label_documents:
            raise InputError(
                "ranker: label_documents is not set there; use ranker_label_documents of the model itself."
            )
        if self.overlap > 1:
            ranker.set_params(**{name: getattr(self, name) for name in OVERLAP})
        return ranker.set_params(random_state=self.random_state, n_jobs=self.n_jobs)

    # ------------------------------------------------------------------ answers

    def encode(self, texts: Any, *, progress: Progress | None = None) -> NDArray[np.float32]:
        """Return the embeddings of texts.

        Parameters
        ----------
        texts : iterable of str
            The texts to embed.
        progress : callable or None, default=None
            ``progress("embeddings", done, N)``, called now and then.

        Returns
        -------
        ndarray of shape (N, d), float32
            Rows of length 1.
        """
        queries = self._queries()
        texts = as_texts(texts)
        report = stage(progress, "embeddings", len(texts))
        return queries.embed(texts, progress=report, n_threads=available_threads(self.n_jobs))

    # ------------------------------------------------------------------ fitted attributes

    @property
    def reads_texts(self) -> bool:
        """Always: an encoder reads texts."""
        return True

    @property
    def encoder_(self) -> Any:
        """The encoder."""
        return self._queries().encoder

    @property
    def n_sparse_(self) -> int:
        """The number of sparse features."""
        return self._queries().n_sparse

    @property
    def own_features_(self) -> bool:
        """Whether the sparse features were given to ``fit``."""
        return self._queries().own_features

    @property
    def label_embeddings_(self) -> NDArray[np.float32] | None:
        """The embeddings of labels, where they count when labels are ranked."""
        fusion = self._fusion()
        return None if fusion is None else fusion.label_embeddings

    @property
    def cosine_weight_(self) -> float:
        """What the cosine to the embeddings of labels counts beside the ranker's score."""
        fusion = self._fusion()
        return 0.0 if fusion is None else fusion.weight

    @property
    def read_label_texts_(self) -> bool:
        """Whether labels had texts of their own."""
        fusion = self._fusion()
        return self.label_texts_ is not None or (fusion is not None and fusion.exhaustive)

    def _queries(self) -> EncoderQueries:
        return cast(EncoderQueries, self._fitted().queries)

    def _fusion(self) -> ScoreFusion | None:
        model = self._fitted()
        return cast(ScoreFusion, model.generator(FUSED)) if model.answers_by == FUSED else None

    # ------------------------------------------------------------------ what the search asks for is the ranker's

    @property
    def beam_size(self) -> int:  # type: ignore[override]
        """The ranker's."""
        return self._prediction_owner().beam_size

    @property
    def combine(self) -> str:  # type: ignore[override]
        """The ranker's."""
        return self._prediction_owner().combine

    @property
    def prediction_threshold(self) -> float | str:  # type: ignore[override]
        """The ranker's."""
        return self._prediction_owner().prediction_threshold

    def _prediction_owner(self) -> PartitionedClassifier:
        return self.__dict__.get("ranker_") or self._new_ranker()

    def fitted_state(self) -> dict[str, Any]:
        """Return the ranker's parameters: its trees are the model's."""
        return {"ranker": self.ranker_}

    def restore(self, model: Model, state: Mapping[str, Any]) -> None:
        """Take a model that was loaded, and its ranker."""
        self.__dict__.update(model_=model, ranker_=_fitted_ranker(state["ranker"], model))


def _fitted_ranker(ranker: XRLinear, model: Model) -> XRLinear:
    """Return the linear model by itself: the trees of a model, on features."""
    queries = FeatureQueries(model.queries.n_features, owner=type(ranker).__name__)
    labels, search = replace(model.labels, texts=None), model.tree_search
    ranker.model_ = replace(model, labels=labels, queries=queries, generators=(search,), answers_by=TREE, decision=None)
    return ranker
