"""The labels of a fitted model: ids, texts, and how many training instances each has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._params import Flag, Interval
from ceiba.data.frames import describe
from ceiba.data.labels import encode_with
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import Fields

_IDS_FILE, _COUNTS_FILE, _TEXTS_FILE = "labels.json", "labels.safetensors", "label_texts.json"
_MOST_LABELS = 2**31 - 1


@component("labels", "labels")
@dataclass(frozen=True, eq=False)
class LabelSpace:
    """The labels that a model may answer with.

    Attributes
    ----------
    ids : ndarray of shape (L,), object or int64
        What labels are called by callers; a label's place here is its column everywhere else.
    counts : ndarray of shape (L,), int64
        Training instances of each label.
    n_instances : int
        N, the number of training instances.
    texts : ndarray of shape (L,), object, or None
        A text of each label.
    """

    kind: ClassVar[str]
    ids: NDArray
    counts: NDArray[np.int64]
    n_instances: int
    texts: NDArray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _objects(self) -> NDArray:
        """The ids as objects with None at the end, where the index -1 finds it."""
        return np.array([*self.ids.tolist(), None], dtype=object)

    @cached_property
    def _columns(self) -> dict[Any, int]:
        return {label: column for column, label in enumerate(self.ids.tolist())}

    def take(self, columns: NDArray[np.integer]) -> NDArray:
        """Return the ids at some columns, as objects; None for -1."""
        return self._objects.take(columns, mode="wrap")

    def column(self, label: Any, name: str = "label") -> int:
        """Return the column of a label; InputError, which begins with `name`, where it is not known."""
        try:
            return self._columns[label]
        except (KeyError, TypeError):
            raise InputError(f"{name}: the label {label!r} is not among the model's classes.") from None

    def encode(self, labels: Any, name: str, unknown: str = "drop") -> sp.csr_array:
        """Return collections of labels, or an indicator, as an (n, L) matrix; errors call them `name`.

        Labels that are not known are dropped, or with "error" an InputError.
        """
        return self.encode_counted(labels, name, unknown)[0]

    def encode_counted(self, labels: Any, name: str, unknown: str = "drop") -> tuple[sp.csr_array, int]:
        """Return what `encode` does, and how many labels were dropped."""
        return encode_with(labels, self.ids, unknown, argument=name)

    def columns(self, labels: Iterable[Any], name: str) -> NDArray[np.int32]:
        """Return the ascending columns of labels, each once; errors begin with `name`.

        Raises
        ------
        InputTypeError
            When a label is neither a string nor an int, or not of the kind of the model's labels.
        InputError
            When a label is not known.
        """
        kinds: Any = (int, np.integer) if self.ids.dtype == np.int64 else str
        found = set()
        for at, label in enumerate(labels):
            if not isinstance(label, kinds) or isinstance(label, bool):
                word = "a str" if kinds is str else "an int"
                raise InputTypeError(f"{name}, entry {at}: the model's labels are each {word}, not {describe(label)}.")
            found.add(self.column(label, f"{name}, entry {at}"))
        return np.array(sorted(found), np.int32)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write ids, counts and texts."""
        writer.json(_IDS_FILE, self.ids.tolist())
        writer.tensors(_COUNTS_FILE, {"counts": self.counts.astype(np.int64)})
        if self.texts is not None:
            writer.json(_TEXTS_FILE, self.texts.tolist())
        return {"n_labels": len(self.ids), "n_instances": self.n_instances, "texts": self.texts is not None}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> LabelSpace:
        """Read what `save` wrote."""
        n_labels = fields.get("n_labels", Interval(int, 1, _MOST_LABELS))
        n_instances = fields.get("n_instances", Interval(int, 1, 2**63 - 1))
        texts = read_label_texts(files, n_labels) if fields.get("texts", Flag()) else None
        return cls(_ids(files, n_labels), _counts(files, n_labels), n_instances, texts)


def read_label_texts(files: FolderFiles, n_labels: int) -> NDArray:
    """Read the texts of labels."""
    texts, path = files.json(_TEXTS_FILE), files.path(_TEXTS_FILE)
    if not isinstance(texts, list) or len(texts) != n_labels or not all(type(text) is str for text in texts):
        raise ModelFormatError(f"{path} does not have a text for each of {n_labels} labels.")
    return np.array(texts, dtype=object)


def _ids(files: FolderFiles, n_labels: int) -> NDArray:
    names, path = files.json(_IDS_FILE), files.path(_IDS_FILE)
    if not isinstance(names, list) or len(names) != n_labels:
        raise ModelFormatError(f"{path} does not have {n_labels} labels.")
    if all(type(name) is str for name in names):
        return np.array(names, dtype=object)
    if all(type(name) is int and -(2**63) <= name < 2**63 for name in names):
        return np.array(names, dtype=np.int64)
    raise ModelFormatError(f"{path}: labels must be strings, or numbers of 64 bits.")


def _counts(files: FolderFiles, n_labels: int) -> NDArray[np.int64]:
    counts = files.tensors(_COUNTS_FILE).get("counts")
    if counts is None or counts.dtype != np.int64 or counts.shape != (n_labels,):
        raise ModelFormatError(f"{files.path(_COUNTS_FILE)} does not have a count for each of {n_labels} labels.")
    return np.array(counts)
