"""SKOS vocabularies, read by rdflib: concepts with their labels in one language, and what is broader than what."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax import SAXParseException

from ceiba._shorten import one_line, shorten
from ceiba.data.files import BLOCK, Stream, fail
from ceiba.data.languages import choose_language, list_languages, texts_in
from ceiba.data.vocabulary import Vocabulary
from ceiba.errors import MissingExtraError

SYNTAXES = {".ttl": "turtle", ".turtle": "turtle", ".rdf": "xml", ".xml": "xml", ".owl": "xml", ".nt": "nt"}
_SKOS, _XL = "http://www.w3.org/2004/02/skos/core#", "http://www.w3.org/2008/05/skos-xl#"
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_DEPRECATED = "http://www.w3.org/2002/07/owl#deprecated"
_PREFERRED, _ALTERNATIVE = "prefLabel", "altLabel"
# the parts of a vocabulary that are used; everything else is dropped while the file is parsed
_USED = {
    _TYPE: "type",
    _DEPRECATED: "deprecated",
    **{_SKOS + name: name for name in (_PREFERRED, _ALTERNATIVE, "broader", "narrower")},
    _XL + _PREFERRED: "xl:" + _PREFERRED,
    _XL + _ALTERNATIVE: "xl:" + _ALTERNATIVE,
    _XL + "literalForm": "form",
}


def read_skos(path: Path, shown: Path, syntax: str, language: str | None) -> Vocabulary:
    """Read a SKOS file; see `ceiba.data.read_vocabulary` for what counts.

    Parameters
    ----------
    path : Path
        The file to open.
    shown : Path
        What it is called.
    syntax : str
        rdflib's name of the format.
    language : str or None
        The language of the texts; None: the only one there is.
    """
    triples = _parse(path, syntax)
    kinds = [(subject, str(kind)) for subject, kind in triples["type"]]
    # a blank node has a new name at each reading, so that it cannot be a label
    concepts = {str(subject) for subject, kind in kinds if kind == _SKOS + "Concept" and _is_uri(subject)}
    if not concepts:
        fail(path, None, "holds no skos:Concept with a URI.")
    deprecated = {str(subject) for subject, value in triples["deprecated"] if str(value).lower() in ("true", "1")}
    n_deprecated = len(concepts & deprecated)
    concepts -= deprecated
    forms = {str(subject): form for subject, form in triples["form"]}
    named = {kind: _literals(triples, kind, concepts, forms) for kind in (_PREFERRED, _ALTERNATIVE)}
    counts = _count_languages(named)
    language = choose_language(path, language, counts)
    texts = {}
    for concept in sorted(concepts):
        found = [sorted(texts_in(named[kind].get(concept, ()), language)) for kind in (_PREFERRED, _ALTERNATIVE)]
        texts[concept] = list(dict.fromkeys([*found[0], *found[1]]))
        if not _are_characters([concept, *texts[concept]]):
            fail(path, None, f"the concept {concept!r} holds half of a surrogate pair, which is no character.")
    if not any(named.values()):
        fail(path, None, "no concept has a skos:prefLabel or skos:altLabel.")
    if not any(texts.values()):
        fail(path, None, f"no concept has a label in the language {language!r}. {list_languages(counts)}")
    above: dict[str, set[str]] = defaultdict(set)
    for lower, upper in [*triples["broader"], *((b, a) for a, b in triples["narrower"])]:
        if str(lower) in concepts and str(upper) in concepts and str(lower) != str(upper):
            above[str(lower)].add(str(upper))
    broader = {concept: sorted(above[concept]) for concept in sorted(above)}
    return Vocabulary(shown, texts, broader, language, n_deprecated)


def _is_uri(node: Any) -> bool:
    import rdflib

    return isinstance(node, rdflib.URIRef)


def _are_characters(texts: Iterable[str]) -> bool:
    """Return whether no text holds half of a surrogate pair, which no file can hold."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse(path: Path, syntax: str) -> dict[str, list[tuple[Any, Any]]]:
    """Return subject and object of the triples in use, by what they say."""
    try:
        import rdflib
        from rdflib.plugins.stores.memory import SimpleMemory
    except ImportError:
        raise MissingExtraError("rdflib", "skos", "A SKOS vocabulary") from None

    found: dict[str, list[tuple[Any, Any]]] = {name: [] for name in _USED.values()}

    class UsedTriples(SimpleMemory):
        """Keeps no index, which would take most of the time."""

        def add(self, triple: Any, context: Any, quoted: bool = False) -> None:
            name = _USED.get(str(triple[1]))
            if name is not None:
                found[name].append((triple[0], triple[2]))

    with Stream(path) as stream:
        content = b"".join(iter(lambda: stream.read(BLOCK), b""))
    try:
        rdflib.Graph(store=UsedTriples()).parse(io.BytesIO(content), format=syntax, publicID="urn:x-relative:")
    except Exception as error:  # its parsers raise errors of a dozen classes, some without a base of their own
        fail(path, _line(error), f"is no valid {syntax} ({shorten(one_line(error), 200)}).")
    return found


def _line(error: Exception) -> int | None:
    """Return the line of a parser's error, where it knows it."""
    line = getattr(error, "lines", None)  # of Turtle, from 0
    if isinstance(line, int):
        return line + 1
    return error.getLineNumber() if isinstance(error, SAXParseException) else None


def _literals(
    triples: dict[str, list[tuple[Any, Any]]], kind: str, concepts: set[str], forms: dict[str, Any]
) -> dict[str, list[tuple[str, str]]]:
    """Return (language, text) of each concept's labels of a kind, those of SKOS-XL too; "" is no language."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    indirect = [(subject, forms.get(str(node))) for subject, node in triples["xl:" + kind]]
    for subject, literal in [*triples[kind], *indirect]:
        if literal is None or str(subject) not in concepts:
            continue
        text = " ".join(str(literal).split())
        if text:
            found[str(subject)].append(((getattr(literal, "language", None) or "").lower(), text))
    return found


def _count_languages(named: dict[str, dict[str, list[tuple[str, str]]]]) -> dict[str, int]:
    """Return how many concepts have a preferred label in each language of any label."""
    counts = Counter(tag for labels in named[_PREFERRED].values() for tag in {tag for tag, _ in labels})
    every = {tag for by_concept in named.values() for labels in by_concept.values() for tag, _ in labels}
    return {tag: counts[tag] for tag in sorted(every)}
