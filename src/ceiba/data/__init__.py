"""Texts, features and labels from files of many formats, and the public benchmark sets."""

from ceiba.data.labels import encode_labels, encode_with

__all__ = ["encode_labels", "encode_with"]
