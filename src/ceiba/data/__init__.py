"""Texts, features and labels from files of many formats, and the public benchmark sets."""

from typing import Any

from ceiba.data.dataset import Dataset, TextColumn
from ceiba.data.labels import encode_labels, encode_with
from ceiba.data.reader import read
from ceiba.data.sparse_text import read_filter
from ceiba.data.vocabulary import Vocabulary, read_vocabulary

__all__ = [
    "Dataset",
    "DatasetInfo",
    "DownloadError",
    "TextColumn",
    "Vocabulary",
    "encode_labels",
    "encode_with",
    "get_dataset",
    "list_datasets",
    "read",
    "read_filter",
    "read_vocabulary",
]


def __getattr__(name: str) -> Any:
    # an HTTP client and tarfile are loaded only by those who fetch a data set
    if name in ("DatasetInfo", "get_dataset", "list_datasets"):
        from ceiba.data import datasets

        return getattr(datasets, name)
    if name == "DownloadError":
        from ceiba.data.download import DownloadError

        return DownloadError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
