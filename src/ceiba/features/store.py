"""Vectorizers on disk, without pickle.

Ceiba's own vectorizer is written as JSON (its parameters) and safetensors (the idf values, and each vocabulary in
the order of its columns). Any other transformer goes through skops, which at load builds only types
that it has audited or that the caller trusts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ceiba.errors import InputError, MissingExtraError, ModelFormatError
from ceiba.features.tfidf import OLDER_DEFAULTS, TfidfVectorizer
from ceiba.features.vocabulary import PackedVocabulary, packed
from ceiba.io.reading import FolderFiles
from ceiba.io.tensors import write_tensors
from ceiba.io.values import decode, encode

_VERSION = 3  # that of the models' format when this form was new; format 2 named none
_FILE = "vectorizer.safetensors"
_VOCABULARY_FILE = "vocabulary.{kind}.json"  # of format 2
_SKOPS_FILE = "vectorizer.skops"

# What is trusted beyond skops' own list, which covers scikit-learn's estimators, NumPy and SciPy.
_OWN_TYPES = [TfidfVectorizer]


def save_vectorizer(vectorizer: Any, folder: str | Path) -> dict[str, Any]:
    """Write a fitted vectorizer into a folder.

    Parameters
    ----------
    vectorizer : TfidfVectorizer or scikit-learn transformer
        A fitted transformer of texts. Anything but Ceiba's own needs the extra ``ceiba[skops]``.
    folder : str or Path
        An existing folder.

    Returns
    -------
    dict
        What ``load_vectorizer`` needs besides the folder; it can be written as JSON. Its ``"files"`` are the
        names of the files written.

    Raises
    ------
    MissingExtraError
        When skops is needed and not installed.
    InputError
        When skops cannot write the transformer, a lambda in it for example.
    """
    folder = Path(folder)
    if type(vectorizer) is not TfidfVectorizer:
        return _save_with_skops(vectorizer, folder)
    check_is_fitted(vectorizer)
    arrays: dict[str, np.ndarray] = {"idf": vectorizer.idf_}
    for kind, vocabulary in vectorizer.vocabularies_.items() if vectorizer.hash_features is None else ():
        ready = packed(vocabulary)
        arrays[f"{kind}.utf8"], arrays[f"{kind}.ptr"] = ready.utf8, ready.ptr
    write_tensors(folder / _FILE, arrays)
    params = vectorizer.get_params(deep=False)
    return {
        "kind": "tfidf",
        "version": _VERSION,
        "params": {name: encode(value, name, {}) for name, value in params.items()},
        "parts": list(vectorizer.vocabularies_),
        "files": [_FILE],
    }


def load_vectorizer(description: Mapping[str, Any], folder: str | Path, *, trusted: Sequence[str | type] = ()) -> Any:
    """Read back what ``save_vectorizer`` wrote.

    Parameters
    ----------
    description : dict
        What ``save_vectorizer`` returned.
    folder : str or Path
        The folder with its files.
    trusted : sequence of str or type, default=()
        Types that a transformer written by skops may contain besides scikit-learn's estimators and the NumPy
        and SciPy types that skops trusts. Loading runs code of these types, so name only what you know.

    Returns
    -------
    TfidfVectorizer or transformer

    Raises
    ------
    ModelFormatError
        When a file is missing, damaged or does not fit the description, or a type in it is not trusted; the
        message names the file.
    MissingExtraError
        When skops is needed and not installed.
    """
    with FolderFiles(Path(folder)) as files:
        return read_vectorizer(description, files, trusted=trusted)


def read_vectorizer(description: Any, files: FolderFiles, *, trusted: Sequence[str | type] = ()) -> Any:
    """Read a vectorizer from files that may be open already; see `load_vectorizer`."""
    kind = description.get("kind") if isinstance(description, Mapping) else None
    if kind == "skops":
        return _load_with_skops(files, trusted)
    if kind != "tfidf":
        raise ModelFormatError(
            f"{files.path()}: the vectorizer's kind must be 'tfidf' or 'skops'. Got {kind!r}; is the model of a newer "
            "Ceiba?"
        )
    return _load_tfidf(description, files)


def _load_tfidf(description: Mapping[str, Any], files: FolderFiles) -> TfidfVectorizer:
    vectorizer = TfidfVectorizer()
    old = "version" not in description
    if not old and description["version"] != _VERSION:
        raise ModelFormatError(f"{files.path()}: the vectorizer has the version {description['version']!r}.")
    params, known = description.get("params"), vectorizer.get_params(deep=False)
    if not isinstance(params, Mapping) or not params.keys() <= known.keys():
        raise ModelFormatError(f"{files.path()}: the vectorizer's parameters must be among {list(known)}.")
    for name, value in {**OLDER_DEFAULTS, **params}.items():
        # format 2 wrote tuples as lists
        decoded = tuple(value) if old and isinstance(value, list) else decode(value, {}, files.path())
        setattr(vectorizer, name, decoded)
    try:
        vectorizer.check_params()
    except InputError as error:
        raise ModelFormatError(f"{files.path()}: the vectorizer's parameters cannot be used: {error}") from None
    kinds = vectorizer.kinds
    if description.get("parts") != kinds:
        raise ModelFormatError(
            f"{files.path()}: the vectorizer's parts must be {kinds}. Got {description.get('parts')!r}."
        )
    arrays, path = files.tensors(_FILE), files.path(_FILE)
    vocabularies: dict[str, Mapping[str, int]] = {}
    n_columns = 0
    for kind in kinds:
        if vectorizer.hash_features is not None:
            vocabularies[kind] = {}
            n_columns += vectorizer.hash_features
            continue
        if old:
            ngrams = _read_vocabulary(files, _VOCABULARY_FILE.format(kind=kind))
            vocabularies[kind] = dict(zip(ngrams, range(n_columns, n_columns + len(ngrams)), strict=True))
        else:
            vocabularies[kind] = _packed_vocabulary(arrays, kind, n_columns, path)
        n_columns += len(vocabularies[kind])
    idf = _checked_idf(arrays, n_columns, path)
    try:
        vectorizer.restore(vocabularies, idf)
    except ValueError as error:  # the core finds n-grams that stand twice
        raise ModelFormatError(f"{path}: the vocabulary cannot be used: {error}") from error
    return vectorizer


def _packed_vocabulary(arrays: Mapping[str, np.ndarray], kind: str, first_column: int, path: Path) -> PackedVocabulary:
    parts = [arrays.get(f"{kind}.{part}") for part in ("utf8", "ptr")]
    if parts[0] is None or parts[1] is None:
        raise ModelFormatError(f"{path}: the arrays of the {kind} vocabulary are missing.")
    try:
        return PackedVocabulary(parts[0], parts[1], first_column)
    except InputError as error:
        raise ModelFormatError(f"{path}: {kind}: {error}") from None


def _read_vocabulary(files: FolderFiles, name: str) -> list[str]:
    """Read the vocabulary of format 2."""
    ngrams = files.json(name)
    if not isinstance(ngrams, list) or not all(isinstance(ngram, str) for ngram in ngrams):
        raise ModelFormatError(f"{files.path(name)}: the vocabulary must be a list of strings.")
    if len(set(ngrams)) < len(ngrams):
        raise ModelFormatError(f"{files.path(name)}: the vocabulary holds an n-gram twice.")
    return ngrams


def _checked_idf(arrays: Mapping[str, np.ndarray], n_columns: int, path: Path) -> np.ndarray:
    idf = arrays.get("idf")
    if idf is None or idf.dtype != np.float32 or idf.shape != (n_columns,):
        found = "none" if idf is None else f"{idf.dtype} of shape {idf.shape}"
        raise ModelFormatError(f"{path}: 'idf' must be float32 of shape ({n_columns},). Got {found}.")
    if not np.isfinite(idf).all():
        raise ModelFormatError(f"{path}: 'idf' holds values that are not finite.")
    return idf


def _save_with_skops(vectorizer: Any, folder: Path) -> dict[str, Any]:
    name = type(vectorizer).__name__
    skops_io = _skops(f"Saving a {name}")
    path = folder / _SKOPS_FILE
    try:
        skops_io.dump(vectorizer, path)
        # skops writes lambdas and local functions too, and fails only when it reads them: find out now.
        skops_io.load(path, trusted=skops_io.get_untrusted_types(file=path))
    except Exception as error:  # skops raises what the object's parts raise
        raise InputError(f"skops cannot write the vectorizer ({name}): {error}") from error
    return {"kind": "skops", "class": name, "files": [_SKOPS_FILE]}


def _load_with_skops(files: FolderFiles, trusted: Sequence[str | type]) -> Any:
    path = files.path(_SKOPS_FILE)
    skops_io = _skops(f"Loading {path}")
    content = files.read(_SKOPS_FILE)
    trusted_types = [*_OWN_TYPES, *trusted]
    trusted_names = {_name(item) for item in trusted_types}
    try:
        unknown = [name for name in skops_io.get_untrusted_types(data=content) if name not in trusted_names]
    except Exception as error:  # a damaged file fails anywhere in zipfile, json or skops
        raise ModelFormatError(f"{path}: cannot read the vectorizer: {error}") from error
    if unknown:
        raise ModelFormatError(
            f"{path}: holds types that are not trusted: {', '.join(unknown)}. If you know them, name them in trusted=."
        )
    try:
        return skops_io.loads(content, trusted=trusted_types)
    except Exception as error:
        raise ModelFormatError(f"{path}: cannot read the vectorizer: {error}") from error


def _skops(purpose: str) -> ModuleType:
    try:
        import skops.io
    except ImportError:
        raise MissingExtraError("skops", "skops", purpose) from None
    return skops.io


def _name(item: str | type) -> str:
    return item if isinstance(item, str) else f"{item.__module__}.{item.__qualname__}"
