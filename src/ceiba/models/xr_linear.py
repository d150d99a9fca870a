"""XR-Linear: a recursive linear matcher and ranker."""

from __future__ import annotations

import time
from collections.abc import Sized
from itertools import chain
from typing import Any, ClassVar

from ceiba._estimator import Nested, named_arguments
from ceiba._params import available_threads
from ceiba._progress import Progress, shows_progress, stage
from ceiba._random import seed_from
from ceiba._settings import check_parameters, parameters
from ceiba.data.label_matrix import as_labels
from ceiba.data.label_space import LabelSpace
from ceiba.errors import InputError
from ceiba.executors.executor import Executor, start_executor
from ceiba.features import TfidfVectorizer
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.features.texts import checked, text_rows
from ceiba.linear.solve import SolverSettings
from ceiba.models import renamed_parameters
from ceiba.models.classifier import PartitionedClassifier
from ceiba.models.column_names import feature_names
from ceiba.models.disentangle import OverlapSettings
from ceiba.models.label_texts import in_class_order, kept_texts, with_documents
from ceiba.models.linear_params import InstanceSettings, LinearModelSettings, SearchSettings, TreeSettings
from ceiba.models.linear_recipe import (
    LinearSettings,
    add_documents,
    check_label_embedding,
    check_labels,
    report_of,
    train_linear,
)
from ceiba.models.model import TREE, Model, check_rows
from ceiba.models.presets import Presets
from ceiba.models.query_makers import FeatureQueries, QueryMaker, VectorizerQueries, new_vectorizer
from ceiba.models.sample_weights import matched_instances, weighted_positives
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.tree_search import TreeSearch


