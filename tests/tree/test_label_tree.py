"""The label tree as a thing to make, look at and keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba import LabelTree
from ceiba.errors import InputError, ModelFormatError

patient = settings(deadline=None, max_examples=80)

SMALL = LabelTree([[0, 2], [0, 1, 3], [0, 2, 3, 6]], [4, 0, 2, 5, 1, 3])


@st.composite
def parents(draw):
    """Draw the cluster of every node, from the root down."""
    arrays = []
    nodes = draw(st.integers(1, 4))
    for _ in range(draw(st.integers(1, 3))):
        below = draw(st.integers(nodes, nodes + 8))
        array = [
            *range(nodes),
            *draw(st.lists(st.integers(0, nodes - 1), min_size=below - nodes, max_size=below - nodes)),
        ]
        arrays.append(draw(st.permutations(array)))
        nodes = below
    return arrays


@patient
@given(parents())
def test_from_parents_keeps_who_stands_below_whom(arrays):
    tree = LabelTree.from_parents(arrays)
    n_labels = len(arrays[-1])
    assert tree.n_labels == n_labels
    assert tree.depth == len(arrays) + 1
    assert sorted(tree.slot_label.tolist()) == list(range(n_labels))

    def ancestors(label):
        found, node = [], label
        for array in arrays[::-1]:
            node = array[node]
            found.append(node)
        return tuple(found[::-1])

    # two labels share a cluster of the tree exactly where they share one in the arrays
    for a in range(n_labels):
        for b in range(a):
            same_given = [x == y for x, y in zip(ancestors(a), ancestors(b), strict=True)]
            assert [x == y for x, y in zip(tree.path(a), tree.path(b), strict=True)] == same_given


@patient
@given(parents())
def test_labels_under_and_path_agree(arrays):
    tree = LabelTree.from_parents(arrays)
    for label in range(tree.n_labels):
        for level, node in enumerate(tree.path(label), start=1):
            assert label in tree.labels_under(level, node)
    for level, size in enumerate([1, *tree.level_sizes[:-1]]):
        below = [tree.labels_under(level, node) for node in range(size)]
        assert sorted(np.concatenate(below).tolist()) == list(range(tree.n_labels))


@patient
@given(parents())
def test_arrays_and_files_are_the_tree(tmp_path_factory, arrays):
    tree = LabelTree.from_parents(arrays)
    assert LabelTree.from_arrays(tree.to_arrays()) == tree
    path = tmp_path_factory.mktemp("tree") / "tree.safetensors"
    tree.save(path)
    assert LabelTree.load(path) == tree


def test_a_tree_describes_itself():
    assert repr(SMALL) == "LabelTree(depth=3, levels=[2, 3], labels=6)"
    assert SMALL.level_sizes == [2, 3, 6]
    assert SMALL.path(5) == [1, 2]
    assert SMALL.labels_under(0, 0).tolist() == [4, 0, 2, 5, 1, 3]
    assert SMALL.labels_under(1, 1).tolist() == [2, 5, 1, 3]
    assert SMALL.to_text(list("abcdef"), max_labels=2) == (
        "root (6 labels)\n"
        "├── 0 (2 labels): e, a\n"
        "│   └── 0 (2 labels): e, a\n"
        "└── 1 (4 labels): c, f, …\n"
        "    ├── 1 (1 labels): c\n"
        "    └── 2 (3 labels): f, b, …"
    )
    assert SMALL.to_text(max_depth=0) == "root (6 labels)"


def test_one_level():
    tree = LabelTree.from_parents([], 3)
    assert (tree.depth, tree.n_labels, tree.path(2)) == (1, 3, [])
    assert tree.to_text(["x", "y", "z"]) == "root (3 labels): x, y, z"


def test_a_label_in_two_clusters_has_two_slots():
    tree = LabelTree([[0, 2], [0, 2, 4]], [0, 1, 1, 2])
    assert tree.overlap == 2
    assert tree.slots(1).tolist() == [1, 2]
    assert (tree.path(1), tree.path(1, 1)) == ([0], [1])
    assert tree.n_labels == 3


def test_equality():
    same = LabelTree(SMALL.child_ptrs, SMALL.slot_label)
    assert same == SMALL
    assert LabelTree(SMALL.child_ptrs, SMALL.slot_label[::-1]) != SMALL
    assert LabelTree([[0, 6]], SMALL.slot_label) != SMALL
    assert SMALL != "a tree"
    with pytest.raises(TypeError):
        hash(SMALL)


@pytest.mark.parametrize(
    ("child_ptrs", "slot_label", "message"),
    [
        ([], [0], "child_ptrs is empty"),
        ([[0, 2, 3]], [0, 1, 2], r"child_ptrs\[0\] must ascend from 0 and have 2 entries"),
        ([[1, 2]], [0, 1], r"child_ptrs\[0\]"),
        ([[[0, 2]]], [0, 1], r"child_ptrs\[0\]"),
        ([[0, 2], [0, 3, 2]], [0, 1], r"child_ptrs\[1\]"),
        ([[0, 2], [0, 2]], [0, 1], r"child_ptrs\[1\] must ascend from 0 and have 3 entries"),
        ([[0, 2]], [0, 1, 2], "slot_label must have 2 entries"),
        ([[0, 2]], [[0, 1]], "slot_label must have 2 entries"),
        ([[0, 0]], [], "slot_label must have 1 entries"),
        ([[0, 2]], [0, 2], "Every label from 0 to n_labels - 1"),
        ([[0, 2]], [0, -1], "Every label from 0 to n_labels - 1"),
        ([[0, 2]], [0, 0], "twice"),
        ([[0, 2], [0, 2, 3]], [0, 0, 1], "twice"),
    ],
)
def test_what_is_no_tree(child_ptrs, slot_label, message):
    with pytest.raises(InputError, match=message):
        LabelTree(child_ptrs, slot_label)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "n_labels must be at least 1"),
        (([], 0), "n_labels must be at least 1"),
        (([[]],), r"parents\[0\]"),
        (([[0.5, 1]],), r"parents\[0\]"),
        (([[0, -1]],), r"parents\[0\]"),
        (([[0, 0], [0, 2]],), r"parents\[1\] names node 2, level 1 has 2"),
        (([[[0, 1]]],), r"parents\[0\]"),
    ],
)
def test_what_are_no_parents(arguments, message):
    with pytest.raises(InputError, match=message):
        LabelTree.from_parents(*arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda: SMALL.slots(6),
        lambda: SMALL.slots(-1),
        lambda: SMALL.path(99),
        lambda: SMALL.labels_under(3, 0),
        lambda: SMALL.labels_under(-1, 0),
        lambda: SMALL.labels_under(1, 2),
        lambda: LabelTree.from_arrays({"child_ptr.0": np.array([0, 1])}),
    ],
)
def test_what_a_tree_does_not_have(call):
    with pytest.raises(InputError):
        call()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "tree.safetensors"
    with pytest.raises(ModelFormatError, match=r"tree\.safetensors"):
        LabelTree.load(path)
    SMALL.save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:20], b"x" * len(whole)):
        path.write_bytes(damaged)
        with pytest.raises(ModelFormatError, match=r"tree\.safetensors"):
            LabelTree.load(path)
    wrong = whole.replace(SMALL.slot_label.tobytes(), np.array([4, 0, 2, 5, 1, 1], np.int32).tobytes())
    path.write_bytes(wrong)
    with pytest.raises(ModelFormatError, match=r"tree\.safetensors"):
        LabelTree.load(path)
