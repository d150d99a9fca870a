"""Real files, where they lie beside the repository: the reader against the standard library."""

import gzip
import json
from pathlib import Path

import pytest

from ceiba.data import encode_labels, encode_with, read

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["debian", "yso-en"])
def test_the_reader_agrees_with_the_standard_library(name):
    path = DATA / name / "test.jsonl.gz"
    if not path.exists():
        pytest.skip("the data sets are not beside the repository")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    data = read(path)
    assert list(data.texts) == [row["text"] for row in rows]
    Y, classes = encode_labels([row["labels"] for row in rows])
    assert data.label_names == classes.tolist()
    assert (data.Y != Y).nnz == 0
    known = classes[::2]
    aligned, n_unknown = encode_with(data.Y, known, names=data.classes)
    assert aligned.nnz + n_unknown == Y.nnz
    assert (aligned != Y[:, ::2]).nnz == 0
