"""The linear classifiers of one level of the tree, solved by dual coordinate descent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import COUNT, NOT_NEGATIVE, POSITIVE, Options, setting
from ceiba.data.instances import InstanceLists
from ceiba.executors.executor import Arrays, Executor, Piece, PieceContext
from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.layer import WEIGHT_DTYPES, Layer, LayerBuilder

LOSSES: dict[str, int] = core.LOSSES

_MOST_PASSES = 2**31 - 1  # what the core counts to

# Children that are solved before their weights are packed. Weights that are not packed yet take five times as much
# memory, so this bounds the peak; so many still keep a few dozen threads busy.
_CHILDREN_AT_ONCE = 2**14

_SHARDS = 32  # of a level, for an executor: enough to keep many workers busy, and few enough to be sent around


@dataclass(frozen=True)
class SolverSettings:
    """How the classifiers of a layer are trained."""

    loss: str = setting("squared_hinge", Options(*LOSSES), doc="The loss of the classifiers.")
    C: float = setting(
        1.0,
        POSITIVE,
        doc="The cost of an error beside the squared length of the weights; larger fits the training set more closely.",
    )
    cost_positive: float = setting(1.0, POSITIVE, doc="Multiplies C for positives.")
    cost_negative: float = setting(1.0, POSITIVE, doc="Multiplies C for negatives.")
    bias: float = setting(1.0, NOT_NEGATIVE, doc="The value of a constant feature; 0 leaves the intercept out.")
    tolerance: float = setting(
        0.3,
        POSITIVE,
        doc="A classifier is done when no dual coordinate violates optimality by more than about this.",
    )
    max_iter: int = setting(100, COUNT, doc="The most passes over the instances.")
    weight_threshold: float = setting(
        0.1,
        NOT_NEGATIVE,
        doc="Weights of smaller magnitude are dropped. Of a label that stands in s clusters of a tree, those smaller "
        "than sqrt(s) times as much are, so that a search has less to read.",
    )
    weight_dtype: str = setting(
        "float8",
        Options(*WEIGHT_DTYPES),
        doc='How weights are kept, in memory and on disk. "float8" keeps a sign, 3 bits of exponent and 4 of '
        "mantissa. It is at most 3% off for weights within a factor of 128 of the largest of their chunk.",
    )


def n_lanes(n_parents: int) -> int:
    """Return how many children of a parent the core solves at once at a level of so many parents.

    A single parent has every instance and few children: half-size groups let two threads share it.
    """
    return 8 if n_parents == 1 else 16


def training_cost(X: FeatureMatrix, child_ptr: NDArray[np.int64], matched: InstanceLists) -> NDArray[np.int64]:
    """Return what solving the children of each parent costs: instance features times lane groups."""
    groups = -(-np.diff(child_ptr) // n_lanes(matched.n_nodes))
    sizes = np.append(4 + X.row_sizes()[matched.indices], 0)
    per_parent = np.add.reduceat(sizes, np.minimum(matched.ptr[:-1], len(matched.indices)))
    return per_parent * (np.diff(matched.ptr) > 0) * groups


def train_layer(
    X: FeatureMatrix,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
    *,
    threshold_multiplier: NDArray | None = None,
    n_shards: int | None = None,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[int], None] | None = None,
    executor: Executor | None = None,
) -> Layer:
    """Train the classifiers of one level.

    Parameters
    ----------
    X : FeatureMatrix of N rows
    child_ptr : ndarray of shape (K_{t-1} + 1,), int64
        The children of each parent.
    matched : InstanceLists of K_{t-1} lists
        M_t: the instances that the children of each parent are trained on.
    positives : InstanceLists of K_t lists
        The positives of each child; those not matched to its parent are passed over. Weights multiply costs.
    settings : SolverSettings
    threshold_multiplier : ndarray of shape (K_t,), default=None
        Multiplies the threshold of each child.
    n_shards : int or None, default=None
        Ranges of parents that are solved and packed one after the other. None: as many as keep the weights that are
        not packed yet small. The layer does not depend on it, bit for bit.
    seed : int, default=0
    n_threads : int, default=1
        The layer does not depend on it, bit for bit.
    progress : callable or None, default=None
        Called now and then with the work done, in the units of `training_cost`.
    executor : Executor or None, default=None
        Trains shards of the parents elsewhere, side by side. None: all are trained in this process.

    Returns
    -------
    Layer

    References
    ----------
    Hsieh et al., "A Dual Coordinate Descent Method for Large-scale Linear SVM", ICML 2008; Yu, Huang and Lin,
    "Dual coordinate descent methods for logistic regression and maximum entropy models", Machine Learning 2011.
    """
    n_parents = matched.n_nodes
    if executor is not None and n_parents > 1:
        return _train_by(
            executor, X, child_ptr, matched, positives, settings, threshold_multiplier=threshold_multiplier, seed=seed,
            progress=progress,
        )  # fmt: skip
    if n_shards is None:
        n_shards = -(-positives.n_nodes // _CHILDREN_AT_ONCE)
    bounds = np.linspace(0, n_parents, max(1, min(n_shards, n_parents)) + 1).astype(int).tolist()
    builder, done = LayerBuilder(), 0
    cost = None if progress is None else training_cost(X, child_ptr, matched)
    for first, last in pairwise(bounds):
        report = None
        if progress is not None:
            report = lambda more, before=done: progress(before + more)  # noqa: E731
        block, work = train_parents(
            X, child_ptr, matched, positives, settings, first, last,
            threshold_multiplier=threshold_multiplier, seed=seed, n_threads=n_threads, progress=report,
        )  # fmt: skip
        builder.add(block, work)
        if progress is not None and cost is not None:
            done += int(cost[first:last].sum())
            progress(done)
    return builder.finish(child_ptr, X.n_features)


def _train_by(
    executor: Executor,
    X: FeatureMatrix,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
    *,
    threshold_multiplier: NDArray | None,
    seed: int,
    progress: Callable[[int], None] | None,
) -> Layer:
    """Train the shards of a level by an executor; their bounds depend on the level alone."""
    cost = training_cost(X, child_ptr, matched)
    pieces = [
        Piece(
            f"the shard of parents {first} to {last - 1}", {"first": first, "last": last}, int(cost[first:last].sum())
        )
        for first, last in pairwise(_bounds(cost, np.diff(child_ptr)))
    ]
    shared = {
        "X": X, "child_ptr": child_ptr, "matched": matched, "positives": positives, "settings": settings,
        "threshold_multiplier": threshold_multiplier, "seed": seed,
    }  # fmt: skip
    report = None if progress is None else lambda stage, done, total: progress(done)
    builder = LayerBuilder()
    for shard in executor.map(train_shard, pieces, shared=shared, stage="shards", progress=report):
        work = {name.removeprefix("work."): int(shard.pop(name)[0]) for name in list(shard) if name[:5] == "work."}
        builder.add(shard, work)
    return builder.finish(child_ptr, X.n_features)


def _bounds(cost: NDArray[np.int64], n_children: NDArray[np.int64]) -> list[int]:
    """Cut parents into shards of about equal cost, with at most so many children as are solved before packing."""
    share = cost / max(1, cost.sum()) * _SHARDS
    full = n_children / _CHILDREN_AT_ONCE
    bounds, filled = [0], 0.0
    for parent, more in enumerate(np.maximum(share, full).tolist()):
        if filled and filled + more > 1:
            bounds.append(parent)
            filled = 0.0
        filled += more
    return [*bounds, len(cost)]


def train_shard(
    *,
    X: FeatureMatrix,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
    threshold_multiplier: NDArray | None,
    seed: int,
    first: int,
    last: int,
    context: PieceContext,
) -> Arrays:
    """Train one shard of a level wherever an executor runs it; ``work.*`` is what the solver did."""
    arrays, work = train_parents(
        X, child_ptr, matched, positives, settings, first, last,
        threshold_multiplier=threshold_multiplier, seed=seed, n_threads=context.threads(1),
    )  # fmt: skip
    return {**arrays, **{f"work.{name}": np.array([count]) for name, count in work.items()}}


def train_parents(
    X: FeatureMatrix,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
    first: int,
    last: int,
    *,
    threshold_multiplier: NDArray | None = None,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, NDArray], dict[str, int]]:
    """Train the children of the parents from `first` up to `last` of a level: a shard of `train_layer`.

    The chunks of a parent depend on its own lists and its number within the level only, so shards can be trained
    anywhere, in any order, and put together by `LayerBuilder`.

    Returns
    -------
    arrays : dict of str to ndarray
        The chunks of these parents; offsets begin at 0.
    work : dict of str to int
        What the solver did, see `Layer.work`.
    """
    begin, end = int(child_ptr[first]), int(child_ptr[last])
    strict = np.ones(end - begin) if threshold_multiplier is None else threshold_multiplier[begin:end]
    with np.errstate(over="ignore"):
        threshold = (float(settings.weight_threshold) * strict).astype(np.float32)
    own = slice(positives.ptr[begin], positives.ptr[end])
    arrays, work = core.train_parents(
        *X.arrays(),
        X.n_features,
        matched.ptr[first : last + 1] - matched.ptr[first],
        _items(matched, first, last),
        positives.ptr[begin : end + 1] - positives.ptr[begin],
        positives.indices[own],
        None if positives.weight is None else positives.weight[own],
        child_ptr[first : last + 1] - begin,
        LOSSES[settings.loss],
        settings.C * settings.cost_positive,
        settings.C * settings.cost_negative,
        settings.bias,
        settings.tolerance,
        min(settings.max_iter, _MOST_PASSES),
        threshold,
        WEIGHT_DTYPES[settings.weight_dtype],
        seed,
        first,
        n_lanes(matched.n_nodes),
        n_threads,
        progress,
    )
    arrays["value_type"] = np.array([arrays["value_type"]], np.uint8)
    return arrays, work


def _items(lists: InstanceLists, first: int, last: int) -> NDArray[np.int32]:
    return lists.indices[lists.ptr[first] : lists.ptr[last]]
