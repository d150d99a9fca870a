"""Vectorizers on disk, without pickle.

Ceiba's own vectorizer is written as JSON (its parameters, and each vocabulary in the order of its columns)
and safetensors (the idf values). Any other transformer goes through skops, which at load builds only types
that it has audited or that the caller trusts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.utils.validation import check_is_fitted

from ceiba.errors import CeibaError, InputError, MissingExtraError, ModelFormatError
from ceiba.features.tfidf import TfidfVectorizer

_IDF_FILE = "vectorizer.safetensors"
_VOCABULARY_FILE = "vocabulary.{kind}.json"
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
    vocabularies = {kind: list(vocabulary) for kind, vocabulary in vectorizer.vocabularies_.items()}
    hashed = vectorizer.hash_features is not None
    for kind, ngrams in vocabularies.items() if not hashed else ():
        text = json.dumps(ngrams, ensure_ascii=False, separators=(",", ":"))
        # Python's texts may hold half a surrogate pair, which strict UTF-8 cannot write.
        _vocabulary_file(folder, kind).write_bytes(text.encode("utf-8", "surrogatepass"))
    save_file({"idf": vectorizer.idf_}, folder / _IDF_FILE)
    return {
        "kind": "tfidf",
        "params": json.loads(json.dumps(vectorizer.get_params(deep=False), default=_plain)),
        "parts": list(vocabularies),
        "files": [_vocabulary_file(folder, kind).name for kind in vocabularies if not hashed] + [_IDF_FILE],
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
    folder = Path(folder)
    kind = description.get("kind") if isinstance(description, Mapping) else None
    if kind == "skops":
        return _load_with_skops(folder / _SKOPS_FILE, trusted)
    if kind != "tfidf":
        raise ModelFormatError(
            f"{folder}: the vectorizer's kind must be 'tfidf' or 'skops'. Got {kind!r}; is the model of a newer Ceiba?"
        )
    return _load_tfidf(description, folder)


def _load_tfidf(description: Mapping[str, Any], folder: Path) -> TfidfVectorizer:
    try:
        params = dict(description["params"])
        tuples = {name: tuple(value) for name, value in params.items() if isinstance(value, list)}
        vectorizer = TfidfVectorizer(**params | tuples)
        vectorizer._check_params()
    except (KeyError, TypeError, ValueError, CeibaError) as error:
        raise ModelFormatError(f"{folder}: the vectorizer's parameters cannot be used: {error}") from None
    kinds = list(vectorizer._sizes())
    if description.get("parts") != kinds:
        raise ModelFormatError(f"{folder}: the vectorizer's parts must be {kinds}. Got {description.get('parts')!r}.")
    vocabularies: dict[str, dict[str, int]] = {}
    n_columns = 0
    for kind in kinds:
        if vectorizer.hash_features is not None:
            vocabularies[kind] = {}
            n_columns += vectorizer.hash_features
            continue
        ngrams = _read_vocabulary(_vocabulary_file(folder, kind))
        vocabularies[kind] = dict(zip(ngrams, range(n_columns, n_columns + len(ngrams)), strict=True))
        n_columns += len(ngrams)
    vectorizer.vocabularies_ = vocabularies
    vectorizer.idf_ = _read_idf(folder / _IDF_FILE, n_columns)
    return vectorizer


def _read_vocabulary(path: Path) -> list[str]:
    try:
        ngrams = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path}: cannot read the vocabulary: {error}") from None
    if not isinstance(ngrams, list) or not all(isinstance(ngram, str) for ngram in ngrams):
        raise ModelFormatError(f"{path}: the vocabulary must be a list of strings.")
    if len(set(ngrams)) < len(ngrams):
        raise ModelFormatError(f"{path}: the vocabulary holds an n-gram twice.")
    return ngrams


def _read_idf(path: Path, n_columns: int) -> np.ndarray:
    try:
        tensors = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelFormatError(f"{path}: cannot read the idf values: {error}") from None
    idf = tensors.get("idf")
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


def _load_with_skops(path: Path, trusted: Sequence[str | type]) -> Any:
    skops_io = _skops(f"Loading {path}")
    trusted_types = [*_OWN_TYPES, *trusted]
    trusted_names = {_name(item) for item in trusted_types}
    try:
        unknown = [name for name in skops_io.get_untrusted_types(file=path) if name not in trusted_names]
    except Exception as error:  # a damaged file fails anywhere in zipfile, json or skops
        raise ModelFormatError(f"{path}: cannot read the vectorizer: {error}") from error
    if unknown:
        raise ModelFormatError(
            f"{path}: holds types that are not trusted: {', '.join(unknown)}. If you know them, name them in trusted=."
        )
    try:
        return skops_io.load(path, trusted=trusted_types)
    except Exception as error:
        raise ModelFormatError(f"{path}: cannot read the vectorizer: {error}") from error


def _skops(purpose: str) -> ModuleType:
    try:
        import skops.io
    except ImportError:
        raise MissingExtraError("skops", "skops", purpose) from None
    return skops.io


def _vocabulary_file(folder: Path, kind: str) -> Path:
    return folder / _VOCABULARY_FILE.format(kind=kind)


def _name(item: str | type) -> str:
    return item if isinstance(item, str) else f"{item.__module__}.{item.__qualname__}"


def _plain(value: Any) -> Any:
    """Turn a NumPy number among the parameters into Python's."""
    return value.item()
