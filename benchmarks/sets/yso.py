"""Finna: from English titles of libraries' records to headings of the General Finnish Ontology (YSO)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.sets.building import SetInfo, one_line, rows_of, split_and_count, write
from ceiba.data import read_vocabulary

_VOCABULARY = (".ttl", ".rdf", ".nt", ".jsonl")


def build(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """Build the set from corpora of titles, and a vocabulary that names the headings."""
    vocabularies = [path for path in files if any(end in _VOCABULARY for end in path.suffixes)]
    corpora = [path for path in files if path not in vocabularies]
    if len(vocabularies) != 1 or not corpora:
        raise SystemExit(f"yso-en needs corpora (.tsv.gz) and one vocabulary ({', '.join(_VOCABULARY)})")
    language = None if ".jsonl" in vocabularies[0].suffixes else "en"
    texts = read_vocabulary(vocabularies[0], language).label_texts()
    names = {short(uri): found[0] for uri, found in texts.items()}
    documents: dict[str, set[str]] = {}
    for path in corpora:
        for text, uris in rows_of(path, "annif"):
            own = {short(uri) for uri in uris} & names.keys()
            documents.setdefault(one_line(text), set()).update(own)
    documents.pop("", None)
    train, test, known = split_and_count(documents, test_share=0.1, least=2)
    return write(folder, train, test, {label: names[label] for label in known})


def short(uri: str) -> str:
    """Return the last part of a URI."""
    return uri.rsplit("/", 1)[-1]


INFO = SetInfo(
    name="yso-en",
    source="https://github.com/NatLibFi/Annif-corpora, made of metadata of https://finna.fi",
    licence="CC0 1.0 (records); CC BY 4.0 (YSO, https://finto.fi/yso)",
    files="training/yso-finna-en-*.tsv.gz and vocab/yso-skos.ttl",
    digests={
        "train": "73decf80a232b8d9aaef13c455e00823daf210318e4d22984685b83fea4afe7f",
        "test": "1c862bd7f0e702cd360e85e5eea46b1896c5817dbe5b5c329b09f87b0d7d817d",
        "labels": "626e66bcc5e4495ee549de6b01faad2cfab27897841add2ab2367e0bf4ed4553",
    },
    build=build,
)
