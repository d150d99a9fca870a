"""Beam search through one tree or several: from features to ranked labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ceiba._params import Interval
from ceiba.errors import CeibaError, InputError, ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.linear.layer import Layer
from ceiba.linear.nodes import ALL_NODES, FORMS, core_searcher
from ceiba.linear.tree_model import TreeModel
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext, single_pair
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.tree_path import best_path
from ceiba.tree.label_tree import LabelTree

_MOST_TREES = 10**6


@component("tree-search", "generator")
class TreeSearch(CandidateGenerator):
    """Finds labels by beam search down trees of trained layers.

    Parameters
    ----------
    trees : sequence of TreeModel
    n_labels : int
        L.
    name : str, default="tree"

    Notes
    -----
    A batch is searched chunk by chunk: each chunk is visited once per block of rows. A few rows are searched row by
    row. Both give the same result bit for bit.

    Scores are kept as logarithms, in which all the combine functions are sums of terms that are at most 0. A node below
    the k-th best score found so far can then be left out, children and all, without changing the result.

    With several trees a label's score is the mean over all trees, 0 for one whose beam does not reach it.
    The k best labels are the first of any longer ranking, scores included.
    """

    kind: ClassVar[str]

    def __init__(self, trees: Sequence[TreeModel], n_labels: int, *, name: str = "tree"):
        self.trees, self.n_labels, self.name = tuple(trees), n_labels, name

    @cached_property
    def _core(self) -> Any:
        """The core's searcher: made when it is first asked for, since a training need not wait for its checks."""
        return core_searcher([(model.layers, model.tree.slot_label) for model in self.trees], self.n_labels)

    def check_arrays(self) -> None:
        """Raise ValueError, which names the array, where an array of a layer is inconsistent."""
        _ = self._core

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n best labels of each row, with n None all that the beam reaches."""
        form, logarithms = FORMS[ctx.combine]
        options = min(ctx.beam_size, ALL_NODES), n or 0, form, ctx.denied, ctx.n_threads, ctx.progress, logarithms
        return Ranked(*self._core.top_k(*Q.features.arrays(), *options, ctx.least, ctx.allowed)[:3])

    def rank(self, Q: Queries, k: int, *, ctx: SearchContext) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the k best labels of each row as (n, k) ids and scores; short rows end in -1 and -inf."""
        form, logarithms = FORMS[ctx.combine]
        options = min(ctx.beam_size, ALL_NODES), k, form, ctx.denied, ctx.n_threads, ctx.progress, logarithms
        return self._core.rank(*Q.features.arrays(), *options, ctx.allowed)

    def score(
        self,
        Q: Queries,
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        ctx: SearchContext,
        tree: int | None = None,
    ) -> NDArray[np.float32]:
        """Return the scores of given labels, whatever a beam would reach: the mean over all trees, or in one tree."""
        form, logarithms = FORMS[ctx.combine]
        which = -1 if tree is None else tree
        return self._core.score_labels(which, *Q.features.arrays(), ptr, labels, form, ctx.n_threads, logarithms)

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext, tree: int | None = None) -> Evidence:
        """Return the path to a label in one tree: that of its best score where `tree` is None.

        The details are "tree" and "steps", one `Step` per level.
        """
        ptr, labels = single_pair(label)
        scores = [float(self.score(Q, ptr, labels, ctx=ctx, tree=t)[0]) for t in range(len(self.trees))]
        if tree is None:
            tree = int(np.argmax(scores))
        self.check_tree(tree)
        steps = best_path(self.trees[tree], Q.features, label, ctx.combine)
        return Evidence(self.name, scores[tree], {"tree": tree, "steps": steps})

    def nodes(self, Q: Queries, depth: int, *, tree: int = 0, ctx: SearchContext) -> Ranked:
        """Return the beam of nodes after `depth` levels of one tree."""
        form, logarithms = FORMS[ctx.combine]
        beam = min(ctx.beam_size, ALL_NODES)
        return Ranked(*self._core.beam_nodes(tree, depth, *Q.features.arrays(), beam, form, ctx.n_threads, logarithms))

    def work(self, Q: Queries, k: int, *, ctx: SearchContext) -> dict[str, int]:
        """Count what `candidates` does: chunks visited, features looked up, those found, and weights added."""
        return self._core.top_k(*Q.features.arrays(), ctx.beam_size, k, FORMS[ctx.combine][0])[3]

    def check_tree(self, tree: int) -> None:
        """Raise InputError where there is no tree of that number."""
        if not 0 <= tree < len(self.trees):
            raise InputError(f"The model has {len(self.trees)} trees, there is no tree {tree}.")

    def __reduce__(self) -> Any:
        return _restored, (self.trees, self.n_labels, self.name)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write a file for each tree."""
        for t, model in enumerate(self.trees):
            arrays = {f"tree.{part}": array for part, array in model.tree.to_arrays().items()}
            for level, layer in enumerate(model.layers):
                arrays.update({f"layer.{level}.{part}": array for part, array in layer.arrays.items()})
            writer.tensors(_file(self.name, t), arrays)
        return {"name": self.name, "n_trees": len(self.trees)}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> TreeSearch:
        """Read what `save` wrote."""
        name, n_trees = fields.get("name", STRING), fields.get("n_trees", Interval(int, 1, _MOST_TREES))
        n_labels, n_features = len(context.part("labels", fields)), context.part("queries", fields).n_features
        trees = []
        for file in (_file(name, t) for t in range(n_trees)):
            try:
                trees.append(_tree_model(files.tensors(file), n_features, n_labels))
            except CeibaError as error:
                raise ModelFormatError(f"{files.path(file)}: {error}") from error
        try:
            search = cls(trees, n_labels, name=name)
            search.check_arrays()
            return search
        except ValueError as error:  # the core checks every offset, key and id
            raise ModelFormatError(f"{files.path()}: {error}") from error


def _restored(trees: Sequence[TreeModel], n_labels: int, name: str) -> TreeSearch:
    return TreeSearch(trees, n_labels, name=name)


def _file(name: str, tree: int) -> str:
    return f"{name}-{tree}.safetensors"


def _tree_model(arrays: dict[str, NDArray], n_features: int, n_labels: int) -> TreeModel:
    parts = {name.removeprefix("tree."): array for name, array in arrays.items() if name.startswith("tree.")}
    wrong = next((name for name, array in parts.items() if array.dtype.kind not in "iu"), None)
    if wrong is not None:
        raise ModelFormatError(f"the array {wrong!r} of the tree has the wrong type {parts[wrong].dtype}")
    tree = LabelTree.from_arrays(parts)
    if tree.n_labels != n_labels:
        raise ModelFormatError(f"the tree has {tree.n_labels} labels in place of {n_labels}")
    layers = []
    for level, child_ptr in enumerate(tree.child_ptrs):
        prefix = f"layer.{level}."
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        layers.append(Layer.from_arrays(child_ptr, n_features, own))
    return TreeModel(tree, layers)
