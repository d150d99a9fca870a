"""Vocabularies: the labels there are, what they are called, and which is broader than which."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from ceiba.data.columns import pick_text, texts_of
from ceiba.data.files import fail, given_path, suffix
from ceiba.data.labels import describe
from ceiba.data.sources import open_source
from ceiba.data.tables import JsonLines, Rows
from ceiba.errors import DataWarning, InputError

ALTERNATIVES, BROADER = "alt_texts", "broader"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The labels of a vocabulary with their texts and their hierarchy.

    Attributes
    ----------
    path : Path
        The file that was read.
    texts : dict of label to list of str
        What each label is called, the preferred text first; an empty list where it has none.
    broader : dict of label to list of labels
        The labels directly above a label; labels without any are left out.
    language : str or None
        The language of the texts, where the file has several.
    n_deprecated : int
        Deprecated concepts, which were left out.
    """

    path: Path
    texts: dict[Any, list[str]]
    broader: dict[Any, list[Any]]
    language: str | None = None
    n_deprecated: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def narrower(self) -> dict[Any, list[Any]]:
        """The labels directly below a label; labels without any are left out."""
        below: dict[Any, list[Any]] = {}
        for label, above in self.broader.items():
            for each in above:
                below.setdefault(each, []).append(label)
        return below

    def label_texts(self) -> dict[Any, list[str]]:
        """Return the texts of the labels that have any, as `HybridClassifier.fit` takes them.

        Returns
        -------
        dict of label to list of str
            The preferred text first.
        """
        return {label: texts for label, texts in self.texts.items() if texts}

    def preferred(self, classes: Iterable[Any]) -> list[str]:
        """Return one text for each label: the preferred one, or the label's own name where it has none.

        Parameters
        ----------
        classes : iterable of labels
            Such as ``dataset.classes``.

        Returns
        -------
        list of str
            In the order of `classes`.

        Raises
        ------
        InputError
            If no label of `classes` is in the vocabulary.
        """
        names = list(classes)
        bare = [name for name in names if not self.texts.get(name)]
        if len(bare) == len(names):
            known = next(iter(self.texts))
            raise InputError(
                f"{self.path}: none of the {len(names)} labels of the data has a text there. "
                f"The data has {names[0]!r}, the vocabulary {known!r}."
            )
        if bare:
            warnings.warn(
                f"{self.path}: {len(bare)} of {len(names)} labels of the data have no text there, such as {bare[0]!r}.",
                DataWarning,
                stacklevel=2,
            )
        return [texts[0] if (texts := self.texts.get(name)) else str(name) for name in names]

    def facts(self) -> dict[str, Any]:
        """Count what the vocabulary holds.

        Returns
        -------
        dict of str to int, str or None
            "labels", "language", "with_a_text", "other_texts", "texts_shared" (labels whose preferred text another
            label has), "broader" (pairs of labels), "deprecated".
        """
        first = [texts[0] for texts in self.texts.values() if texts]
        return {
            "labels": len(self.texts),
            "language": self.language,
            "with_a_text": len(first),
            "other_texts": sum(map(len, self.texts.values())) - len(first),
            "texts_shared": len(first) - len(set(first)),
            "broader": sum(map(len, self.broader.values())),
            "deprecated": self.n_deprecated,
        }

    def write(self, file: BinaryIO) -> None:
        """Write a line of JSON for each label: "label", "text", "alt_texts", "broader".

        Parameters
        ----------
        file : binary file
            Open for writing; `read_vocabulary` reads what is written.
        """
        for label, texts in self.texts.items():
            row = {
                "label": label,
                "text": texts[0] if texts else "",
                ALTERNATIVES: texts[1:],
                BROADER: self.broader.get(label, []),
            }
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")

    def __repr__(self) -> str:
        return f"<Vocabulary {self.path}: {len(self.texts)} labels>"


