"""Texts in messages and tables: cut to a width, or brought onto one line."""

from __future__ import annotations


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` characters; one that was cut ends with three dots."""
    return text if len(text) <= width else text[: width - 3] + "..."


def one_line(error: BaseException) -> str:
    """Return what an error says on one line; the name of its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
