"""Training of the linear model: from features and labels to label trees with their layers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._progress import Progress, stage
from ceiba._settings import settings_of
from ceiba.data.instances import InstanceLists
from ceiba.data.label_matrix import Labels
from ceiba.errors import InputError
from ceiba.executors.executor import Arrays, Executor, LocalExecutor, Piece, PieceContext
from ceiba.features.matrix import FeatureMatrix, as_features, stacked
from ceiba.linear.solve import SolverSettings
from ceiba.linear.tree_model import TreeModel, train_tree
from ceiba.models.disentangle import OverlapSettings, disentangle
from ceiba.models.label_texts import with_documents
from ceiba.models.linear_params import InstanceSettings, SearchSettings, TreeSettings
from ceiba.tree.clustering import cluster_labels
from ceiba.tree.embeddings import pifa, pii, unit_rows

# Features kept of a label for clustering. Frequent labels have tens of thousands, which take most of the time and
# change no figure: P@1/3/5 on a split of the Debian training set are 89.75/72.39/59.04 with all and 89.80/72.37/58.99
# with 200.
PIFA_FEATURES = 512


@dataclass(frozen=True)
class LinearSettings:
    """How a linear model is trained: the groups of settings that are parameters of `XRLinear`.

    `seed` and `n_threads` are what its `random_state` and `n_jobs` stand for.
    """

    trees: TreeSettings
    overlap: OverlapSettings
    instances: InstanceSettings
    solver: SolverSettings
    search: SearchSettings
    seed: int
    n_threads: int

    @classmethod
    def of(cls, estimator: Any, *, seed: int, n_threads: int) -> LinearSettings:
        """Return the settings that the parameters of an estimator give."""
        return cls(
            settings_of(estimator, TreeSettings),
            settings_of(estimator, OverlapSettings),
            settings_of(estimator, InstanceSettings),
            settings_of(estimator, SolverSettings),
            settings_of(estimator, SearchSettings),
            seed,
            n_threads,
        )

    @property
    def needs_label_texts(self) -> bool:
        """Whether labels are clustered by their texts."""
        kind = self.trees.label_embedding
        return self.trees.tree is None and isinstance(kind, str) and "text" in kind


def check_labels(labels: Labels, classes: NDArray, settings: LinearSettings) -> None:
    """Raise InputError where labels cannot be learned."""
    if labels.n_rows == 0:
        raise InputError("Y is empty: it has 0 rows.")
    if len(classes) == 0:
        raise InputError("Y holds no labels at all.")
    empty = np.flatnonzero(labels.counts == 0)
    if len(empty) and (settings.instances.empty_labels == "error" or len(empty) == len(classes)):
        raise InputError(
            f"{len(empty)} of the {len(classes)} labels in Y are never positive, {classes[empty[0]]!r} for one; "
            'drop their columns, set empty_labels="keep", or split Y by ceiba.MultilabelStratifiedKFold.'
        )
    tree = settings.trees.tree
    if tree is not None and tree.n_labels != len(classes):
        raise InputError(f"tree has {tree.n_labels} labels, Y has {len(classes)}.")


def check_label_embedding(settings: LinearSettings, n_labels: int, *, texts: bool, label_texts: Any) -> None:
    """Raise InputError where labels cannot be clustered by what `label_embedding` says."""
    kind = settings.trees.label_embedding
    if settings.trees.tree is not None:
        return
    if not isinstance(kind, str):
        if kind.ndim != 2 or kind.shape[0] != n_labels:
            raise InputError(f"label_embedding must have {n_labels} rows, one per label; its shape is {kind.shape}.")
        as_features(kind, name="label_embedding")
    elif "text" in kind:
        if not texts:
            raise InputError(f"label_embedding={kind!r} needs X to be texts.")
        if label_texts is None:
            raise InputError(
                f"label_embedding={kind!r} needs label_texts, one for each of the {n_labels} labels; got none."
            )


def add_documents(
    X: FeatureMatrix, positives: InstanceLists, label_rows: FeatureMatrix
) -> tuple[FeatureMatrix, InstanceLists]:
    """Return instances with those of the labels' texts below, each a positive of its label."""
    return stacked(X, label_rows), with_documents(positives, X.n_rows)