@parameters(TreeSettings, OverlapSettings, InstanceSettings, SolverSettings, SearchSettings, LinearModelSettings)
class XRLinear(Presets, PartitionedClassifier):
    """Recursive linear matcher and ranker on sparse features: many labels, ranked in microseconds.

    Labels are clustered into a tree; every node has a linear classifier, trained on the instances that reach its
    parent; a beam search walks the tree. ``XRLinear.from_preset`` sets several parameters by one word: "fast" is the
    defaults, "balanced" three trees, "accurate" five trees with labels in up to two clusters.

    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (L,)
        The labels, in the order of columns; int64, or str objects.
    n_features_in_ : int
        D.
    feature_names_in_ : ndarray of shape (D,), str objects
        The names of X's columns, where X is a data frame and all are str. Answers need the same in the same order.
    partitions_ : list of TreeModel
        Each tree with its layers.
    trees_ : list of LabelTree
    vectorizer_ : transformer or None
        The fitted vectorizer of a model fitted on texts.
    label_counts_ : ndarray of shape (L,), int64
        Positives of each label in training.
    label_texts_ : ndarray of shape (L,), str objects, or None
        The labels' texts, where ``fit`` was given any.
    n_train_ : int
        N, the rows of training.
    fit_report_ : dict
        Seconds of each stage of training, and the solver's work. Not saved.

    See Also
    --------
    ceiba.load : Load a saved model.
    ceiba.metrics.evaluate : Measure one.

    References
    ----------
    - Yu, Zhong, Zhang, Chang and Dhillon, "PECOS: Prediction for Enormous and Correlated Output Spaces", JMLR 2022:
      XR-Linear.
    - Prabhu et al., "Parabel", WWW 2018: balanced label trees and teacher-forced negatives.
    - Zhang, Chang, Yu and Dhillon, "Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text
      Classification", NeurIPS 2021, section 3.2: relevance weights whose rows are normalised.
    - Liu et al., "Label Disentanglement in Partition-based Extreme Multilabel Classification", NeurIPS 2021: `overlap`.

    Examples
    --------
    >>> from ceiba import XRLinear
    >>> texts = ["a ripe red apple", "a green apple", "fast red car", "a green car", "apple pie"]
    >>> labels = [["fruit", "red"], ["fruit"], ["vehicle", "red"], ["vehicle"], ["fruit", "dish"]]
    >>> model = XRLinear(random_state=0).fit(texts, labels)
    >>> top, scores = model.predict_topk(["the red car"], k=2)
    >>> top.tolist()
    [['red', 'vehicle']]
    """

    _presets: ClassVar[dict[str, dict[str, Any]]] = {
        "fast": {},
        "balanced": {"n_trees": 3},
        "accurate": {"n_trees": 5, "overlap": 2, "overlap_capacity": 2.0},
    }
    _renamed = renamed_parameters.XR_LINEAR
    _nested: ClassVar[dict[str, Nested]] = {"vectorizer": Nested("tfidf", TfidfVectorizer, shared=("n_jobs",))}

    @named_arguments({"Y": "y"}, texts="X", labels="y")
    @shows_progress
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        classes: Any = None,
        relevance: Any = None,
        label_texts: Any = None,
        matched: Any = None,
        executor: Executor | None = None,
        progress: Any = None,
    ) -> XRLinear:
        """Train the model.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts, read once, or features.
        y : sequence of N collections of str or int, or (N, L) indicator
            Y, the positives of each row. Rows without labels are legal (they are negatives for all), as are repeated
            labels and stored zeros (which are no positives).
        classes : sequence of L str or int, default=None
            Names of the columns of an indicator.
        relevance : (N, L) sparse matrix, default=None
            Multiplies the cost of an instance for a label; above 0 at every positive of Y, ignored elsewhere. None:
            as `relevance_norm` says.
        label_texts : sequence of L str, dict, or features of shape (L, D), default=None
            A text per label, in the order of the classes (sorted, where Y is lists) or by label, for
            ``label_embedding="text"`` and `label_documents`. Features where X is features.
        matched : (N, K) sparse matrix, default=None
            With `tree`: instances that the labels of the tree's K bottom clusters also learn from, as negatives or
            positives by Y.
        executor : Executor, default=None
            Where trees, or shards of their levels, are trained: a `ceiba.executors.RayExecutor` uses many machines.
            None: this process. The model does not depend on it, bit for bit.
        progress : callable, bool or None, default=None
            ``progress(stage, done, total)``, called a few times a second. None: a bar in a notebook, silence elsewhere.
            True: a bar on a terminal too, lines where there is none. False: silence.

        Returns
        -------
        XRLinear
            The model itself.

        Raises
        ------
        InputError, InputTypeError
            When a parameter or an argument cannot be used; nothing has been trained then.
        ClusterError
            When the executor's cluster cannot do the work.
        """
        check_parameters(self)
        if executor is not None:
            start_executor(executor)
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        rows = None if isinstance(X, FeatureMatrix) else text_rows(X)
        names = feature_names(X)
        texts = rows is not None
        if rows is not None:
            X = checked(rows) if isinstance(rows, (list, tuple)) else rows
        elif not isinstance(X, FeatureMatrix):
            X = as_features(X)
        labels, classes = as_labels(y, classes)
        settings = LinearSettings.of(self, seed=seed_from(self.random_state), n_threads=available_threads(self.n_jobs))
        check_labels(labels, classes, settings)
        label_texts = in_class_order(label_texts, classes)
        check_label_embedding(settings, len(classes), texts=texts, label_texts=label_texts)
        self._check_documents(texts, label_texts)
        positives = weighted_positives(labels, relevance, self.relevance_norm)
        extra = None if matched is None else matched_instances(matched, self.tree, labels.n_rows)
        started = time.perf_counter()
        n_train = labels.n_rows
        vectorizer, label_rows = None, None
        if texts:
            X, vectorizer = self._fit_vectorizer(X, n_train, label_texts, progress)
            if settings.needs_label_texts:
                label_rows = as_features(vectorizer.transform(label_texts))
            if self.label_documents:
                positives = with_documents(positives, n_train)
        else:
            check_rows("Y", n_train, X.n_rows)
            if self.label_documents:
                X, positives = add_documents(X, positives, label_texts)
        seconds = {"features": time.perf_counter() - started}

        trees = train_linear(
            X, positives, settings, label_rows=label_rows, matched=extra, progress=progress, executor=executor
        )

        space = LabelSpace(classes, labels.counts, n_train, kept_texts(label_texts))
        owner = type(self).__name__
        queries: QueryMaker = FeatureQueries(X.n_features, names, owner=owner)
        if texts:
            queries = VectorizerQueries(vectorizer, X.n_features, owner=owner)
        context = SearchContext(self.beam_size, self.combine, settings.n_threads)
        model = Model(space, queries, (TreeSearch(trees, len(space)),), TREE, context, self.prediction_threshold)
        self.__dict__.update(model_=model, fit_report_=report_of(trees, seconds))
        return self

    def _check_documents(self, texts: bool, label_texts: Any) -> None:
        if not self.label_documents:
            return
        if label_texts is None:
            raise InputError("label_documents=True needs label_texts, one for each label; got none.")
        if texts != isinstance(label_texts, list):
            kind = "texts" if texts else "features"
            raise InputError(f"label_documents=True needs label_texts to be {kind}, as X is.")

    def _fit_vectorizer(
        self, texts: Any, n_train: int, label_texts: Any, progress: Progress | None
    ) -> tuple[FeatureMatrix, Any]:
        """Return the features of the training texts and, where they are documents, of the label texts below."""
        n_rows = n_train
        if isinstance(texts, Sized):
            check_rows("Y", n_train, len(texts))
        if self.label_documents:
            texts, n_rows = chain(texts, label_texts), n_train + len(label_texts)
        if self.vectorizer is None:
            raise InputError("X holds texts, but vectorizer is None.")
        vectorizer = new_vectorizer(self.vectorizer, self.n_jobs)
        stage(progress, "features", n_rows)
        rows = texts if isinstance(vectorizer, TfidfVectorizer) else checked(texts)
        features = as_features(vectorizer.fit_transform(rows))
        check_rows("Y", n_rows, features.n_rows)
        if progress is not None:
            progress("features", n_rows, n_rows)
        return features, vectorizer
