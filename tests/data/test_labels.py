"""Label lists and indicators become one canonical matrix, or one clear error."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csc_matrix, csr_array, csr_matrix

from ceiba.data import encode_labels, encode_with
from ceiba.errors import InputError, InputTypeError

NAMES = st.text(max_size=4)
ROWS = st.lists(st.lists(NAMES, max_size=5), max_size=12)


def sets_of(Y, classes):
    return [set(classes[Y.indices[a:b]].tolist()) for a, b in zip(Y.indptr[:-1], Y.indptr[1:], strict=True)]


def assert_canonical(Y):
    assert isinstance(Y, csr_array)
    assert Y.dtype == np.float32
    assert Y.indices.dtype == Y.indptr.dtype == np.int32
    assert (Y.data == 1).all()
    for a, b in zip(Y.indptr[:-1], Y.indptr[1:], strict=True):
        assert (np.diff(Y.indices[a:b]) > 0).all()


@given(ROWS)
def test_rows_come_back_as_sets_and_classes_are_sorted(rows):
    Y, classes = encode_labels(rows)
    assert_canonical(Y)
    assert sets_of(Y, classes) == [set(row) for row in rows]
    assert classes.tolist() == sorted({label for row in rows for label in row})


@given(ROWS, st.lists(NAMES, unique=True, max_size=6))
def test_encode_with_keeps_known_labels_and_counts_the_others(rows, known):
    Y, n_unknown = encode_with(rows, known)
    assert_canonical(Y)
    assert sets_of(Y, np.array(known, object)) == [set(row) & set(known) for row in rows]
    assert n_unknown == sum(len(set(row) - set(known)) for row in rows)


@given(ROWS)
def test_an_indicator_and_its_names_are_projected_like_the_lists(rows):
    known = ["", "a", "0"]
    Y, classes = encode_labels(rows)
    from_lists, n_lists = encode_with(rows, known)
    from_matrix, n_matrix = encode_with(Y, known, names=classes)
    assert n_lists == n_matrix
    assert (from_lists != from_matrix).nnz == 0


@pytest.mark.parametrize(
    "rows",
    [
        [["b", "a"], [], ["a", "a"]],
        [("b", "a"), (), ("a",)],
        [{"b", "a"}, set(), frozenset(["a"])],
        [np.array(["b", "a"]), np.array([], str), [np.str_("a")]],
        (row for row in [["b", "a"], [], ["a"]]),
    ],
)
def test_containers_of_labels_are_alike(rows):
    Y, classes = encode_labels(rows)
    assert classes.tolist() == ["a", "b"]
    assert Y.toarray().tolist() == [[1, 1], [0, 0], [1, 0]]


def test_an_array_of_names_is_read_row_by_row():
    Y, classes = encode_labels(np.array([["b", "a"], ["c", "c"]]))
    assert classes.tolist() == ["a", "b", "c"]
    assert Y.toarray().tolist() == [[1, 1, 0], [0, 0, 1]]


def test_ints_are_sorted_as_numbers():
    Y, classes = encode_labels([[10, 9], [np.int64(-1)], np.array([9], np.uint8)])
    assert classes.dtype == np.int64
    assert classes.tolist() == [-1, 9, 10]
    assert Y.toarray().tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 0]]


def test_a_list_of_int_lists_is_labels_but_an_array_is_an_indicator():
    assert encode_labels([[0, 1], [1, 0]])[0].toarray().tolist() == [[1, 1], [1, 1]]
    assert encode_labels(np.array([[0, 1], [1, 0]]))[0].toarray().tolist() == [[0, 1], [1, 0]]


DENSE = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]])


class Frame:
    """Looks like a data frame: iterates over column names."""

    ndim = 2

    def to_numpy(self):
        return DENSE

    def __iter__(self):
        return iter("abc")


@pytest.mark.parametrize(
    "Y",
    [
        DENSE,
        DENSE.astype(bool),
        DENSE.astype(np.float64),
        csr_matrix(DENSE),
        csc_matrix(DENSE.astype(bool)),
        coo_array(DENSE),
        csr_array(([1, 0, 2, 1, 1], [1, 0, 2, 0, 2], [0, 2, 2, 5]), shape=(3, 3)),
        Frame(),
    ],
    ids=["int", "bool", "float", "csr", "csc", "coo", "zeros-and-duplicates", "frame"],
)
def test_indicators_are_alike(Y):
    matrix, classes = encode_labels(Y)
    assert_canonical(matrix)
    assert matrix.toarray().tolist() == (DENSE != 0).tolist()
    assert classes.tolist() == [0, 1, 2]


def test_the_argument_is_left_alone():
    Y = csr_array((np.array([1.0, 0.0, 2.0]), [2, 1, 0], [0, 3]), shape=(1, 3))
    before = Y.copy()
    encode_labels(Y)
    for part in ("data", "indices", "indptr"):
        assert getattr(Y, part).tolist() == getattr(before, part).tolist()


def test_classes_give_the_order_of_columns():
    Y, classes = encode_labels([["b"], ["a"]], classes=["c", "b", "a"])
    assert classes.tolist() == ["c", "b", "a"]
    assert Y.toarray().tolist() == [[0, 1, 0], [0, 0, 1]]
    Y, classes = encode_labels(DENSE, classes=("x", "y", "z"))
    assert classes.tolist() == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (["a", "b"], r"row 0: expected a list of labels, found a str \('a'\).*\[\['news'\], \['sport'\]\]"),
        (np.array(["a", "b"]), "row 0: expected a list of labels"),
        ([1, 2], "row 0: expected a list of labels, found an int"),
        ([["a"], None], "row 1: expected a list of labels, found None"),
        ([["a"], {"b": 1}], "row 1: expected a list of labels, found a dict"),
        ([["a"], np.zeros((1, 1))], "row 1: expected a list of labels, found a ndarray"),
        ([["a"], ["b", 1]], "row 1: the label 1 is an int among labels of type str"),
        ([[1], ["b"]], "row 1: the label 'b' is a str among labels of type int"),
        ([["a"], [], ["b", None]], "row 2: a label must be a str or an int, not None"),
        ([[True]], "row 0: a label must be a str or an int, not a bool"),
        ([[1.0]], "row 0: a label must be a str or an int, not a float"),
        ("abc", "not a str"),
        (None, "not None"),
        (7, "not an int"),
        ({"a": 1}, "not a dict"),
        (np.array([[1j]]), "complex"),
    ],
)
def test_wrong_types_are_named(Y, message):
    with pytest.raises(InputTypeError, match=message):
        encode_labels(Y)
    with pytest.raises(InputTypeError, match=message) as refused:
        encode_with(Y, ["a"], argument="denied")
    assert re.findall(r"\bdenied\b|\bY\b", str(refused.value)) == ["denied"]


def broken_csr(**parts):
    Y = csr_array(np.eye(3))
    for name, value in parts.items():
        setattr(Y, name, np.array(value, getattr(Y, name).dtype))
    return Y


def broken_coo():
    Y = coo_array(np.eye(3))
    Y.coords[0][0] = 99
    return Y


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (np.array([[np.nan, 1]]), "NaN or infinite"),
        (csr_array(np.array([[np.inf, 1]])), "NaN or infinite"),
        (np.array([[-1, 1]]), "negative"),
        (np.zeros((1, 1, 1)), "shape"),
        (coo_array(np.ones(3)), "two axes"),
        (broken_csr(indices=[0, 1, 9]), "sparse matrix"),
        (broken_csr(indices=[0, -1, 2]), "sparse matrix"),
        (broken_csr(indptr=[0, 2, 1, 3]), "sparse matrix"),
        (broken_csr(indptr=[0, 9, 9, 0], indices=[], data=[]), "sparse matrix"),
        (broken_csr(indptr=[0, 2, 1, 3]).T, "sparse matrix"),
        (broken_coo(), "sparse matrix"),
        ([[2**63]], "64 bits"),
        ([[1], [-(2**63) - 1]], "row 1: .*64 bits"),
    ],
)
def test_wrong_values_are_named(Y, message):
    with pytest.raises(InputError, match=message):
        encode_labels(Y)
    with pytest.raises(InputError, match=message) as refused:
        encode_with(Y, ["a"], argument="denied")
    assert re.findall(r"\bdenied\b|\bY\b", str(refused.value)) == ["denied"]


def test_the_row_of_a_bad_label_is_found_beyond_the_first_chunk():
    rows = [["a", "b"]] * 70_000 + [["a", 3]]
    with pytest.raises(InputTypeError, match=r"row 70000:.*label 3"):
        encode_labels(rows)
    with pytest.raises(InputError, match=r"row 70000: .*64 bits"):
        encode_labels([[1]] * 70_000 + [[2**64]])


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (["a"], InputError, "row 1: the label 'b' is not among the classes"),
        (["a", "b", "a"], InputError, "'a' more than once"),
        (["a", 1], InputTypeError, "all str or all int"),
        ([0, 1], InputTypeError, "labels are of type str .* classes of type int"),
        ("ab", InputTypeError, "sequence of label names"),
        (np.array([["a"]]), InputError, "one axis"),
    ],
)
def test_wrong_classes_are_named(classes, error, message):
    with pytest.raises(error, match=message):
        encode_labels([["a"], ["b"]], classes=classes)


def test_widths_and_options_are_checked():
    with pytest.raises(InputError, match=r"Y.*3.*classes.*2"):
        encode_labels(DENSE, classes=["a", "b"])
    with pytest.raises(InputError, match=r"Y.*3.*2 classes"):
        encode_with(DENSE, ["a", "b"])
    with pytest.raises(InputError, match=r"Y.*3.*names.*2"):
        encode_with(DENSE, ["a", "b"], names=["a", "b"])
    with pytest.raises(InputError, match=r"\bnames\b"):
        encode_with([["a"]], ["a"], names=["a"])
    with pytest.raises(InputError, match="'unknown' parameter"):
        encode_with([["a"]], ["a"], unknown="drp")
    with pytest.raises(InputError, match=r"row 1:.*'z'"):
        encode_with([["a"], ["z"]], ["a"], unknown="error")
    with pytest.raises(InputTypeError, match=r"^denied.*type str.*type int"):
        encode_with([["a"], ["z"]], [1, 2], argument="denied")
    with pytest.raises(InputError, match=r"^denied, row 1:.*'z'"):
        encode_with([["a"], ["z"]], ["a"], unknown="error", argument="denied")
    with pytest.raises(InputError, match=r"^denied has 3.*2 classes"):
        encode_with(DENSE, ["a", "b"], argument="denied")
    Y, n_unknown = encode_with(DENSE, ["a", "b", "c"])
    assert Y.toarray().tolist() == (DENSE != 0).tolist()
    assert n_unknown == 0


def test_rows_without_any_label_are_legal():
    Y, classes = encode_labels([[], []])
    assert Y.shape == (2, 0)
    assert len(classes) == 0
    assert encode_with([[], []], ["a"])[0].shape == (2, 1)