def train_linear(
    X: FeatureMatrix,
    positives: InstanceLists,
    settings: LinearSettings,
    *,
    label_rows: FeatureMatrix | None = None,
    matched: InstanceLists | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> list[TreeModel]:
    """Train the trees of a linear model.

    Parameters
    ----------
    X : FeatureMatrix of N rows
    positives : InstanceLists of L lists
        The positives of each label; weights are relevance.
    settings : LinearSettings
    label_rows : FeatureMatrix of L rows or None, default=None
        Features of the labels' texts, for ``label_embedding="text"``.
    matched : InstanceLists or None, default=None
        With ``settings.trees.tree``: instances that bottom clusters also learn from.
    progress : callable or None, default=None
        ``progress(stage, done, total)``, called now and then.
    executor : Executor or None, default=None
        Deals out trees, and shards of the levels of trees. The trees do not depend on it, bit for bit.

    Returns
    -------
    list of TreeModel
    """
    if executor is None:
        executor = LocalExecutor()
    embeddings = None if settings.trees.tree is not None else _embed_labels(X, positives, settings, label_rows)
    n_trees = settings.trees.n_trees
    names = ["tree" if n_trees == 1 else f"tree {t + 1}/{n_trees}" for t in range(n_trees)]
    seeds = np.random.SeedSequence(settings.seed).generate_state(n_trees).tolist()
    shared: dict[str, Any] = {
        "X": X, "positives": positives, "embeddings": embeddings, "matched": matched, "settings": settings,
    }  # fmt: skip
    whole = whole_trees(n_trees, executor.n_workers)
    arguments = [{"seed": seed, "name": name} for name, seed in zip(names, seeds, strict=True)]
    pieces = [Piece(each["name"], each) for each in arguments[:whole]]
    found = executor.map(train_one_tree, pieces, shared=shared, stage="trees", progress=progress)
    trees = [TreeModel.from_arrays(arrays) for arrays in found]
    trees += [_train_tree(**shared, **each, progress=progress, executor=executor) for each in arguments[whole:]]
    return trees


def whole_trees(n_trees: int, n_workers: int) -> int:
    """Return how many trees are trained as one piece of work each; the shards of the others' levels are pieces.

    Whole trees need the least exchange. Where they would leave half of the workers idle at the end, shards keep all
    of them busy.
    """
    left = n_trees % n_workers
    return n_trees if 2 * left > n_workers or not left else n_trees - left


def train_one_tree(
    *,
    X: FeatureMatrix,
    positives: InstanceLists,
    embeddings: Any,
    matched: InstanceLists | None,
    settings: LinearSettings,
    seed: int,
    name: str,
    context: PieceContext,
) -> Arrays:
    """Train one tree wherever an executor runs it."""
    settings = replace(settings, n_threads=context.threads(settings.n_threads))
    model = _train_tree(X, positives, embeddings, matched, settings, seed, name, context.progress)
    return model.to_arrays()


def report_of(trees: list[TreeModel], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return what training took and did, as ``fit_report_`` has it."""
    taken = dict(seconds)
    for t, model in enumerate(trees):
        taken.update({f"tree {t + 1} {name}": value for name, value in model.seconds.items()})
    return {"seconds": taken, "work": [model.work() for model in trees]}


def _train_tree(
    X: FeatureMatrix,
    positives: InstanceLists,
    embeddings: Any,
    matched: InstanceLists | None,
    settings: LinearSettings,
    seed: int,
    name: str,
    progress: Progress | None,
    executor: Executor | None = None,
) -> TreeModel:
    started = time.perf_counter()
    tree = settings.trees.tree
    if tree is None:
        tree = cluster_labels(
            embeddings,
            label_counts=np.diff(positives.ptr),
            branching_factor=settings.trees.branching_factor,
            max_leaf_size=settings.trees.max_leaf_size,
            random_state=seed,
            n_threads=settings.n_threads,
            progress=stage(progress, f"clustering of {name}", positives.n_nodes),
        )
    seconds = {"clustering": time.perf_counter() - started}
    options: dict[str, Any] = {
        "negatives": settings.instances.negatives,
        "beam_size": settings.search.beam_size,
        "combine": settings.search.combine,
        "seed": seed,
        "n_threads": settings.n_threads,
        "progress": progress,
        "name": name,
        "executor": executor,
    }
    if settings.overlap.overlap > 1:
        tree, learned = disentangle(X, positives, tree, settings.solver, settings.overlap, **options)
        seconds.update(learned)
    model = train_tree(X, positives, tree, settings.solver, matched=matched, **options)
    model.seconds = {**seconds, **model.seconds}
    return model


def _embed_labels(
    X: FeatureMatrix, positives: InstanceLists, settings: LinearSettings, label_rows: FeatureMatrix | None
) -> Any:
    """Return what labels are clustered by."""
    kind = settings.trees.label_embedding
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
        parts.append(pifa(X, plain, max_features=PIFA_FEATURES, n_threads=settings.n_threads))
    if "text" in kind:
        assert label_rows is not None  # checked before anything is trained
        parts.append(label_rows)
    if len(parts) == 1 and "text" not in kind:
        return parts[0]
    return unit_rows(sp.hstack([part.to_scipy() for part in parts], format="csr"))
