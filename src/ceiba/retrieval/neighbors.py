"""Labels of the nearest training instances: each votes for its own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ceiba._params import Interval
from ceiba.errors import CeibaError, ModelFormatError
from ceiba.features.matrix import EMBEDDING, all_sparse
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.dense_index import DenseIndex, load_dense_index, save_dense_index
from ceiba.retrieval.dense_labels import DenseLabels, read_dense
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext, single_pair
from ceiba.retrieval.neighbor_votes import NeighborVotes
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked
from ceiba.retrieval.sparse_index import SparseIndex
from ceiba.retrieval.sparse_labels import n_sparse_of, read_index

SPARSE = "sparse"  # what instances are near in: the sparse features, else the dense block of this name


@component("neighbors", "generator")
class Neighbors(CandidateGenerator):
    """Lets the nearest training instances vote for their labels, each with a power of its similarity.

    Parameters
    ----------
    instances : SparseIndex of N rows, or ndarray of shape (N, d), float32
        The training instances' sparse features or embeddings; rows of length 1.
    votes : NeighborVotes
        The labels of the instances.
    name : str
    block : {"sparse", "embedding"}
        Which features `instances` are.
    power : float
        Of the similarities; a higher one lets the nearest count more.
    n_neighbors : int, default=30
    index : DenseIndex or None, default=None
        Finds the nearest embeddings; None compares with all.

    Notes
    -----
    A score is the share of the votes, from 0 to 1. Queries must not be training instances themselves, or they find
    their own labels.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        instances: Any,
        votes: NeighborVotes,
        *,
        name: str,
        block: str,
        power: float,
        n_neighbors: int = 30,
        index: DenseIndex | None = None,
    ):
        self.name, self.block, self.power, self.n_neighbors = name, block, power, n_neighbors
        self._instances, self._votes, self._index, self._origin = instances, votes, index, name
        self._near_in_block = None if block == SPARSE else DenseLabels(instances, name=name, index=index)

    @property
    def n_rows(self) -> int:
        """N, the number of training instances."""
        return self._votes.n_rows

    def nearest(self, Q: Queries, *, ctx: SearchContext) -> Ranked:
        """Return the training instances that vote for each row, the nearest first, and their similarities."""
        key = ("neighbors", id(self._instances), id(self._index), self.n_neighbors)  # one search for all powers
        return Q.once(key, lambda: self._search(Q, ctx))

    def _search(self, Q: Queries, ctx: SearchContext) -> Ranked:
        if self._near_in_block is not None:
            return self._near_in_block.candidates(Q, self.n_neighbors, ctx=ctx)
        return self._instances.search(all_sparse(Q.features), self.n_neighbors, n_threads=ctx.n_threads)

    def with_power(self, power: float, *, name: str) -> Neighbors:
        """Return votes of another power by the same instances. Both are found by one search, and saved once."""
        other = Neighbors(
            self._instances,
            self._votes,
            name=name,
            block=self.block,
            power=power,
            n_neighbors=self.n_neighbors,
            index=self._index,
        )
        other._origin = self._origin
        return other

    def labels_of(self, row: int) -> NDArray[np.int32]:
        """Return the labels of a training instance."""
        return self._votes.labels_of(row)

    def candidates(self, Q: Queries, n: int | None, *, ctx: SearchContext) -> Ranked:
        """Return the n labels of most votes of each row, with n None all that have any."""
        near = self.nearest(Q, ctx=ctx)
        return self._votes.rank(near, n, power=self.power, n_threads=ctx.n_threads)

    def score(
        self, Q: Queries, ptr: NDArray[np.int64], labels: NDArray[np.int32], *, ctx: SearchContext
    ) -> NDArray[np.float32]:
        """Return the votes for given labels."""
        near = self.nearest(Q, ctx=ctx)
        return self._votes.score(near, ptr, labels, power=self.power, n_threads=ctx.n_threads)

    def explain(self, Q: Queries, label: int, *, ctx: SearchContext) -> Evidence:
        """Return the votes, and the numbers of the nearest instances and their similarities."""
        near = self.nearest(Q, ctx=ctx)
        ptr, labels = single_pair(label)
        nearest = list(zip(near.ids.tolist(), near.scores.tolist(), strict=True))
        return Evidence(self.name, float(self.score(Q, ptr, labels, ctx=ctx)[0]), {"nearest": nearest})

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the instances and their labels, where no other has written them."""
        if self._origin != self.name:
            return {"name": self.name, "power": self.power, "instances_of": self._origin}
        rows = self._instances.arrays() if self.block == SPARSE else {"rows": self._instances}
        of_votes = {f"votes.{name}": array for name, array in self._votes.arrays().items()}
        writer.tensors(f"{self.name}.safetensors", {**rows, **of_votes})
        own = {"block": self.block, "power": self.power, "n_neighbors": self.n_neighbors}
        return {"name": self.name, **own, **save_dense_index(self._index, self.name, writer)}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> Neighbors:
        """Read what `save` wrote."""
        name, power = fields.get("name", STRING), fields.get("power", Interval(float, 0, None))
        if "instances_of" in fields.values:
            origin = context.part(fields.get("instances_of", STRING), fields)
            if not isinstance(origin, cls):
                raise ModelFormatError(f"{fields.path}: {name!r} needs the instances of other neighbors.")
            return origin.with_power(power, name=name)
        block = fields.get("block", STRING)
        file = f"{name}.safetensors"
        path, prefix = files.path(file), "votes."
        arrays = {key: array for key, array in files.tensors(file).items() if key.startswith(prefix)}
        try:
            votes = NeighborVotes.from_arrays({key.removeprefix(prefix): array for key, array in arrays.items()})
        except CeibaError as error:
            raise ModelFormatError(f"{path}: {error}") from error
        if votes.n_labels != len(context.part("labels", fields)):
            raise ModelFormatError(f"{path} has votes for other labels than the model's.")
        instances: SparseIndex | NDArray[np.float32]
        index = None
        if block == SPARSE:
            instances = read_index(files, file)
            if (instances.n_features, instances.n_rows) != (n_sparse_of(context, fields), votes.n_rows):
                raise ModelFormatError(f"{path} is an index of other rows or features than the model's.")
        elif block == EMBEDDING:
            instances = read_dense(files, file, (votes.n_rows, context.part("queries", fields).dims.get(EMBEDDING, 0)))
            index = load_dense_index(files, name, fields, instances)
        else:
            raise ModelFormatError(f"{fields.path}: there are no features {block!r}.")
        n = fields.get("n_neighbors", Interval(int, 1, None))
        return cls(instances, votes, name=name, block=block, power=power, n_neighbors=n, index=index)
