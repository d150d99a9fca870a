"""Training texts that a model keeps, so that an explanation can show the nearest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ceiba.data.label_space import LabelSpace
from ceiba.data.packed_texts import PackedTexts
from ceiba.errors import InputError, ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.neighbors import Neighbors
from ceiba.retrieval.queries import Queries

_FILE = "training_texts.safetensors"
_SHOWN = 5
_IN_ANY_CASE = 2  # nearest texts that are shown whether they have the label or not


@dataclass(frozen=True)
class NearTrainingText:
    """A training text near to a text.

    Attributes
    ----------
    text : str
    labels : list of str or int
        All labels that it has.
    similarity : float
        The cosine of both, from 0 to 1.
    has_label : bool
        Whether the label that is explained is among its labels.
    """

    text: str
    labels: list[Any]
    similarity: float
    has_label: bool


@component("nearest-texts", "training texts")
class NearestTexts:
    """The texts that a model was trained on, found by their nearness to a query.

    Parameters
    ----------
    texts : PackedTexts of N texts
    neighbors : Neighbors
        A generator of the model, whose N training instances the texts are.
    """

    kind: ClassVar[str]

    def __init__(self, texts: PackedTexts, neighbors: Neighbors):
        if len(texts) != neighbors.n_rows:
            raise InputError(f"there are {len(texts)} texts of {neighbors.n_rows} training instances.")
        self._texts, self._neighbors = texts, neighbors

    def near(
        self, Q: Queries, column: int, labels: LabelSpace, *, ctx: SearchContext, n: int = _SHOWN
    ) -> list[NearTrainingText]:
        """Return up to n training texts near to a query, the nearest first.

        They are the two nearest texts, then the nearest with the label, then the nearest others.
        """
        found = self._neighbors.nearest(Q, ctx=ctx)
        columns = [self._neighbors.labels_of(row) for row in found.ids.tolist()]
        has_label = [column in own for own in columns]
        first = sorted(range(len(columns)), key=lambda i: i >= _IN_ANY_CASE and not has_label[i])[:n]
        return [
            NearTrainingText(
                self._texts[int(found.ids[i])], labels.ids[columns[i]].tolist(), float(found.scores[i]), has_label[i]
            )
            for i in sorted(first)
        ]

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the texts; the generator is a component of the model itself."""
        writer.tensors(_FILE, {"utf8": self._texts.utf8, "ptr": self._texts.ptr})
        return {"neighbors": self._neighbors.name}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> NearestTexts:
        """Read what `save` wrote."""
        neighbors = context.part(fields.get("neighbors", STRING), fields)
        if neighbors.kind != Neighbors.kind:
            raise ModelFormatError(f"{fields.path}: the training texts need a generator of neighbors.")
        arrays, path = files.tensors(_FILE), files.path(_FILE)
        if set(arrays) != {"utf8", "ptr"}:
            raise ModelFormatError(f"{path} does not hold the texts of the model's training.")
        try:
            return cls(PackedTexts(arrays["utf8"], arrays["ptr"]), neighbors)
        except InputError as error:
            raise ModelFormatError(f"{path}: {error}") from error


def nearest_texts(texts: Sequence[str], generators: Sequence[Any]) -> NearestTexts:
    """Return training texts that are found by the first of the generators that looks for neighbors."""
    neighbors = next(each for each in generators if each.kind == Neighbors.kind)
    return NearestTexts(PackedTexts.of(texts), neighbors)
