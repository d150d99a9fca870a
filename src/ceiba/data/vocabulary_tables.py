"""Vocabularies as tables of URIs and texts: Annif's TSV and CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ceiba.data.files import fail, first_line, text_blocks
from ceiba.data.labels import describe
from ceiba.data.languages import choose_language, list_languages, texts_in
from ceiba.data.line_formats import bare_uri
from ceiba.data.tables import Csv
from ceiba.data.vocabulary import Vocabulary, no_languages
from ceiba.errors import InputError

DELIMITERS = {".tsv": "\t", ".tab": "\t", ".csv": ","}
_URI, _LABEL, _PREFIX = "uri", "label", "label_"

# place of a row in the file, its URI as written, and the language and text of each of its labels
_Row = tuple[int | str, str, list[tuple[str, str]]]


def read_uri_table(path: Path, shown: Path, delimiter: str, language: str | None) -> Vocabulary:
    """Read a table of URIs and texts.

    Lines of a URI, a tab and a text need no header. A table with a header has the column "uri", and "label" or
    columns such as "label_en". Other columns, such as "notation", are ignored. A URI on several rows has their
    texts. A URI without any text is a deprecated concept.

    Parameters
    ----------
    path : Path
        The file to open.
    shown : Path
        What it is called.
    delimiter : str
        A tab or a comma.
    language : str or None
        The language of the texts; None: the only one there is.
    """
    if delimiter == "\t" and not _has_header(path):
        rows, languages = _lines(path), {""}
    else:
        table = Csv(path, delimiter)
        columns = _label_columns(table)
        rows, languages = _table_rows(table, columns), set(columns.values())
    if language is not None and languages == {""}:
        raise InputError(no_languages(shown))
    labels: dict[str, list[tuple[str, str]]] = {}
    for where, word, pairs in rows:
        labels.setdefault(_uri(path, where, word), []).extend(pairs)
    if not labels:
        fail(path, None, "holds no rows; a row for each label is needed.")
    counts = Counter(tag for pairs in labels.values() for tag in {tag for tag, _ in pairs})
    if not counts:
        fail(path, None, "no label has a text.")
    language = choose_language(shown, language, counts)
    texts = {uri: list(dict.fromkeys(texts_in(pairs, language))) for uri, pairs in labels.items() if pairs}
    if not any(texts.values()):
        fail(path, None, f"no label has a text in the language {language!r}. {list_languages(counts)}")
    return Vocabulary(shown, texts, {}, language, len(labels) - len(texts))


def _has_header(path: Path) -> bool:
    return first_line(path).split("\t")[0].strip() == _URI


def _lines(path: Path) -> Iterator[_Row]:
    for first, lines in text_blocks(path):
        for number, line in enumerate(lines, first):
            if line.strip():
                uri, _, rest = line.partition("\t")
                yield number, uri, _pairs([("", rest.partition("\t")[0])])


def _label_columns(table: Csv) -> dict[str, str]:
    """Return the language of each column of texts, "" where it has none."""
    columns = table.columns()
    found = {name: name.removeprefix(_PREFIX).lower() for name in columns if name.startswith(_PREFIX)}
    found |= {name: "" for name in columns if name == _LABEL}
    if _URI not in columns or not found:
        expected = f"{_URI!r} and {_LABEL!r}, or {_URI!r} and columns such as '{_PREFIX}en'"
        fail(table.path, None, f"expected the columns {expected}. The columns are: {', '.join(map(repr, columns))}.")
    return found


def _table_rows(table: Csv, columns: dict[str, str]) -> Iterator[_Row]:
    for rows in table.batches([_URI, *columns]):
        for i, (uri, *texts) in enumerate(zip(*rows.values, strict=True)):
            yield rows.where(i), uri, _pairs(list(zip(columns.values(), texts, strict=True)))


def _pairs(labels: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the texts that are not blank, with single spaces."""
    return [(tag, plain) for tag, text in labels if (plain := " ".join(text.split()))]


def _uri(path: Path, where: int | str, word: str) -> str:
    word = word.strip()
    uri = bare_uri(word)
    if uri is None:
        fail(path, where, f"expected a URI, with or without < and >. Got {describe(word)}.")
    return uri
