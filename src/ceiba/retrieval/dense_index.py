"""A graph of dense rows, for the nearest among hundreds of thousands without comparing with all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.data.offsets import offsets
from ceiba.errors import MissingExtraError, ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.top import ranked_pairs

AUTO, EXACT, GRAPH = "auto", "exact", "graph"
DENSE_SEARCHES: Sequence[str] = (AUTO, EXACT, GRAPH)
_MOST_EXACT = 100_000  # rows that "auto" compares with all
NEIGHBORS = 16  # of a row in the graph
BEAM, BUILD_BEAM = 128, 128  # rows kept on a way through the graph, when searching and when building


class DenseIndex:
    """The nearest dense rows by the cosine, found on a navigable small-world graph.

    The graph holds rows as 16-bit numbers and proposes rows; their cosines are then those of the exact rows. It is
    built by one thread in the order of the rows, so that the same rows give the same bytes.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float32
        Of length 1, or 0.
    graph : usearch.index.Index
        Of these rows, by their numbers.

    References
    ----------
    Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
    World graphs", TPAMI 2020.
    """

    def __init__(self, rows: NDArray[np.float32], graph: Any):
        self._rows, self._graph = rows, graph

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> DenseIndex:
        """Build the graph of rows.

        Raises
        ------
        MissingExtraError
            When usearch is not installed.
        """
        graph = _usearch().Index(
            ndim=rows.shape[1],
            metric="ip",
            dtype="f16",
            connectivity=NEIGHBORS,
            expansion_add=BUILD_BEAM,
            expansion_search=BEAM,
        )
        graph.add(np.arange(len(rows), dtype=np.uint64), rows, threads=1)
        return cls(rows, graph)

    def nearest(self, embeddings: NDArray[np.float32], n: int, *, n_threads: int) -> Ranked:
        """Return about the n nearest rows of each embedding, the nearest first, and the cosines."""
        n_queries, n = len(embeddings), min(n, len(self._rows))
        embeddings = np.ascontiguousarray(embeddings)
        ids, sizes = np.empty(0, np.int32), np.zeros(n_queries, np.int64)
        if n_queries:
            found = self._graph.search(embeddings, n, threads=n_threads)
            keys = np.asarray(found.keys).reshape(n_queries, -1)
            sizes = np.atleast_1d(np.asarray(getattr(found, "counts", keys.shape[1]), np.int64))
            ids = keys[np.arange(keys.shape[1]) < sizes[:, None]].astype(np.int32)
        ptr, row = offsets(sizes), np.repeat(np.arange(n_queries), sizes)
        cosines = core.inner_products(embeddings, self._rows, ptr, ids, n_threads)
        return ranked_pairs(n_queries, row, ids, cosines, n)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._rows, bytes(self._graph.save()))


def _restored(rows: NDArray[np.float32], graph: bytes) -> DenseIndex:
    restored = _usearch().Index.restore(graph)
    restored.expansion_search = BEAM
    return DenseIndex(rows, restored)


def dense_index(rows: NDArray[np.float32], search: str) -> DenseIndex | None:
    """Return a graph of rows where one is asked for, or "auto" takes one; None for a comparison with all rows."""
    many = len(rows) > _MOST_EXACT and find_spec("usearch") is not None
    return DenseIndex.of(rows) if search == GRAPH or (search == AUTO and many) else None


def save_dense_index(index: DenseIndex | None, name: str, writer: FolderWriter) -> dict[str, Any]:
    """Write the graph, if there is one, to a file of its own; return a field for the manifest."""
    if index is None:
        return {"graph": None}
    path = writer.path(f"{name}.usearch")
    index._graph.save(str(path))
    with path.open("rb") as file:
        return {"graph": hashlib.file_digest(file, "sha256").hexdigest()}


def load_dense_index(files: FolderFiles, name: str, fields: Fields, rows: NDArray[np.float32]) -> DenseIndex | None:
    """Read what `save_dense_index` wrote.

    The checksum is looked at whatever ``verify`` says: the library that reads the file does not check its content.

    Raises
    ------
    ModelFormatError
        When the file is missing, damaged, or of other rows.
    MissingExtraError
        When usearch is not installed.
    """
    if fields.values.get("graph") is None:
        return None
    digest = fields.get("graph", STRING)
    path = files.path(f"{name}.usearch")
    if hashlib.file_digest(files.open(path.name), "sha256").hexdigest() != digest:
        raise ModelFormatError(f"{path} is damaged: its content is not what was saved.")
    library = _usearch()
    graph = library.Index.restore(str(path), view=files.mmap)
    files.check_names()  # the library reads by name
    if graph is None or (len(graph), graph.ndim) != rows.shape:
        raise ModelFormatError(f"{path} is not a graph of {rows.shape[0]} rows of {rows.shape[1]} numbers.")
    graph.expansion_search = BEAM
    return DenseIndex(rows, graph)


def _usearch() -> Any:
    try:
        from usearch import index
    except ImportError:
        raise MissingExtraError("usearch", "ann", "A graph of dense rows") from None
    return index
