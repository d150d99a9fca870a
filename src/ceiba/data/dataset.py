"""What the reader returns: texts that are streamed, features and labels that are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ceiba.data.files import fail
from ceiba.data.layouts import every_label_text
from ceiba.data.vocabulary import Vocabulary
from ceiba.errors import InputError


class TextSource(Protocol):
    """Where a `TextColumn` gets its texts; each call of ``batches`` starts from the beginning."""

    path: Path

    def batches(self) -> Iterator[list[str]]: ...

    def where(self, row: int) -> str: ...


class TextColumn:
    """The texts of a file, one per row, read from the file again on every iteration.

    Only a block of them is in memory at a time, so a file may be larger than the memory. It has a length and
    can be iterated any number of times, but not indexed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ceiba.data import read
    >>> path = pathlib.Path(tempfile.mkdtemp(), "texts.txt")
    >>> _ = path.write_text("a red fox\\na grey seal\\n", encoding="utf-8")
    >>> texts = read(path).texts
    >>> len(texts), list(texts), list(texts)
    (2, ['a red fox', 'a grey seal'], ['a red fox', 'a grey seal'])
    """

    def __init__(self, source: TextSource, n: int):
        self._source, self._n = source, n
        self.keep: Any = None
        """What must live as long as the texts are read, such as the copy of a pipe."""

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[str]]:
        """Yield the texts in lists of a size that suits the file."""
        seen = 0
        for batch in self._source.batches():
            seen += len(batch)
            if seen > self._n:
                break
            yield batch
        if seen != self._n:
            fail(self._source.path, None, f"had {self._n} rows when it was opened, but has changed since.")

    def where(self, row: int) -> str:
        """Return where a row, counted from 0, stands in the file, such as "line 7"; the file is read for it."""
        return self._source.where(row)

    def __repr__(self) -> str:
        return f"<TextColumn of {self._n} texts from {self._source.path}>"


class Dataset:
    """Texts or features, and labels, of one file (or of a pair of files).

    Attributes
    ----------
    n : int
        Rows, N.
    texts : TextColumn or None
        The texts, streamed from the file on each iteration; None for files of features.
    X : csr_array of shape (N, D), float32, or None
        The features, canonical and finite; None for files of texts.
    Y : csr_array of shape (N, L), float32, or None
        1 for a positive; None where the input has no labels.
    label_names : list of L str or int, or None
        The names of Y's columns, sorted; None where the file holds column numbers, as those of the
        XMC repository do.
    path : Path
        The file that was read ("-" is standard input).
    format : str
        How it was read, such as "jsonl" or "xmc".
    """

    def __init__(
        self,
        path: Path,
        format: str,
        n: int,
        *,
        texts: TextColumn | None = None,
        X: csr_array | None = None,
        Y: csr_array | None = None,
        label_names: list[Any] | None = None,
        label_texts: Callable[[], list[str]] | None = None,
        locate: Callable[[int], str] | None = None,
    ):
        self.path, self.format, self.n = path, format, n
        self.texts, self.X, self.Y, self.label_names = texts, X, Y, label_names
        self._read_label_texts, self._locate = label_texts, locate
        self.keep: Any = None
        """What must live as long as the data, such as the copy of a pipe."""
        self._label_texts: list[str] | None = None
        self.vocabulary: Vocabulary | None = None
        """What `use_vocabulary` was given."""

    def where(self, row: int) -> str:
        """Return where a row stands in the file.

        Parameters
        ----------
        row : int
            Its number, from 0.

        Returns
        -------
        str
            "line 7", "row 7" or "file NAME", all counted from 1. The file may be read again for it.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> from ceiba.data import read
        >>> path = pathlib.Path(tempfile.mkdtemp(), "train.jsonl")
        >>> _ = path.write_text('{"text": "a fox"}\\n\\n{"text": "a seal"}\\n')
        >>> read(path).where(1)
        'line 3'
        """
        if self.texts is not None:
            return self.texts.where(row)
        return f"row {row + 1}" if self._locate is None else self._locate(row)

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Take the texts of the labels from a vocabulary, and not from a file beside the data.

        Parameters
        ----------
        vocabulary : Vocabulary
            What `ceiba.data.read_vocabulary` returns.

        Raises
        ------
        InputError
            If the data has no labels, or none of them has a text in the vocabulary.

        Examples
        --------
        ::

            data = ceiba.data.read("train.tsv")
            data.use_vocabulary(ceiba.data.read_vocabulary("subjects.ttl", language="en"))
            data.label_texts  # the preferred text of each label
        """
        classes = self.classes
        if classes is None:
            raise InputError(f"{self.path} has no labels that a vocabulary could name.")
        self._label_texts = vocabulary.preferred(classes.tolist())
        self.vocabulary = vocabulary

    @property
    def label_texts(self) -> list[str] | None:
        """A text for each column of Y, from a file beside the data, or None; read on first use.

        The file is ``lbl.json`` or ``output-items.txt``, in the order of the labels' numbers, or ``labels.jsonl``
        with a ``label`` and a ``text`` per row. Unlike names, texts of different labels may be equal.
        """
        if self._label_texts is None and self._read_label_texts is not None:
            texts = self._read_label_texts()
            if self.Y is not None and len(texts) != self.Y.shape[1]:
                fail(
                    self.path,
                    None,
                    f"has {self.Y.shape[1]} labels, but {len(texts)} label texts are beside it.",
                )
            self._label_texts = texts
        return self._label_texts

    def every_label_text(self) -> dict[Any, str] | dict[Any, list[str]] | None:
        """Return the texts of each label, with those of a vocabulary that no row has; None without label texts."""
        if self.vocabulary is not None:
            return self.vocabulary.label_texts()
        if self.label_names is not None and (found := every_label_text(self.path)) is not None:
            return found
        classes, texts = self.classes, self.label_texts
        if classes is None or texts is None:
            return None
        return {label: text for label, text in zip(classes.tolist(), texts, strict=True) if text.strip()}

    @property
    def classes(self) -> NDArray | None:
        """The names of Y's columns as an array, or 0 to L - 1 where they are numbers; None without labels."""
        if self.Y is None:
            return None
        if self.label_names is None:
            return np.arange(self.Y.shape[1], dtype=np.int64)
        if self.label_names and isinstance(self.label_names[0], int):
            return np.array(self.label_names, np.int64)
        names = np.empty(len(self.label_names), object)
        names[:] = self.label_names
        return names

    def __repr__(self) -> str:
        parts = [f"{self.n} rows"]
        if self.texts is not None:
            parts.append("texts")
        if self.X is not None:
            parts.append(f"{self.X.shape[1]} features")
        if self.Y is not None:
            parts.append(f"{self.Y.shape[1]} labels")
        return f"<Dataset {self.path} ({self.format}): {', '.join(parts)}>"
