"""Labels in one field that were not taken apart: a warning that names the option, and none where all is well."""

from __future__ import annotations

import json
import warnings

import pytest

from ceiba.data import read
from ceiba.errors import DataWarning

PAIRS = [f"{a} {b}" for a in ("red", "green", "blue", "grey") for b in ("fox", "seal", "owl", "cat")]


def write(path, fields, format="jsonl"):
    if format == "jsonl":
        path.write_text("".join(json.dumps({"text": "a text", "labels": field}) + "\n" for field in fields))
    else:
        path.write_text("text,labels\n" + "".join(f'a text,"{field}"\n' for field in fields))
    return path


@pytest.mark.parametrize("format", ["jsonl", "csv"])
@pytest.mark.parametrize("n", [3, 16])
def test_space_separated_labels_are_warned_of(tmp_path, format, n):
    path = write(tmp_path / f"a.{format}", PAIRS[:n], format)
    with pytest.warns(DataWarning, match="label_separator=' '") as caught:
        read(path)
    assert "--label-separator ' '" in str(caught[0].message)
    assert path.name in str(caught[0].message)


@pytest.mark.parametrize("sign", [";", "|", ",", "/", "\t"])
def test_another_separator_than_the_one_given(tmp_path, sign):
    fields = [pair.replace(" ", sign) for pair in PAIRS]
    given = "#"
    with pytest.warns(DataWarning) as caught:
        read(write(tmp_path / "a.jsonl", fields), label_separator=given)
    assert repr(sign) in str(caught[0].message)


def test_a_few_cells_with_the_separator_do_not_hide_it(tmp_path):
    with pytest.warns(DataWarning):
        read(write(tmp_path / "a.jsonl", [*PAIRS, "odd;one"]))


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        (PAIRS, {"label_separator": " "}),  # taken apart
        (PAIRS, {"label_separator": ";"}),  # said to be whole
        ([pair.replace(" ", ";") for pair in PAIRS], {}),
        ([f"{pair};sea animal;land animal" for pair in PAIRS], {}),  # several words each, between separators
        (PAIRS * 3, {}),  # labels of two words that come again
        ([f"{pair.split()[0]}" for pair in PAIRS], {}),
        ([f"label{i}" for i in range(20)], {}),  # once each, but nothing to take apart
        ([[pair] for pair in PAIRS], {}),  # lists say where a label ends
        ([], {}),
    ],
)
def test_no_warning_where_all_is_well(tmp_path, fields, options):
    path = write(tmp_path / "a.jsonl", [*fields, []])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(path, **options)
