"""XR-Linear: a recursive linear matcher and ranker."""

from __future__ import annotations

import time
from collections.abc import Sized
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone

from ceiba._estimator import Nested, named_arguments
from ceiba._params import available_threads
from ceiba._progress import Progress, shows_progress, stage
from ceiba._random import seed_from
from ceiba._settings import check_parameters, parameters, settings_of
from ceiba.data.instances import InstanceLists
from ceiba.data.label_matrix import Labels, as_labels
from ceiba.errors import InputError
from ceiba.features import TfidfVectorizer
from ceiba.features.matrix import FeatureMatrix, as_features, stacked
from ceiba.features.texts import checked, text_rows
from ceiba.linear.solve import SolverSettings
from ceiba.linear.tree_model import TreeModel, train_tree
from ceiba.models import renamed_parameters
from ceiba.models.classifier import PartitionedClassifier
from ceiba.models.column_names import feature_names
from ceiba.models.disentangle import OverlapSettings, disentangle
from ceiba.models.label_texts import in_class_order, kept_texts, with_documents
from ceiba.models.linear_params import InstanceSettings, LinearModelSettings, SearchSettings, TreeSettings
from ceiba.models.presets import Presets
from ceiba.models.sample_weights import matched_instances, weighted_positives
from ceiba.tree.clustering import cluster_labels
from ceiba.tree.embeddings import pifa, pii, unit_rows

