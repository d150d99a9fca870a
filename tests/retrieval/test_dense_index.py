"""The graph of dense rows: nearly the exact nearest rows, the same bytes, checked when it is loaded."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba.errors import MissingExtraError, ModelFormatError
from ceiba.features.matrix import EMBEDDING, as_features
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter
from ceiba.io.sealed import Fields
from ceiba.retrieval import dense_index
from ceiba.retrieval.dense_index import DenseIndex, load_dense_index, save_dense_index
from ceiba.retrieval.dense_labels import DenseLabels
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.queries import Queries

pytest.importorskip("usearch", reason="the extra ceiba[ann] is not installed")
CTX = SearchContext()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(40, 32))
    rows = unit(topics[rng.integers(0, 40, 2000)] + 0.5 * rng.normal(size=(2000, 32))).astype(np.float32)
    rows[7] = 0
    return rows


@pytest.fixture(scope="module")
def graph(rows):
    return DenseIndex.of(rows)


def queries(rows):
    rng = np.random.default_rng(1)
    embeddings = unit(rows[1000:1100] + 0.1 * rng.normal(size=(100, 32))).astype(np.float32)
    return Queries(as_features(sp.csr_array((100, 3), dtype=np.float32)).with_block(EMBEDDING, embeddings))


def test_nearly_all_of_the_nearest_are_found_with_their_exact_cosines(rows, graph):
    Q = queries(rows)
    exact = DenseLabels(rows, name="x").candidates(Q, 10, ctx=CTX)
    found = DenseLabels(rows, name="x", index=graph).candidates(Q, 10, ctx=CTX)
    assert (np.diff(found.ptr) == 10).all()
    keys, wanted = (set((each.rows * len(rows) + each.ids).tolist()) for each in (found, exact))
    assert len(keys & wanted) > 0.98 * len(wanted)
    embeddings = Q.features.block(EMBEDDING)
    np.testing.assert_allclose(found.scores, (embeddings[found.rows] * rows[found.ids]).sum(axis=1), atol=1e-5)
    assert (np.diff(found.scores.reshape(100, 10), axis=1) <= 0).all()
    one = DenseLabels(rows, name="x", index=graph).candidates(Q.part(3, 4), 10, ctx=CTX)
    np.testing.assert_array_equal(one.ids, found.ids[30:40])
    assert len(DenseLabels(rows, name="x", index=graph).candidates(Q.part(0, 0), 10, ctx=CTX).ptr) == 1
    whole = DenseLabels(rows, name="x", index=graph).candidates(Q.part(0, 1), None, ctx=CTX)
    assert len(whole.ids) == len(rows), "all are asked of the rows themselves"


def saved(graph, folder, name="x"):
    folder.mkdir(exist_ok=True)
    return Fields(save_dense_index(graph, name, FolderWriter(folder)), folder / "model.json")


def test_the_same_rows_give_the_same_bytes(rows, graph, tmp_path):
    saved(graph, tmp_path / "a"), saved(DenseIndex.of(rows), tmp_path / "b")
    assert (tmp_path / "a" / "x.usearch").read_bytes() == (tmp_path / "b" / "x.usearch").read_bytes()


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_and_loaded(rows, graph, tmp_path, mmap):
    fields, Q = saved(graph, tmp_path / "m"), queries(rows)
    with FolderFiles(tmp_path / "m", mmap=mmap) as files:
        again = load_dense_index(files, "x", fields, rows)
        none = load_dense_index(files, "x", saved(None, tmp_path / "n"), rows)
    embeddings = Q.features.block(EMBEDDING)
    for threads in (1, 2):
        found, before = (each.nearest(embeddings, 7, n_threads=threads) for each in (again, graph))
        assert all((a == b).all() for a, b in zip(found, before, strict=True))
    assert none is None


def test_a_file_that_is_damaged_or_of_other_rows_is_an_error(rows, graph, tmp_path):
    fields, path = saved(graph, tmp_path / "m"), tmp_path / "m" / "x.usearch"
    content = bytearray(path.read_bytes())
    for bad in (content[: len(content) // 2], content[:100] + b"\xff" * 8 + content[108:], b""):
        path.write_bytes(bad)
        with FolderFiles(tmp_path / "m") as files, pytest.raises(ModelFormatError, match=r"x\.usearch"):
            load_dense_index(files, "x", fields, rows)
    path.write_bytes(content)
    for other in (rows[:-1], rows[:, :16]):
        with FolderFiles(tmp_path / "m") as files, pytest.raises(ModelFormatError, match=r"x\.usearch"):
            load_dense_index(files, "x", fields, other)
    path.unlink()
    with FolderFiles(tmp_path / "m") as files, pytest.raises(ModelFormatError, match=r"x\.usearch"):
        load_dense_index(files, "x", fields, rows)


def test_when_a_graph_is_built(rows, monkeypatch):
    assert dense_index.dense_index(rows, "auto") is None
    assert dense_index.dense_index(rows, "exact") is None
    monkeypatch.setattr(dense_index, "_MOST_EXACT", len(rows) - 1)
    assert dense_index.dense_index(rows, "auto") is not None
    assert dense_index.dense_index(rows, "exact") is None


def test_without_the_library_the_extra_is_named(rows, graph, tmp_path, monkeypatch):
    fields = saved(graph, tmp_path / "m")
    monkeypatch.setitem(__import__("sys").modules, "usearch", None)
    with pytest.raises(MissingExtraError, match=r"ceiba\[ann\]"):
        DenseIndex.of(rows)
    with FolderFiles(tmp_path / "m") as files, pytest.raises(MissingExtraError, match=r"ceiba\[ann\]"):
        load_dense_index(files, "x", fields, rows)
