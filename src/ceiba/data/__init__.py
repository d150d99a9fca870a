"""Texts, features and labels from files of many formats, and the public benchmark sets."""

from ceiba.data.dataset import Dataset, TextColumn
from ceiba.data.labels import encode_labels, encode_with
from ceiba.data.reader import read
from ceiba.data.sparse_text import read_filter

__all__ = ["Dataset", "TextColumn", "encode_labels", "encode_with", "read", "read_filter"]
