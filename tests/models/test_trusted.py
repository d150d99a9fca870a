"""A vectorizer of the user's own type comes back only when the user says so."""

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from ceiba import XRLinear, load
from ceiba.errors import ModelFormatError

pytest.importorskip("skops")


class ShoutingVectorizer(TfidfVectorizer):
    """A type that nobody audited."""


def test_own_vectorizer_types_are_trusted_by_name_only(tmp_path):
    texts = ["red apple", "green apple", "red car", "green car"]
    model = XRLinear(vectorizer=ShoutingVectorizer()).fit(texts, [["fruit"], ["fruit"], ["vehicle"], ["vehicle"]])
    model.save(tmp_path / "model")
    with pytest.raises(ModelFormatError, match="ShoutingVectorizer"):
        load(tmp_path / "model")
    loaded = load(tmp_path / "model", trusted=[ShoutingVectorizer])
    assert loaded.predict_topk(["blue car"], 1)[0].tolist() == [["vehicle"]]
