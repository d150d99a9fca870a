"""Search of names, marks in texts, names of models, JSON of any string."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba.serve.explanations import marks
from ceiba.serve.json_response import to_bytes
from ceiba.serve.label_names import LabelNames
from ceiba.serve.served_model import names_of

NAMES = st.lists(st.text("ab C\n\u2028ß", max_size=8), max_size=8)


def slow_search(names, query, n):
    folded = [" ".join(name.split()).casefold() for name in names]
    query = " ".join(query.split()).casefold()
    kinds = (
        lambda name: name.startswith(query),
        lambda name: f" {query}" in f" {name}",
        lambda name: query in name,
    )
    found = dict.fromkeys(i for kind in kinds for i, name in enumerate(folded) if kind(name))
    return list(found)[:n]


@settings(max_examples=300, deadline=None)
@given(NAMES, st.text("abC \nß", max_size=3), st.integers(1, 9))
def test_search_is_that_of_the_slow_way(names, query, n):
    assert LabelNames(names).search(query, n) == slow_search(names, query, n)


def carried(text, **amounts):
    return {text[mark["begin"] : mark["end"]]: round(mark["contribution"], 6) for mark in marks(text, amounts)}


def test_marks_of_words_and_of_pieces():
    text = "Burned hand, on a HOT stove: Köln"
    assert carried(text, burned=1.0) == {"Burned": 1.0}
    assert carried(text, **{"word__hot stove": 1.0}) == {"HOT": 0.5, "stove": 0.5}
    assert carried(text, **{"char__ burn": 1.0, "word__burned": 0.5}) == {"Burned": 1.5}
    assert carried(text, **{"char__n": 1.0}) == {"Burned": 0.25, "hand": 0.25, "on": 0.25, "Köln": 0.25}
    assert carried(text, **{"word__köln": -1.0}) == {"Köln": -1.0}
    assert carried(text, **{"word__cold": 1.0, "hash12": 1.0, "embedding[3]": 1.0}) == {}
    assert carried("", a=1.0) == {}


def test_marks_count_code_points():
    text = "𝔸𝔹 stove"
    (mark,) = marks(text, {"stove": 1.0})
    assert text[mark["begin"] : mark["end"]] == "stove"
    assert mark["begin"] == 3


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.dictionaries(st.text(max_size=5), st.floats(-1, 1), max_size=5))
def test_marks_lie_in_the_text_in_order(text, amounts):
    found = marks(text, amounts)
    ends = [0, *(mark["end"] for mark in found)]
    assert all(end <= mark["begin"] < mark["end"] <= len(text) for end, mark in zip(ends, found, strict=False))


@given(st.text(st.characters(codec=None), max_size=20))
def test_any_string_becomes_json(text):
    assert json.loads(to_bytes({"x": text})) == json.loads(json.dumps({"x": text}))
    to_bytes({text: text}).decode("utf-8")


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["a/model", "b/model", "c/model"], ["model", "model-2", "model-3"]),
        (["/x/Ünicode name"], ["-nicode-name"]),
        (["/x/a<b>&c"], ["a-b--c"]),
        (["/"], ["model"]),
    ],
)
def test_names_of_models_are_plain(folders, names):
    assert names_of([Path(folder) for folder in folders]) == names
