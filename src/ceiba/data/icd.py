"""Medical coding with ICD-10-CM: a real data set that comes with a package, for the demo and the tests.

The classification is the tabular list of the US National Center for Health Statistics as the package
simple-icd-10-cm ships it (extra ``ceiba[demo]``); no part of it is kept here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from types import ModuleType

from ceiba.errors import MissingExtraError

# "sepsis due to group A streptococcus (A40.0)", "injury of neck (S10-S19)" has no single code, "(I25.1-)" is I25.1
_NOTE = re.compile(r"(?P<text>.+?) \((?P<code>[A-Z][0-9][0-9A-Z](\.[0-9A-Z]+)?)\.?-?\)")


@dataclass(frozen=True)
class IcdCoding:
    """Texts with their ICD-10-CM codes, split into a training and a test part.

    Attributes
    ----------
    train_texts : list of str
        First the description of every code, in the order of the classification (one row for each entry of
        ``descriptions``), then the inclusion terms chosen for training.
    train_labels : list of list of str
        For each row the code, then its ancestors from the nearest up to the category.
    test_texts, test_labels
        The same for the remaining inclusion terms.
    descriptions : dict of str to str
        The description of every code, categories and subcategories alike; its keys are all the labels.
    note_texts, note_labels
        More wordings, from the classification's notes: what a code includes, and what the notes of other codes say
        belongs to this one ("gallstone ileus (K56.3)"). No text of the test part is among them.
    n_leaked : int
        How many inclusion terms fell to the test part but also stand in the training texts, ignoring case and
        white space; they are left out of both parts.
    """

    train_texts: list[str]
    train_labels: list[list[str]]
    test_texts: list[str]
    test_labels: list[list[str]]
    descriptions: dict[str, str]
    n_leaked: int
    note_texts: list[str] = field(default_factory=list)
    note_labels: list[list[str]] = field(default_factory=list)


def load_icd10cm(train_share: float = 0.7) -> IcdCoding:
    """Build the ICD-10-CM coding task: the codes that belong to a diagnosis as a clinician words it.

    Labels are the 98 thousand categories, subcategories and codes with a seventh character ("W59", "W59.2",
    "W59.22", "W59.22XA"); blocks and chapters are not labels. The classification gives many of them inclusion
    terms: other wordings that belong to the same code ("Wax in ear" to H61.2, impacted cerumen). Training
    texts are the description of every code and ``train_share`` of the inclusion terms; test texts are the
    other inclusion terms.

    A term goes to training when a hash of its code and its words (BLAKE2b of "code<tab>term", 64 bits, as a
    fraction) is below ``train_share``: the split is the same everywhere, and each term keeps its side in
    other releases of the classification. The same wording can stand under several codes, so a term for the
    test that also stands in training, as a term of another code or as a description, ignoring case and white
    space, is left out.

    Parameters
    ----------
    train_share : float, default=0.7
        The share of the inclusion terms that are for training, 0 to 1.

    Returns
    -------
    IcdCoding

    Raises
    ------
    MissingExtraError
        When simple-icd-10-cm is not installed.

    References
    ----------
    National Center for Health Statistics, "International Classification of Diseases, Tenth Revision, Clinical
    Modification (ICD-10-CM)", https://www.cdc.gov/nchs/icd/icd-10-cm/

    Examples
    --------
    >>> icd = load_icd10cm()
    >>> icd.descriptions["W59.22"]
    'Struck by turtle'
    >>> icd.train_labels[icd.train_texts.index("Struck by turtle, initial encounter")]
    ['W59.22XA', 'W59.22', 'W59.2', 'W59']
    """
    classification = _classification()
    # A block of a single category has its name, and get_all_codes then lists that name twice.
    codes = [
        code
        for code in dict.fromkeys(classification.get_all_codes())
        if classification.is_category_or_subcategory(code)
    ]
    descriptions = {code: _tidy(classification.get_description(code)) for code in codes}
    labels = {code: [code, *_ancestors(classification, code)] for code in codes}
    train = list(descriptions.items())
    test: list[tuple[str, str]] = []
    for code in codes:
        for term in map(_tidy, classification.get_inclusion_term(code)):
            (train if _share(code, term) < train_share else test).append((code, term))
    known = {text.casefold() for _, text in train}
    unseen = [(code, term) for code, term in test if term.casefold() not in known]
    held_out = {text.casefold() for _, text in unseen}
    notes = [(code, text) for code, text in dict.fromkeys(_notes(classification)) if code in labels]
    notes = [(code, text) for code, text in notes if text.casefold() not in held_out]
    return IcdCoding(
        train_texts=[text for _, text in train],
        train_labels=[labels[code] for code, _ in train],
        test_texts=[text for _, text in unseen],
        test_labels=[labels[code] for code, _ in unseen],
        descriptions=descriptions,
        n_leaked=len(test) - len(unseen),
        note_texts=[text for _, text in notes],
        note_labels=[labels[code] for code, _ in notes],
    )


def _classification() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # The package reads its files by a deprecated function; that is not the caller's concern.
            warnings.simplefilter("ignore", DeprecationWarning)
            import simple_icd_10_cm
    except ImportError:
        raise MissingExtraError("simple-icd-10-cm", "demo", "Medical coding with ICD-10-CM") from None
    return simple_icd_10_cm


def _notes(classification: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield wordings of the notes with the code of each: inclusion notes, and exclusion notes that name one code."""
    for code in dict.fromkeys(classification.get_all_codes()):
        for text in classification.get_includes(code):
            yield code, _tidy(text)
        for text in (*classification.get_excludes1(code), *classification.get_excludes2(code)):
            named = _NOTE.fullmatch(_tidy(text))
            if named is not None:
                yield named["code"], named["text"]


def _ancestors(classification: ModuleType, code: str) -> list[str]:
    """Return the ancestors of a code up to its category, without blocks and chapters."""
    if classification.is_category(code):
        # Asked by name, a block of one category cannot be told from that category.
        return []
    ancestors: list[str] = []
    for ancestor in classification.get_ancestors(code):
        ancestors.append(ancestor)
        if classification.is_category(ancestor):
            break
    return ancestors


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _share(code: str, term: str) -> float:
    """Return a number in [0, 1) that only the code and the term decide."""
    digest = blake2b(f"{code}\t{term}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
