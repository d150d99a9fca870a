"""What is measured of any pair of text and label, whichever source found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba._params import Interval
from ceiba.errors import ModelFormatError
from ceiba.features.chars import word_tables
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import Component, FolderWriter, LoadContext, component
from ceiba.io.sealed import STRING, Fields
from ceiba.retrieval.generator import CandidateGenerator, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked

_PHRASES_FILE = "label-phrases"
_PREFIX = 5  # characters: words that share them are of one stem in most languages
_SHORTEST = 3  # of an English plural


class PairMeasure(Component, Protocol):
    """Measures pairs. It does not change, so any number of threads may use it."""

    @property
    def name(self) -> str:
        """What it is called within its model."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features it gives."""
        ...

    def measure(
        self,
        Q: Queries,
        found: Mapping[str, Ranked],
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        ctx: SearchContext,
    ) -> NDArray[np.float32]:
        """Return the features of given pairs: shape (P, number of columns).

        Parameters
        ----------
        Q : Queries
        found : mapping of str to Ranked
            What each source found, by its name.
        ptr, labels : ndarray
            The labels of each row, ascending.
        ctx : SearchContext
        """
        ...


@component("score-measure", "measure")
class ScoreMeasure:
    """A source's score of a pair, and how far it is below the row's best."""

    kind: ClassVar[str]
    columns = ("score", "distance to best")

    def __init__(self, generator: CandidateGenerator):
        self._generator, self.name = generator, generator.name

    def measure(
        self,
        Q: Queries,
        found: Mapping[str, Ranked],
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        ctx: SearchContext,
    ) -> NDArray[np.float32]:
        """Return score and distance."""
        score, own = self._generator.score(Q, ptr, labels, ctx=ctx), found[self.name]
        best, some = np.zeros(Q.n_rows, np.float32), np.diff(own.ptr) > 0
        best[some] = own.scores[own.ptr[:-1][some]]
        return np.column_stack([score, score - np.repeat(best, np.diff(ptr))])

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Return the name of the generator, which is a component of the model itself."""
        return {"generator": self.name}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> ScoreMeasure:
        """Find the generator."""
        return cls(context.generator(fields.get("generator", STRING), fields))


@component("label-phrases", "measure")
class LabelPhrases:
    """Whether a text names a label: how often, how early, and what share of the label's words it has.

    Words are compared without a plural s, and by their first five characters.

    Parameters
    ----------
    texts : sequence of R str
    row_label : ndarray of shape (R,), int32, ascending
        The label of each text.

    References
    ----------
    Medelyan, "Human-competitive automatic topic indexing", 2009 (Maui): frequency and first occurrence of a term.
    """

    kind: ClassVar[str]
    name = "label-phrases"
    columns = tuple(f"{what} ({form})" for form in ("singular", "prefix") for what in ("times", "earliness", "share"))

    def __init__(self, texts: Sequence[str], row_label: NDArray[np.int32]):
        self._texts, self._row_label = texts, np.ascontiguousarray(row_label, np.int32)
        self._core = core.LabelPhrases(word_tables(), [text.lower() for text in texts], self._row_label)

    def __reduce__(self) -> Any:
        return LabelPhrases, (self._texts, self._row_label)

    def measure(
        self,
        Q: Queries,
        found: Mapping[str, Ranked],
        ptr: NDArray[np.int64],
        labels: NDArray[np.int32],
        *,
        ctx: SearchContext,
    ) -> NDArray[np.float32]:
        """Return times, earliness and share for both forms of words; those of the label's best text."""
        if Q.texts is None:
            return np.zeros((len(labels), len(self.columns)), np.float32)
        return self._core.measure([text.lower() for text in Q.texts], ptr, labels, ctx.n_threads)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the texts."""
        writer.json(f"{_PHRASES_FILE}.json", list(self._texts))
        writer.tensors(f"{_PHRASES_FILE}.safetensors", {"row_label": self._row_label})
        return {"n_texts": len(self._texts)}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> LabelPhrases:
        """Read what `save` wrote."""
        n = fields.get("n_texts", Interval(int, 0, None))
        texts, path = files.json(f"{_PHRASES_FILE}.json"), files.path(f"{_PHRASES_FILE}.json")
        row_label = files.tensors(f"{_PHRASES_FILE}.safetensors").get("row_label")
        if (
            not isinstance(texts, list)
            or len(texts) != n
            or not all(type(text) is str for text in texts)
            or row_label is None
            or row_label.dtype != np.int32
            or row_label.shape != (n,)
            or (np.diff(row_label) < 0).any()
        ):
            raise ModelFormatError(f"{path} does not have {n} texts of labels.")
        return cls(texts, row_label)


def stem_columns(names: Sequence[str]) -> NDArray[np.int32]:
    """Return, for words in columns, the column of their stem: words of one stem have one column."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(_stem(str(name)), len(number)) for name in names], np.int32)


def _stem(word: str) -> str:
    singular = word[:-1] if word.endswith("s") and len(word) > _SHORTEST else word
    return singular[:_PREFIX]
