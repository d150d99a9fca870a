"""The index finds what all inner products find, whatever the matrix, the query and the number of threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.features.matrix import EMBEDDING, as_features
from ceiba.io.tensors import read_tensors, write_tensors
from ceiba.reference.sparse_index import SparseIndex as Twin
from ceiba.retrieval.sparse_index import SparseIndex


def random_rows(rng, rows, columns, *, density=0.1, steps=0, negative=False):
    """Return random rows; with `steps` of few values, so that scores tie."""
    X = sp.random_array((rows, columns), density=density, format="csr", dtype=np.float32, random_state=rng)
    X.data = X.data + np.float32(0.01)
    if steps:
        X.data = np.ceil(X.data * steps) / np.float32(steps)
    if negative:
        X.data *= rng.choice(np.array([-1, 1], np.float32), len(X.data))
    return X


def titles(rng, rows, columns):
    """Return rows of length 1 like TF-IDF's of titles: few words of a Zipf distribution, rare words weigh more."""
    counts = rng.integers(1, 15, rows)
    words = np.minimum(rng.zipf(1.3, counts.sum()) - 1, columns - 1)
    X = sp.csr_array((np.ones(len(words), np.float32), words, np.concatenate([[0], np.cumsum(counts)])))
    X.resize(rows, columns)
    X.sum_duplicates()
    X.data = np.log(2 + X.indices).astype(np.float32)
    X.data /= np.repeat(np.sqrt(np.add.reduceat(X.data**2, X.indptr[:-1])), np.diff(X.indptr)).astype(np.float32)
    return X


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 300),
    columns=st.integers(1, 60),
    n=st.integers(1, 40),
    steps=st.sampled_from([0, 1, 3]),
    negative=st.booleans(),
    least=st.sampled_from([0.0, 0.3]),
    exclude=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_the_index_is_its_twin(seed, rows, columns, n, steps, negative, least, exclude):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, rows, columns, steps=steps, negative=negative)
    Q = random_rows(rng, 20, columns, density=0.2, steps=steps, negative=negative)
    excluded = rng.integers(-1, rows, 20).astype(np.int32) if exclude else None
    found = SparseIndex(X).search(Q, n, exclude=excluded, least=least)
    assert_same(found, Twin(X).search(Q, n, exclude=excluded, least=least))


@pytest.mark.parametrize("n", [1, 30, 300])
def test_many_rows_are_searched_in_blocks(n):
    rng = np.random.default_rng(5)
    X = titles(rng, 50_000, 5_000)
    Q, own = X[:40], np.arange(40, dtype=np.int32)
    index = SparseIndex(X)
    expected = Twin(X).search(Q, n, exclude=own)
    assert_same(index.search(Q, n, exclude=own), expected)
    one_by_one = [index.search(Q[[q]], n, exclude=[q]) for q in range(40)]
    assert_same([np.concatenate([each[part] for each in one_by_one]) for part in (1, 2)], expected[1:])


def test_threads_do_not_change_the_answer():
    rng = np.random.default_rng(6)
    X = titles(rng, 5_000, 800)
    index = SparseIndex(X)
    expected = index.search(X[:500], 20)
    assert_same(index.search(X[:500], 20, n_threads=3), expected)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: index.search(X[:500], 20), range(8)):
            assert_same(found, expected)


def test_equal_scores_are_in_the_order_of_the_rows():
    index = SparseIndex(np.ones((20_000, 2), np.float32) * [1, 0])
    found = index.search([[1, 0]], 5, exclude=[1])
    assert found.ids.tolist() == [0, 2, 3, 4, 5]


def test_scores_of_given_rows():
    rng = np.random.default_rng(7)
    X, Q = random_rows(rng, 100, 30, negative=True), random_rows(rng, 12, 30, negative=True)
    ptr = np.concatenate([[0], np.cumsum(rng.integers(0, 30, 12))]).astype(np.int64)
    rows = rng.integers(0, 100, ptr[-1]).astype(np.int32)
    expected = Twin(X).products(Q)[np.repeat(np.arange(12), np.diff(ptr)), rows]
    for threads in (1, 2):
        np.testing.assert_array_equal(SparseIndex(X).score(Q, ptr, rows, n_threads=threads), expected)


def test_what_is_found_scores_the_same():
    rng = np.random.default_rng(8)
    X = titles(rng, 2_000, 300)
    index = SparseIndex(X)
    found = index.search(X[:50], 25)
    np.testing.assert_array_equal(index.score(X[:50], found.ptr, found.ids), found.scores)


@pytest.mark.parametrize("value", [9e14, 1e-18, 1e-30])
def test_very_large_and_very_small_values(value):
    rng = np.random.default_rng(9)
    X = random_rows(rng, 200, 20)
    X.data *= np.float32(value)
    assert_same(SparseIndex(X).search(X[:20], 10), Twin(X).search(X[:20], 10))


