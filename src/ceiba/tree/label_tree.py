"""The hierarchical label tree: which nodes stand below which, and which label is at which place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ceiba.errors import InputError


class LabelTree:
    """A hierarchical label tree.

    Children of a node are numbered without gaps, so a level is an array of offsets. The bottom level's children
    are *slots*, each holding one label; a label in several clusters owns several slots.

    Parameters
    ----------
    child_ptrs : sequence of ndarray of int64
        From the root down, one array per level: node p of level t has the children ``child_ptrs[t][p]`` up to
        ``child_ptrs[t][p + 1] - 1`` of level t + 1. The first array is ``[0, K_1]``; the last counts slots.
    slot_label : ndarray of shape (n_slots,), int32
        The label at each slot.

    Raises
    ------
    InputError
        When the offsets do not fit together, a label has no slot, or stands twice in one cluster.

    Examples
    --------
    >>> from ceiba import LabelTree
    >>> tree = LabelTree.from_parents([[0, 0, 1, 1, 1]])
    >>> tree
    LabelTree(depth=2, levels=[2], labels=5)
    >>> tree.path(3)
    [1]
    >>> print(tree.to_text(["cat", "dog", "oak", "elm", "fig"]))
    root (5 labels)
    ├── 0 (2 labels): cat, dog
    └── 1 (3 labels): oak, elm, fig
    """

    def __init__(self, child_ptrs: Sequence[ArrayLike], slot_label: ArrayLike):
        self.child_ptrs = [np.ascontiguousarray(ptr, dtype=np.int64) for ptr in child_ptrs]
        self.slot_label = np.ascontiguousarray(slot_label, dtype=np.int32)
        self._check()

    def _check(self) -> None:
        if not self.child_ptrs:
            raise InputError("A label tree has at least one level: child_ptrs is empty.")
        above = 1
        for t, ptr in enumerate(self.child_ptrs):
            if ptr.ndim != 1 or len(ptr) != above + 1 or ptr[0] != 0 or (np.diff(ptr) < 0).any():
                raise InputError(f"child_ptrs[{t}] must ascend from 0 and have {above + 1} entries.")
            above = int(ptr[-1])
        if self.slot_label.shape != (above,) or above == 0:
            raise InputError(f"slot_label must have {max(above, 1)} entries, has shape {self.slot_label.shape}.")
        # looked at before they are counted: a damaged number must not ask for gigabytes
        in_range = 0 <= self.slot_label.min() <= self.slot_label.max() < above
        counts = np.bincount(self.slot_label) if in_range else np.zeros(1, int)
        if (counts == 0).any():
            raise InputError("Every label from 0 to n_labels - 1 must have a slot in the tree.")
        if counts.max() > 1:
            places = np.column_stack([self.slot_cluster, self.slot_label])
            if len(np.unique(places, axis=0)) != above:
                raise InputError("A label stands twice in one cluster of the tree.")

    @classmethod
    def from_parents(cls, parents: Sequence[ArrayLike], n_labels: int | None = None) -> LabelTree:
        """Make a tree from the cluster of every node.

        Parameters
        ----------
        parents : sequence of array-like of int
            From the root down. ``parents[-1][l]`` is the cluster of label l, ``parents[-2][c]`` the parent of that
            cluster, and so on; the nodes of the first array's values hang below the root. Empty: all labels
            hang below the root (one-vs-all), and `n_labels` is needed.
        n_labels : int or None, default=None
            The number of labels when `parents` is empty.

        Returns
        -------
        LabelTree
            Nodes are renumbered so that siblings are neighbours; labels keep their numbers.
        """
        if not len(parents):
            if n_labels is None or n_labels < 1:
                raise InputError("n_labels must be at least 1 for a tree without clusters.")
            return cls([[0, n_labels]], np.arange(n_labels))
        arrays = [np.asarray(parent) for parent in parents]
        for t, array in enumerate(arrays):
            if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) == 0 or array.min() < 0:
                raise InputError(f"parents[{t}] must be a non-empty list of node numbers from 0 on.")
            if t > 0 and array.max() >= len(arrays[t - 1]):
                raise InputError(f"parents[{t}] names node {array.max()}, level {t} has {len(arrays[t - 1])}.")
        n_top = int(arrays[0].max()) + 1
        child_ptrs = [np.array([0, n_top])]
        place = np.arange(n_top)  # new number of each node of the level above
        for array in arrays:
            order = np.argsort(place[array], kind="stable")
            counts = np.bincount(place[array], minlength=len(place))
            child_ptrs.append(np.concatenate([[0], np.cumsum(counts)]))
            place = np.empty(len(array), np.int64)
            place[order] = np.arange(len(array))
        return cls(child_ptrs, order)

    @property
    def depth(self) -> int:
        """T, the number of levels below the root, labels included."""
        return len(self.child_ptrs)

    @property
    def level_sizes(self) -> list[int]:
        """K_1 to K_T: nodes of each level below the root; the last is the number of slots."""
        return [int(ptr[-1]) for ptr in self.child_ptrs]

    @property
    def n_labels(self) -> int:
        """L, the number of labels."""
        return int(self.slot_label.max()) + 1

    @property
    def overlap(self) -> int:
        """lambda, the most slots that one label has."""
        return int(np.bincount(self.slot_label).max())

    @property
    def slot_cluster(self) -> NDArray[np.int64]:
        """The bottom cluster of each slot."""
        ptr = self.child_ptrs[-1]
        return np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))

    def slots(self, label: int) -> NDArray[np.intp]:
        """Return the slots of a label.

        Parameters
        ----------
        label : int
            The label's number.

        Returns
        -------
        ndarray of int
            In ascending order; several where the label stands in several clusters.
        """
        found = np.flatnonzero(self.slot_label == label)
        if not len(found):
            raise InputError(f"label must be from 0 to {self.n_labels - 1}. Got {label!r} instead.")
        return found

    def path(self, label: int, slot: int = 0) -> list[int]:
        """Return the clusters from the root down to one slot of a label.

        Parameters
        ----------
        label : int
            A label from 0 to n_labels - 1.
        slot : int, default=0
            Which of the label's slots.

        Returns
        -------
        list of int
            The node of levels 1 to T - 1; empty in a tree without clusters.
        """
        node = int(self.slots(label)[slot])
        nodes = []
        for ptr in self.child_ptrs[:0:-1]:
            node = int(np.searchsorted(ptr, node, side="right")) - 1
            nodes.append(node)
        return nodes[::-1]

    def labels_under(self, level: int, node: int) -> NDArray[np.int32]:
        """Return the labels below a node.

        Parameters
        ----------
        level : int
            Counted from 0, the root.
        node : int
            Its number within the level.

        Returns
        -------
        ndarray of int32
            The labels, in the order of their slots.
        """
        if not 0 <= level < self.depth or not 0 <= node < len(self.child_ptrs[level]) - 1:
            raise InputError(f"The tree has no node {node} at level {level}.")
        first, last = node, node + 1
        for ptr in self.child_ptrs[level:]:
            first, last = int(ptr[first]), int(ptr[last])
        return self.slot_label[first:last]

    def to_text(self, names: Sequence[Any] | None = None, *, max_depth: int = 2, max_labels: int = 8) -> str:
        """Draw the tree.

        Parameters
        ----------
        names : sequence or None, default=None
            The name of each label; numbers when None.
        max_depth : int, default=2
            Levels below the root to draw.
        max_labels : int, default=8
            Labels to write out per node.
        """

        def words(level: int, node: int) -> str:
            labels = self.labels_under(level, node)
            shown = [str(label if names is None else names[label]) for label in labels[:max_labels]]
            more = ", …" if len(labels) > max_labels else ""
            return f"({len(labels)} labels): {', '.join(shown)}{more}"

        lines = [f"root ({len(self.slot_label)} labels)"]

        def draw(level: int, node: int, indent: str) -> None:
            if level + 1 >= self.depth or level >= max_depth:
                return
            first, last = self.child_ptrs[level][node], self.child_ptrs[level][node + 1]
            for child in range(first, last):
                end = child == last - 1
                lines.append(f"{indent}{'└── ' if end else '├── '}{child} {words(level + 1, child)}")
                draw(level + 1, child, indent + ("    " if end else "│   "))

        if self.depth == 1:
            lines[0] += words(0, 0)[words(0, 0).index(":") :]
        draw(0, 0, "")
        return "\n".join(lines)

    def to_arrays(self) -> dict[str, NDArray]:
        """Return the arrays that describe the tree, by the names they have on disk."""
        arrays: dict[str, NDArray] = {f"child_ptr.{t}": ptr for t, ptr in enumerate(self.child_ptrs)}
        arrays["slot_label"] = self.slot_label
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray]) -> LabelTree:
        """Make a tree of the arrays of `to_arrays`."""
        depth = sum(name.startswith("child_ptr.") for name in arrays)
        try:
            return cls([arrays[f"child_ptr.{t}"] for t in range(depth)], arrays["slot_label"])
        except KeyError as error:
            raise InputError(f"The arrays of a label tree lack {error}.") from error

    def save(self, path: str | Path) -> None:
        """Write the tree to a safetensors file.

        Parameters
        ----------
        path : str or Path
            The file; one that exists is replaced.
        """
        from ceiba.io.tensors import replace_tensors

        replace_tensors(Path(path), self.to_arrays())

    @classmethod
    def load(cls, path: str | Path) -> LabelTree:
        """Read a tree that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        LabelTree
            The same tree.

        Raises
        ------
        ModelFormatError
            When the file is damaged, or holds something else.
        """
        from ceiba.errors import ModelFormatError
        from ceiba.io.tensors import read_tensors

        try:
            return cls.from_arrays(read_tensors(Path(path)))
        except InputError as error:
            raise ModelFormatError(f"{path}: {error}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelTree):
            return NotImplemented
        return (
            self.depth == other.depth
            and all(map(np.array_equal, self.child_ptrs, other.child_ptrs))
            and np.array_equal(self.slot_label, other.slot_label)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LabelTree(depth={self.depth}, levels={self.level_sizes[:-1]}, labels={self.n_labels})"