def read_vocabulary(path: str | Path, language: str | None = None) -> Vocabulary:
    """Read a vocabulary: SKOS, a table of URIs and texts, or the JSON lines that `Vocabulary.write` makes.

    The format is detected from the name. ``.ttl``, ``.rdf``, ``.xml``, ``.owl`` and ``.nt`` are SKOS, which needs the
    extra ``ceiba[skos]``. ``.tsv`` and ``.csv`` are tables as Annif has them: lines of a URI, a tab and a text, or
    CSV with the columns ``uri`` and ``label_en`` and the like. ``.jsonl`` are JSON lines. Each may be followed by
    ``.gz`` or ``.zst``.

    Parameters
    ----------
    path : str or Path
        The file.
    language : str, default=None
        The language of the texts, such as "en"; a label tagged "en-GB" counts where a concept has none of "en". None:
        the only language there is.

    Returns
    -------
    Vocabulary
        Labels are URIs, in their order. Texts are the concept's prefLabel and its altLabels, without repetition. A
        label without a language counts where the concept has none in any language. Deprecated concepts are left
        out: those with ``owl:deprecated``, and in a table those without any text. ``skos:narrower`` is read as
        ``skos:broader`` the other way round.

    Raises
    ------
    DataFormatError
        If the file cannot be read, or holds no concepts or no texts in the language; the message lists the languages.
    InputError
        If there is no such file, or `language` is missing, or given for a file without languages.
    MissingExtraError
        If rdflib is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ceiba.data import read_vocabulary
    >>> path = pathlib.Path(tempfile.mkdtemp(), "labels.jsonl")
    >>> _ = path.write_text('{"label": "u1", "text": "cats", "alt_texts": ["felines"], "broader": ["u0"]}')
    >>> vocabulary = read_vocabulary(path)
    >>> vocabulary.texts, vocabulary.broader
    ({'u1': ['cats', 'felines']}, {'u1': ['u0']})
    """
    from ceiba.data.skos import SYNTAXES, read_skos
    from ceiba.data.vocabulary_tables import DELIMITERS, read_uri_table

    source = open_source(given_path(path, "path"))
    with source.naming():
        ending = suffix(source.name)
        if ending in SYNTAXES:
            return read_skos(source.path, source.shown, SYNTAXES[ending], language)
        if ending in DELIMITERS:
            return read_uri_table(source.path, source.shown, DELIMITERS[ending], language)
        if ending not in (".jsonl", ".json", ".ndjson"):
            known = ", ".join((*SYNTAXES, *DELIMITERS, ".jsonl"))
            raise InputError(f"{path}: of unknown format; the name of a vocabulary ends in {known}.")
        if language is not None:
            raise InputError(no_languages(path))
        return read_rows(source.path)


def no_languages(path: str | Path) -> str:
    """Return the message for a language that was given for a file without languages."""
    return f"{path}: its texts have no languages; leave the language out."


def read_rows(path: Path) -> Vocabulary:
    """Read JSON lines with a ``label`` and a text, and perhaps ``alt_texts`` and ``broader``."""
    table = JsonLines(path)
    columns = table.columns()
    if not columns:
        fail(path, None, "holds no rows; a row for each label is needed.")
    if "label" not in columns:
        fail(path, None, f"expected rows with a label and a text. The columns are: {', '.join(map(repr, columns))}.")
    text = pick_text(path, [name for name in columns if name not in ("label", ALTERNATIVES, BROADER)], None)
    lists = [name for name in (ALTERNATIVES, BROADER) if name in columns]
    texts: dict[Any, list[str]] = {}
    broader: dict[Any, list[Any]] = {}
    for rows in table.batches([*text, "label", *lists]):
        found = _texts_by_row(path, rows, text)
        labels = rows.values[len(text)]
        others = {name: rows.values[len(text) + 1 + i] for i, name in enumerate(lists)}
        for i, label in enumerate(labels):
            if type(label) not in (str, int):
                fail(path, rows.where(i), f"the column 'label' holds {describe(label)}.")
            more = _list(path, rows, i, ALTERNATIVES, others, (str,))
            texts[label] = [each for each in dict.fromkeys([*found[i], *more]) if each.strip()]
            if above := _list(path, rows, i, BROADER, others, (str, int)):
                broader[label] = above
    return Vocabulary(path, texts, broader)


def _texts_by_row(path: Path, rows: Rows, names: list[str]) -> list[list[str]]:
    """Return the texts of each row: those of a list, or the text of the columns."""
    if len(names) > 1 or not any(type(value) is list for value in rows.values[0]):
        return [[text] for text in texts_of(path, rows, names, optional=True)]
    found = []
    for i, value in enumerate(rows.values[0]):
        texts = value if type(value) is list else ["" if value is None else value]
        if not all(isinstance(text, str) for text in texts):
            fail(
                path,
                rows.where(i),
                f"the text column {names[0]!r} needs a str or a list of str, not {describe(value)}.",
            )
        found.append(texts)
    return found


def _list(path: Path, rows: Rows, i: int, name: str, columns: dict[str, list[Any]], kinds: tuple[type, ...]) -> list:
    value = columns[name][i] if name in columns else None
    if value is None:
        return []
    if type(value) is not list or not all(type(each) in kinds for each in value):
        fail(path, rows.where(i), f"the column {name!r} needs a list of {kinds[0].__name__}, not {describe(value)}.")
    return value
