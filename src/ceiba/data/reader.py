"""One reader for every format: `read` looks at a file's name and content and returns a `Dataset`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scipy.sparse import csr_array

from ceiba._params import Constraints, Exactly, Flag, Instance, Interval, JsonList, Options, check
from ceiba.data import layouts, sparse_npz, sparse_text
from ceiba.data.annif import is_annif, open_annif, open_documents
from ceiba.data.columns import TableTexts
from ceiba.data.csr import MAX_INDEX
from ceiba.data.dataset import Dataset, TextColumn
from ceiba.data.document_folder import find_documents
from ceiba.data.files import Progress, blocks, fail, given_path, head, opening, plain_name, suffix
from ceiba.data.labels import check_classes
from ceiba.data.line_formats import LINE_FORMATS, LabelledLines, detect_lines
from ceiba.data.records import is_xmc, read_numbered_table, read_table, read_xmc_table
from ceiba.data.sources import STANDARD_INPUT, open_source
from ceiba.data.tables import Csv, JsonLines, Parquet, Table, TextLines
from ceiba.errors import InputError

_TABLES = ("jsonl", "csv", "tsv", "parquet")
FORMATS = (*_TABLES, "xmc", "xmc-matrix", "svmlight", "npz", "text", *LINE_FORMATS)
_BY_SUFFIX = {
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "jsonl"),
    **{".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".npz": "npz"},
    **dict.fromkeys((".svm", ".svmlight", ".libsvm"), "svmlight"),
}
_NAME = Instance("a str", str)
_CONSTRAINTS: Constraints = {
    "format": [Options(*FORMATS), Exactly(None)],
    "split": [Options("train", "test")],
    "labels": [Flag(), Exactly(None)],
    "text_column": [_NAME, JsonList(_NAME), Exactly(None)],
    "label_column": [_NAME, Exactly(None)],
    "label_separator": [_NAME, Exactly(None)],
    "n_features": [Interval(int, 1, MAX_INDEX), Exactly(None)],
    "n_labels": [Interval(int, 1, MAX_INDEX), Exactly(None)],
    "zero_based": [Flag(), Exactly(None)],
}
# what each option is for; elsewhere it is an error rather than ignored
_ONLY_FOR = {
    "text_column": (*_TABLES, "annif"),
    "label_column": _TABLES,
    "label_separator": _TABLES,
    "label_names": ("jsonl", "xmc", "xmc-matrix", "npz", "text", "pecos-text"),
    "n_features": ("svmlight",),
    "n_labels": ("jsonl", "pecos-text"),
    "zero_based": ("svmlight",),
}


def read(
    path: str | Path,
    *,
    format: str | None = None,
    split: str = "train",
    labels: bool | None = None,
    text_column: str | Sequence[str] | None = None,
    label_column: str | None = None,
    label_separator: str | None = None,
    label_names: Sequence[str] | Sequence[int] | str | Path | None = None,
    n_features: int | None = None,
    n_labels: int | None = None,
    zero_based: bool | None = None,
    progress: Progress | None = None,
) -> Dataset:
    r"""Read texts or features, and labels, from a file of any known format.

    The format is detected from the name (below ``.gz`` or ``.zst``) and by the content:

    - JSON lines (``.jsonl``, ``.json``, ``.ndjson``), CSV, TSV (``.tab``) and Parquet with named columns.
      Texts stay in the file and are streamed; labels are a list, a single label, or a string that is a JSON
      list or holds labels between separators.
    - The XMC repository's raw text, JSON lines with ``title``, ``content`` and ``target_ind``, and its
      ``lbl.json.gz`` beside it.
    - The XMC repository's sparse data, first line ``N D L``, and its pairs ``trn_X_Xf.txt`` and
      ``trn_X_Y.txt``.
    - SVMlight (``.svm``, ``.svmlight``, ``.libsvm``) with several labels, numbers, which name Y's columns.
    - ``.npz`` of scipy.sparse: ``X_trn.npz`` + ``Y_trn.npz`` or ``X.trn.npz`` + ``Y.trn.npz``, the latter
      beside it or a folder above.
    - Plain text, one per line, with the labels of a ``Y.trn.npz`` if it is called ``X.trn.txt``.
    - Annif's corpora, "annif": lines of a text, a tab and ``<URI>``s; JSON lines with ``subjects``; CSV with
      ``subject_uris``; or a folder of texts ``NAME.txt`` beside their labels, ``NAME.tsv`` or ``NAME.key``, or of JSON
      documents ``NAME.json``.
    - fastText's lines, "fasttext": words that begin with ``__label__`` are labels.
    - PECOS's text2text, "pecos-text": numbers of labels, a tab and a text. It is detected by an
      ``output-items.txt`` beside the file; elsewhere give the format.
    - LibMultiLabel's lines, "libmultilabel": an index, labels and a text, or labels and a text, with tabs between them.
      It is detected in a .tsv whose first column is numbers; elsewhere give the format.

    Rows without labels, empty texts and labels named twice in a row are legal.

    Parameters
    ----------
    path : str or Path
        A file; a folder that holds the files of one data set; or "-" for standard input, which holds a text
        per line unless ``format``, ``text_column`` or ``labels=True`` says otherwise. A pipe (a FIFO,
        /dev/stdin, a shell's ``<(...)``) is copied to a temporary file, and so is the file in a zip archive of
        one.
    format : str, default None
        The format, where the file should not decide: "jsonl", "csv", "tsv", "parquet", "xmc", "xmc-matrix", "svmlight",
        "npz", "text", "annif", "fasttext", "pecos-text" or "libmultilabel".
    split : {"train", "test"}, default "train"
        Which of the files to read when ``path`` is a folder.
    labels : bool, default None
        True: labels must be there. False: do not read them. None: read them where there are any.
    text_column : str or list of str, default None
        The column of the texts; several are joined by spaces. By default "text", or else the only column with
        a common name such as "title" or "content". In Annif's JSON lines the keys of ``metadata`` are columns, too.
    label_column : str, default None
        The column of the labels. By default "labels", or else the only column with a common name such as
        "label", "tags" or "categories".
    label_separator : str, default None
        What stands between the labels of a cell that is a string. By default ";", unless the cell begins
        with "[" and is a JSON list.
    label_names : sequence of L str or int, or path of a text file with one per line, default None
        Names for the labels of the formats that number them.
    n_features : int, default None
        D of an SVMlight file; by default the highest feature in it.
    n_labels : int, default None
        L of the XMC repository's raw text where there is no ``lbl.json.gz``; by default one more than the
        highest label.
    zero_based : bool, default None
        Whether the features of an SVMlight file count from 0. By default if there is a feature 0. Give it,
        and ``n_features``, where a training and a test file must agree.
    progress : callable, default None
        Called now and then as ``progress("reading", bytes_done, bytes_total)``.

    Returns
    -------
    Dataset

    Raises
    ------
    DataFormatError
        If the file is damaged, holds no rows, or lacks the text or labels; the message names file and line.
    InputError
        If there is no such file, or an option is not for its format.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "train.jsonl")
    >>> _ = path.write_text(
    ...     '{"text": "a red fox", "labels": ["fox"]}\n'
    ...     '{"text": "a fox and a seal", "labels": ["seal", "fox"]}\n'
    ... )
    >>> data = read(path)
    >>> data.n, data.label_names, data.Y.toarray().tolist()
    (2, ['fox', 'seal'], [[1.0, 0.0], [1.0, 1.0]])
    >>> list(data.texts)
    ['a red fox', 'a fox and a seal']
    """
    given: dict[str, Any] = {
        "format": format,
        "split": split,
        "labels": labels,
        "text_column": text_column,
        "label_column": label_column,
        "label_separator": label_separator,
        "n_features": n_features,
        "n_labels": n_labels,
        "zero_based": zero_based,
    }
    for name, value in given.items():
        check(name, value, _CONSTRAINTS[name], "read")
    if label_separator == "":
        raise InputError("The 'label_separator' parameter of read must not be empty.")
    if str(path) == "-" and not labels and format in (None, "text") and text_column is None:
        return _read_stdin()
    path = given_path(path, "path")
    with opening(path):
        is_folder = path.is_dir()
    if is_folder:
        documents = find_documents(path, split, asked=format == "annif") if format in (None, "annif") else None
        if documents is not None:
            return _read_documents(documents, {**given, "label_names": label_names}, progress)
        path = layouts.data_file(path, split)
    source = open_source(path, format)
    with source.naming():
        format = format or detect(source.path, source.name)
        given["label_names"] = label_names
        _check_options(path, format, given)
        data = _read_file(source.path, format, given, progress)
        if label_names is not None:
            _name_labels(data, label_names)
    data.path = source.shown
    data.keep = source
    if data.texts is not None:
        data.texts.keep = source
    return data


def _check_options(path: Path, format: str, given: dict[str, Any]) -> None:
    for name, formats in _ONLY_FOR.items():
        if given[name] is not None and format not in formats:
            raise InputError(f"{path} is read as {format}, but {name} is only for: {', '.join(formats)}.")


def _read_documents(folder: Path, given: dict[str, Any], progress: Progress | None) -> Dataset:
    """Read a full-text corpus of Annif."""
    documents, label_column = open_documents(folder)
    of_texts = label_column == "labels"
    _check_options(folder, "a folder of texts" if of_texts else "annif", given)
    if of_texts and given["labels"] and "labels" not in documents.columns():
        fail(folder, None, "holds texts without labels; the labels of NAME.txt are in NAME.tsv or NAME.key beside it.")
    return _read_lines(documents, "annif", given, progress, label_column)


def _read_lines(
    table: Table, format: str, given: dict[str, Any], progress: Progress | None, label_column: str = "labels"
) -> Dataset:
    """Read a table whose label column is known."""
    columns, labels = table.columns(), given["labels"]
    if label_column not in columns:
        if labels:
            fail(table.path, None, f"no row has {label_column!r}, and labels are needed.")
        labels = False
    return read_table(
        table,
        format,
        columns,
        labels=labels,
        text_column=given["text_column"],
        label_column=label_column,
        label_separator=None,
        progress=progress,
    )


def _read_file(path: Path, format: str, given: dict[str, Any], progress: Progress | None) -> Dataset:
    """Read a regular file of a known format with the options of `read`."""
    labels, n_labels = given["labels"], given["n_labels"]
    if format in _TABLES:
        table = _table(path, format)
        columns = table.columns()
        named = {name: given[name] for name in ("text_column", "label_column", "label_separator")}
        if is_xmc(columns) and named["text_column"] is None and named["label_column"] is None:
            return read_xmc_table(table, "xmc-json", columns, labels=labels, n_labels=n_labels, progress=progress)
        if named["label_column"] is None and named["label_separator"] is None and is_annif(table, format, columns):
            format = "annif"
        for name in ("n_labels", "label_names"):
            if given[name] is not None:
                raise InputError(f"{name} is for files that number their labels; those of {path} have names.")
        if format != "annif":
            return read_table(table, format, columns, labels=labels, progress=progress, **named)
    if format == "annif":
        table, label_column = open_annif(path)
        return _read_lines(table, format, given, progress, label_column)
    if format == "pecos-text":
        lines, columns = LabelledLines(path, format), ["labels", "relevance"]
        return read_numbered_table(
            lines, format, ["text"], columns, labels=labels, n_labels=n_labels, progress=progress
        )
    if format in LINE_FORMATS:
        return _read_lines(LabelledLines(path, format), format, given, progress)
    if format == "svmlight":
        X, Y, names = sparse_text.read_svmlight(path, given["n_features"], given["zero_based"], progress)
        labelled: dict[str, Any] = {} if labels is False else {"Y": Y, "label_names": names}
        return Dataset(path, format, X.shape[0], X=X, locate=partial(sparse_text.place, path, headed=False), **labelled)
    return _read_numbered(path, format, labels, progress)


def detect(path: Path, name: Path | None = None) -> str:
    """Detect the format of a file by its first bytes, its name, and its first lines, in this order.

    Without a suffix, a first line that is a JSON object tells JSON lines.
    """
    start = head(path, 4)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    ending = suffix(name or path)
    known = _BY_SUFFIX.get(ending)
    if known is None or known == "tsv":
        named = name or path
        beside = known is None and layouts.label_file(named) is not None
        numbered = layouts.label_texts(named) is not None
        found = None if beside else detect_lines(path, named, numbered=numbered)
        known = found or known
    if known is not None:
        return known
    lines = next((block for _, block in blocks(path)), b"").split(b"\n", 2)
    if not any(lines):
        fail(path, None, "is empty.")
    first, second = lines[0], lines[1] if len(lines) > 1 else b""
    labels = rb"[-+]?\d+(\.0*)?([ \t]*,[ \t]*[-+]?\d+(\.0*)?)*"
    if re.fullmatch(rb"\d+([ \t]+\d+){1,2}\s*", first) and re.match(rb"(%b)?,*\s*(\d+:|$)" % labels, second):
        return "xmc" if len(first.split()) == 3 else "xmc-matrix"
    if re.fullmatch(rb"%b([ \t]+\d+:[-+.\deE]+)+\s*(#.*)?" % labels, first):
        return "svmlight"
    if not ending and _is_json_object(first):
        return "jsonl"
    if ending in (".txt", ".text", ""):
        return "text"
    if first.startswith(b"{"):
        return "jsonl"
    known_suffixes = ", ".join((*_BY_SUFFIX, ".txt"))
    return fail(path, None, f"of unknown format; give it with format=, or a name that ends in {known_suffixes}.")


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _table(path: Path, format: str) -> Table:
    if format == "jsonl":
        return JsonLines(path)
    if format == "parquet":
        return Parquet(path)
    return Csv(path, "\t" if format == "tsv" else ",")


def _read_numbered(path: Path, format: str, labels: bool | None, progress: Progress | None) -> Dataset:
    """Read a format that numbers its labels, in the file itself or in one beside it."""
    X = Y = texts = locate = None
    if format in ("xmc", "xmc-matrix"):
        locate = partial(sparse_text.place, path, headed=True)
    if format == "xmc":
        X, Y = sparse_text.read_data(path, progress)
        n = X.shape[0]
    elif format == "text":
        table = TextLines(path)
        n = sum(len(rows.values[0]) for rows in table.batches(["text"], progress))
        texts = TextColumn(TableTexts(table, ["text"]), n)
    else:
        X = sparse_npz.read_features(path) if format == "npz" else sparse_text.read_matrix(path, progress)
        n = X.shape[0]
    if not n:
        fail(path, None, "holds no rows.")
    if labels is False:
        return Dataset(path, format, n, texts=texts, X=X, locate=locate)
    if format != "xmc":
        Y = _read_labels_beside(path, n, required=labels is True)
    return Dataset(path, format, n, texts=texts, X=X, Y=Y, label_texts=layouts.label_texts(path), locate=locate)


def _read_labels_beside(path: Path, n: int, *, required: bool) -> csr_array | None:
    beside = layouts.label_file(path)
    if beside is None and required:
        known = "X.trn.txt and X.trn.npz have theirs in Y.trn.npz, trn_X_Xf.txt in trn_X_Y.txt"
        hint = "" if suffix(path) else " If it is a table, give its format with format= (--format csv)."
        fail(path, None, f"no labels beside it; {known}.{hint}")
    if beside is None:
        return None
    npz = plain_name(beside).lower().endswith(".npz")
    Y = (sparse_npz if npz else sparse_text).read_label_matrix(beside)
    if Y.shape[0] != n:
        fail(beside, None, f"has {Y.shape[0]} rows, but {path.name} has {n}.")
    return Y


def _name_labels(data: Dataset, names: Sequence[Any] | str | Path) -> None:
    if data.Y is None:
        raise InputError(f"label_names is given, but {data.path} has no labels.")
    if isinstance(names, (str, Path)):
        source = open_source(given_path(names, "label_names"))
        with source.naming():
            names = layouts.text_lines(source.path)
    known = check_classes(names).tolist()
    if len(known) != data.Y.shape[1]:
        raise InputError(f"{data.path} has {data.Y.shape[1]} labels, but label_names has {len(known)} names.")
    data.label_names = known


class _StandardInput:
    """Texts from standard input, which cannot be read again."""

    path = Path("-")

    def __init__(self, texts: list[str]):
        self._texts = texts

    def batches(self) -> Iterator[list[str]]:
        yield self._texts

    def where(self, row: int) -> str:
        return f"line {row + 1}"


def _read_stdin() -> Dataset:
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fail(STANDARD_INPUT, line, "the text is not valid UTF-8.")
    texts = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
    if not texts:
        fail(STANDARD_INPUT, None, "holds no rows.")
    return Dataset(Path("-"), "text", len(texts), texts=TextColumn(_StandardInput(texts), len(texts)))