# Features kept of a label for clustering. Frequent labels have tens of thousands, which take most of the time and
# change no figure: P@1/3/5 on a split of the Debian training set are 89.75/72.39/59.04 with all and 89.80/72.37/58.99
# with 200.
PIFA_FEATURES = 512


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
        """
        check_parameters(self)
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
        self._check_labels(labels, classes)
        label_texts = in_class_order(label_texts, classes)
        self._check_embedding(len(classes), texts, label_texts)
        self._check_documents(texts, label_texts)
        positives = weighted_positives(labels, relevance, self.relevance_norm)
        extra = None if matched is None else matched_instances(matched, self.tree, labels.n_rows)
        seconds: dict[str, float] = {}
        started = time.perf_counter()
        counts, n_train = labels.counts, labels.n_rows
        if self.label_documents:
            if isinstance(X, (FeatureMatrix, Sized)):
                self._check_rows("Y", n_train, X.n_rows if isinstance(X, FeatureMatrix) else len(X))
            X = chain(X, label_texts) if texts else stacked(X, label_texts)
            positives = with_documents(positives, n_train)
        features, vectorizer = self._fit_features(X, n_train + self.label_documents * len(classes), progress)
        seconds["features"] = time.perf_counter() - started

        embeddings = None if self.tree is not None else self._embed(features, positives, label_texts, vectorizer)
        partitions = []
        for t, seed in enumerate(np.random.SeedSequence(seed_from(self.random_state)).generate_state(self.n_trees)):
            name = "tree" if self.n_trees == 1 else f"tree {t + 1}/{self.n_trees}"
            partitions.append(self._fit_tree(features, positives, embeddings, extra, int(seed), name, progress))

        self._forget()
        self.partitions_, self.vectorizer_ = partitions, vectorizer
        self.classes_, self.n_features_in_ = classes, features.n_features
        self.label_counts_, self.n_train_ = counts, n_train
        self.label_texts_ = kept_texts(label_texts)
        self._set_feature_names(names)
        for t, partition in enumerate(partitions):
            seconds.update({f"tree {t + 1} {name}": value for name, value in partition.seconds.items()})
        self.fit_report_ = {"seconds": seconds, "work": [partition.work() for partition in partitions]}
        return self

    def _fit_tree(
        self,
        X: FeatureMatrix,
        positives: InstanceLists,
        embeddings: Any,
        matched: InstanceLists | None,
        seed: int,
        name: str,
        progress: Progress | None,
    ) -> TreeModel:
        n_threads = available_threads(self.n_jobs)
        started = time.perf_counter()
        tree = self.tree
        if tree is None:
            tree = cluster_labels(
                embeddings,
                label_counts=np.diff(positives.ptr),
                branching_factor=self.branching_factor,
                max_leaf_size=self.max_leaf_size,
                random_state=seed,
                n_threads=n_threads,
                progress=stage(progress, f"clustering of {name}", positives.n_nodes),
            )
        seconds = {"clustering": time.perf_counter() - started}
        settings = settings_of(self, SolverSettings)
        options: dict[str, Any] = {
            "negatives": self.negatives,
            "beam_size": self.beam_size,
            "combine": self.combine,
            "seed": seed,
            "n_threads": n_threads,
            "progress": progress,
            "name": name,
        }
        if self.overlap > 1:
            overlap = settings_of(self, OverlapSettings)
            tree, learned = disentangle(X, positives, tree, settings, overlap, **options)
            seconds.update(learned)
        partition = train_tree(X, positives, tree, settings, matched=matched, **options)
        partition.seconds = {**seconds, **partition.seconds}
        return partition

    def _check_labels(self, labels: Labels, classes: NDArray) -> None:
        if labels.n_rows == 0:
            raise InputError("Y is empty: it has 0 rows.")
        if len(classes) == 0:
            raise InputError("Y holds no labels at all.")
        empty = np.flatnonzero(labels.counts == 0)
        if len(empty) and (self.empty_labels == "error" or len(empty) == len(classes)):
            raise InputError(
                f"{len(empty)} of the {len(classes)} labels in Y are never positive, {classes[empty[0]]!r} for one; "
                'drop their columns, set empty_labels="keep", or split Y by ceiba.MultilabelStratifiedKFold.'
            )
        if self.tree is not None and self.tree.n_labels != len(classes):
            raise InputError(f"tree has {self.tree.n_labels} labels, Y has {len(classes)}.")

    def _check_embedding(self, n_labels: int, texts: bool, label_texts: Any) -> None:
        kind = self.label_embedding
        if self.tree is not None:
            return
        if not isinstance(kind, str):
            if kind.ndim != 2 or kind.shape[0] != n_labels:
                raise InputError(
                    f"label_embedding must have {n_labels} rows, one per label; its shape is {kind.shape}."
                )
            as_features(kind, name="label_embedding")
        elif "text" in kind:
            if not texts:
                raise InputError(f"label_embedding={kind!r} needs X to be texts.")
            if label_texts is None:
                raise InputError(
                    f"label_embedding={kind!r} needs label_texts, one for each of the {n_labels} labels; got none."
                )

    def _check_documents(self, texts: bool, label_texts: Any) -> None:
        if not self.label_documents:
            return
        if label_texts is None:
            raise InputError("label_documents=True needs label_texts, one for each label; got none.")
        if texts != isinstance(label_texts, list):
            kind = "texts" if texts else "features"
            raise InputError(f"label_documents=True needs label_texts to be {kind}, as X is.")

    def _fit_features(self, X: Any, n_rows: int, progress: Progress | None) -> tuple[FeatureMatrix, Any]:
        if isinstance(X, FeatureMatrix):
            self._check_rows("Y", n_rows, X.n_rows)
            return X, None
        if isinstance(X, Sized):
            self._check_rows("Y", n_rows, len(X))
        if self.vectorizer is None:
            raise InputError("X holds texts, but vectorizer is None.")
        own = isinstance(self.vectorizer, str)
        vectorizer = TfidfVectorizer(n_jobs=self.n_jobs) if own else clone(self.vectorizer)
        stage(progress, "features", n_rows)
        rows = X if isinstance(vectorizer, TfidfVectorizer) else checked(X)
        features = as_features(vectorizer.fit_transform(rows))
        self._check_rows("Y", n_rows, features.n_rows)
        if progress is not None:
            progress("features", n_rows, n_rows)
        return features, vectorizer

    def _embed(self, X: FeatureMatrix, positives: InstanceLists, label_texts: Any, vectorizer: Any) -> Any:
        kind = self.label_embedding
        if not isinstance(kind, str):
            if sp.issparse(kind):
                return unit_rows(as_features(kind).to_scipy())
            dense = np.asarray(kind, np.float32)
            lengths = np.linalg.norm(dense, axis=1, keepdims=True)
            return np.ascontiguousarray(dense / np.where(lengths > 0, lengths, 1))
        if kind == "pii":
            return pii(positives, X.n_rows)
        parts = []
        if "pifa" in kind:
            plain = InstanceLists(positives.ptr, positives.indices)
            parts.append(pifa(X, plain, max_features=PIFA_FEATURES, n_threads=available_threads(self.n_jobs)))
        if "text" in kind:
            parts.append(as_features(vectorizer.transform(label_texts)))
        if len(parts) == 1 and "text" not in kind:
            return parts[0]
        return unit_rows(sp.hstack([part.to_scipy() for part in parts], format="csr"))
