"""The ICD-10-CM coding task: what is in it, and that no test text can be looked up in training."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest

from ceiba.data import icd
from ceiba.data.icd import load_icd10cm
from ceiba.errors import MissingExtraError

pytest.importorskip("simple_icd_10_cm")


@pytest.fixture(scope="module")
def coding():
    return load_icd10cm()


def tidy(text):
    return " ".join(text.casefold().split())


def test_every_code_has_its_description_in_training(coding):
    n = len(coding.descriptions)
    assert n > 90_000
    assert coding.train_texts[:n] == list(coding.descriptions.values())
    assert [labels[0] for labels in coding.train_labels[:n]] == list(coding.descriptions)
    assert len(coding.train_texts) == len(coding.train_labels)
    assert len(coding.test_texts) == len(coding.test_labels)


def test_labels_are_the_code_and_its_ancestors_below_block_level(coding):
    assert all(labels[-1] in coding.descriptions for labels in coding.train_labels)
    for labels in coding.train_labels + coding.test_labels:
        assert len(labels[-1]) == 3
        assert all(child.startswith(parent) for child, parent in pairwise(labels))
        assert len(set(labels)) == len(labels)
    # A block with the one category B20 in it is not a second label, and not a description of B20.
    assert coding.train_labels[list(coding.descriptions).index("B20")] == ["B20"]
    assert not {"A00-A09", "1"} & set(coding.descriptions)


def test_seventh_characters_are_codes_of_their_own(coding):
    row = coding.train_texts.index("Struck by turtle, initial encounter")
    assert coding.train_labels[row] == ["W59.22XA", "W59.22", "W59.2", "W59"]


def test_no_test_text_stands_in_training(coding):
    known = set(map(tidy, coding.train_texts))
    assert not [text for text in coding.test_texts if tidy(text) in known]
    assert 0 < coding.n_leaked < 0.01 * len(coding.test_texts)


def test_split_keeps_its_shares_and_its_terms(coding):
    n_train = len(coding.train_texts) - len(coding.descriptions)
    n_test = len(coding.test_texts) + coding.n_leaked
    assert n_train / (n_train + n_test) == pytest.approx(0.7, abs=0.01)
    # Pinned: another hash would silently make another task.
    assert icd._share("A00.0", "Classical cholera") == pytest.approx(0.39634769257538205, abs=1e-12)


class SmallClassification:
    """Three categories, one of them alone in a block of its name, with the package's functions."""

    parents = {"A00": "A00-A09", "A00.0": "A00", "A00.1": "A00", "B20": "B20", "C50": "C50-C58"}  # noqa: RUF012
    terms = {  # noqa: RUF012
        "A00": ["Asiatic cholera", "Cholera,  CLASSICAL"],
        "A00.0": ["Classical cholera", "asiatic  Cholera"],
        "A00.1": ["El Tor", "Cholera eltor"],
        "B20": ["AIDS"],
    }

    def get_all_codes(self):
        return ["1", "A00-A09", "A00", "A00.0", "A00.1", "B20", "B20", "2", "C50-C58", "C50"]

    def get_includes(self, code):
        return ["Cholera, the classical one", "asiatic cholera"] if code == "A00" else []

    def get_excludes1(self, code):
        return ["cholera of a carrier (A00.1)", "elsewhere (A00-A09)", "unknown (Z99.-)"] if code == "C50" else []

    def get_excludes2(self, code):
        return ["HIV (B20.-)"] if code == "1" else []

    def is_category(self, code):
        return len(code) == 3

    def is_category_or_subcategory(self, code):
        return code in self.parents

    def get_ancestors(self, code):
        above = []
        while code in self.parents and code not in above:
            code = self.parents[code]
            above.append(code)
        return [*above, "1"]

    def get_description(self, code):
        return "Cholera, classical" if code == "A00.0" else f"Description of  {code}"

    def get_inclusion_term(self, code):
        return self.terms.get(code, [])


def test_terms_that_also_stand_in_training_are_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(icd, "_classification", SmallClassification)
    training = {("A00", "Asiatic cholera"), ("A00.1", "El Tor")}
    monkeypatch.setattr(icd, "_share", lambda code, term: 0.0 if (code, term) in training else 0.9)
    small = load_icd10cm()
    assert small.train_texts == [
        "Description of A00", "Cholera, classical", "Description of A00.1", "Description of B20",
        "Description of C50", "Asiatic cholera", "El Tor",
    ]  # fmt: skip
    assert small.train_labels[:4] == [["A00"], ["A00.0", "A00"], ["A00.1", "A00"], ["B20"]]
    # "Cholera, CLASSICAL" is a description, "asiatic Cholera" a training term of another code.
    assert small.test_texts == ["Classical cholera", "Cholera eltor", "AIDS"]
    assert small.test_labels == [["A00.0", "A00"], ["A00.1", "A00"], ["B20"]]
    assert small.n_leaked == 2
    assert small.note_texts == ["HIV", "Cholera, the classical one", "asiatic cholera", "cholera of a carrier"]
    assert small.note_labels == [["B20"], ["A00"], ["A00"], ["A00.1", "A00"]]


@pytest.mark.parametrize(("train_share", "n_test"), [(0.0, 6), (0.9, 6), (1.0, 0)])
def test_share_is_a_threshold(monkeypatch, train_share, n_test):
    monkeypatch.setattr(icd, "_classification", SmallClassification)
    monkeypatch.setattr(icd, "_share", lambda code, term: 0.9)
    small = load_icd10cm(train_share)
    assert len(small.test_texts) == n_test
    assert len(small.train_texts) + len(small.test_texts) + small.n_leaked == 5 + 7


def test_missing_extra_gives_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "simple_icd_10_cm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ceiba\[demo\]'"):
        load_icd10cm()


def test_wordings_of_notes_are_of_known_codes_and_hold_no_test_text(coding):
    assert len(coding.note_texts) == len(coding.note_labels) > 5000
    assert {labels[0] for labels in coding.note_labels} <= set(coding.descriptions)
    assert not {tidy(text) for text in coding.note_texts} & {tidy(text) for text in coding.test_texts}
    of = dict(zip(coding.note_texts, coding.note_labels, strict=True))
    assert of["high blood pressure"] == ["I10"], "what a code includes"
    assert of["gallstone ileus"] == ["K56.3", "K56"], "what the notes of another code send there"
    assert not any("(" in text and text.endswith(("-", "-)")) for text in coding.note_texts)