def test_rows_and_queries_without_values():
    X = sp.csr_array((5, 3), dtype=np.float32)
    assert len(SparseIndex(X).search(np.ones((2, 3)), 4).ids) == 0
    assert SparseIndex(np.eye(3)).search(sp.csr_array((2, 3), dtype=np.float32), 4).ptr.tolist() == [0, 0, 0]
    assert SparseIndex(sp.csr_array((0, 3), dtype=np.float32)).search(np.eye(3), 4).ptr.tolist() == [0, 0, 0, 0]


def test_dense_blocks_of_features_do_not_count():
    rng = np.random.default_rng(10)
    X = random_rows(rng, 50, 20)
    with_block = as_features(X).with_block(EMBEDDING, rng.normal(size=(50, 4)))
    assert_same(SparseIndex(with_block).search(with_block, 5), Twin(X).search(X, 5))


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_arrays_are_the_same_index(tmp_path, mmap):
    rng = np.random.default_rng(11)
    X = random_rows(rng, 300, 40, negative=True)
    write_tensors(tmp_path / "index.safetensors", SparseIndex(X).arrays())
    index = SparseIndex.from_arrays(read_tensors(tmp_path / "index.safetensors", mmap=mmap))
    assert (index.n_rows, index.n_features) == (300, 40)
    assert_same(index.search(X[:20], 7), Twin(X).search(X[:20], 7))


CHANGES = {
    "no lists": lambda a: a.pop("list_rows"),
    "another type": lambda a: a.update(data=a["data"].astype(np.float64)),
    "two dimensions": lambda a: a.update(data=a["data"][:, None]),
    "fewer values": lambda a: a.update(data=a["data"][:-1]),
    "a value that is not finite": lambda a: a["data"].__setitem__(3, np.nan),
    "a column too large": lambda a: a["indices"].__setitem__(3, 40),
    "a row too large": lambda a: a["list_rows"].__setitem__(3, 300),
    "a negative row": lambda a: a["list_rows"].__setitem__(3, -1),
    "rows that fall": lambda a: a["list_rows"].__setitem__(slice(0, 2), a["list_rows"][1::-1].copy()),
    "offsets that fall": lambda a: a["list_ptr"].__setitem__(1, 10**6),
    "a weight short": lambda a: a.update(list_weights=a["list_weights"][:-1]),
    "a negative step": lambda a: a["list_step"].__setitem__(2, -1),
    "a step that is no number": lambda a: a["list_step"].__setitem__(2, np.nan),
    "a list short": lambda a: a.update(list_step=a["list_step"][:-1]),
    "another shape": lambda a: a["shape"].__setitem__(0, 299),
    "a negative shape": lambda a: a["shape"].__setitem__(1, -40),
    "a long shape": lambda a: a.update(shape=np.array([300, 40, 1], np.int64)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_damaged_arrays_are_refused(name):
    arrays = {
        key: array.copy()
        for key, array in SparseIndex(random_rows(np.random.default_rng(12), 300, 40)).arrays().items()
    }
    CHANGES[name](arrays)
    with pytest.raises(ModelFormatError, match="index"):
        SparseIndex.from_arrays(arrays)


@pytest.mark.parametrize(
    ("changes", "error", "name"),
    [
        ({"Q": np.eye(4)}, InputError, "features"),
        ({"Q": np.full((2, 3), np.nan)}, InputError, "Q"),
        ({"n": 0}, InputError, "n"),
        ({"n": 1.5}, InputError, "n"),
        ({"least": -0.1}, InputError, "least"),
        ({"least": np.nan}, InputError, "least"),
        ({"n_threads": 0}, InputError, "n_threads"),
        ({"exclude": [0]}, InputError, "exclude"),
        ({"exclude": [0, 1, 3]}, InputError, "exclude"),
        ({"exclude": [0, 1, -2]}, InputError, "exclude"),
        ({"exclude": [0.0, 1.0, 1.5]}, InputTypeError, "exclude"),
    ],
)
def test_bad_arguments(changes, error, name):
    with pytest.raises(error, match=name):
        SparseIndex(np.eye(3)).search(**({"Q": np.eye(3), "n": 2} | changes))


@pytest.mark.parametrize(
    ("ptr", "rows"),
    [([0, 1], [0]), ([0, 1, 2, 2], [0]), ([0, 1, 1, 1], [3]), ([0, 1, 1, 1], [-1]), ([1, 1, 1, 1], [0])],
)
def test_bad_pairs(ptr, rows):
    with pytest.raises(InputError, match="score"):
        SparseIndex(np.eye(3)).score(np.eye(3), np.array(ptr, np.int64), np.array(rows, np.int32))
