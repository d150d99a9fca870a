"""Languages of label texts: the one to read, and the texts that are in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ceiba.errors import InputError

_MOST_LISTED = 20


def choose_language(path: Path, language: str | None, counts: Mapping[str, int]) -> str | None:
    """Return the language to read a vocabulary in, in lower case.

    Parameters
    ----------
    path : Path
        The vocabulary, for messages.
    language : str or None
        The one that was asked for; None: the only one there is.
    counts : dict of str to int
        The languages there are, each with the number of labels that have a text in it; "" is none.

    Raises
    ------
    InputError
        If there are several languages and none was asked for.
    """
    if language is not None:
        if not language.strip():
            raise InputError("The 'language' parameter is empty; it names a language, such as 'en'.")
        return language.strip().lower()
    tags = [tag for tag in counts if tag]
    if len(tags) > 1:
        raise InputError(
            f"{path}: the labels are in several languages; choose one (--language). {list_languages(counts)}"
        )
    return tags[0] if tags else None


def list_languages(counts: Mapping[str, int]) -> str:
    """Return a sentence that lists the languages, the most frequent first."""
    ranked = sorted(((tag, n) for tag, n in counts.items() if n), key=lambda pair: (-pair[1], pair[0]))
    listed = ", ".join(f"{tag or 'none'} ({n:,} concepts)" for tag, n in ranked[:_MOST_LISTED])
    return f"The languages are: {listed or 'none'}."


def texts_in(labels: Iterable[tuple[str, str]], language: str | None) -> list[str]:
    """Return the texts in a language, in their order: of the language itself, else of a region of it, else without any.

    Parameters
    ----------
    labels : iterable of (str, str)
        The language, in lower case, and the text; "" is no language.
    language : str or None
        In lower case.
    """
    pairs = list(labels)
    tags = {tag for tag, _ in pairs}
    if language is not None and language in tags:
        wanted = {language}
    else:
        wanted = {tag for tag in tags if language is not None and tag.startswith(f"{language}-")}
    if not wanted and tags == {""}:
        wanted = {""}
    return [text for tag, text in pairs if tag in wanted]
