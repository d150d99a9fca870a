"""Folders of format 3, whose Transformer models held a linear model in a folder of its own: they load and answer."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ceiba import load

FOLDERS = Path(__file__).parent / "format-3"
SAVED = json.loads((FOLDERS / "answers.json").read_text())
X = np.array(SAVED["features"], np.float32)
CLASSES = {
    "xr_linear": "XRLinear",
    "xr_linear_own_parts": "XRLinear",
    "xr_transformer": "XRTransformer",
    "x_transformer": "XTransformer",
}


@pytest.fixture(params=CLASSES)
def name(request):
    if "transformer" in request.param:
        pytest.importorskip("transformers")
    return request.param


def check_answers(model, name):
    assert type(model).__name__ == CLASSES[name]
    given = {"xr_linear_own_parts": X, "x_transformer": (SAVED["texts"], X)}.get(name, SAVED["texts"])
    if name == "xr_linear_own_parts":
        pandas = pytest.importorskip("pandas")
        given = pandas.DataFrame(X, columns=model.feature_names_in_)
    labels, scores = model.predict_topk(given, k=4)
    assert labels.tolist() == SAVED["answers"][name]["labels"]
    np.testing.assert_allclose(scores, SAVED["answers"][name]["scores"], atol=2e-6)


@pytest.mark.parametrize("mmap", [True, False])
def test_answers_are_those_of_the_saved_model(name, mmap):
    check_answers(load(FOLDERS / name, mmap=mmap), name)
    check_answers(load(FOLDERS / name, mmap=mmap, verify=False), name)


def test_a_save_turns_it_into_todays_layout(name, tmp_path):
    folder = shutil.copytree(FOLDERS / name, tmp_path / "m")
    load(folder).save(folder)
    assert {path.name for path in folder.iterdir()} == {".ceiba-lock", "current.json", "model-0002"}
    check_answers(load(folder), name)


def test_what_it_was_trained_with_comes_back():
    model = load(FOLDERS / "xr_linear")
    assert (model.n_trees, model.max_leaf_size, model.n_jobs) == (2, 4, 1)
    assert model.vectorizer.char_ngrams == (2, 3)
    assert model.label_texts_.tolist()[0] == "w0 thing"
    own = load(FOLDERS / "xr_linear_own_parts")
    assert own.tree == own.trees_[0]
    assert own.label_embedding.shape == (9, 3)
    assert own.feature_names_in_.tolist() == ["c0", "c1", "c2", "c3", "c4"]
    assert own.prediction_threshold == 0.3


def test_a_transformer_models_ranker_comes_back():
    pytest.importorskip("transformers")
    model = load(FOLDERS / "xr_transformer")
    assert (model.ranker.C, model.ranker_.C, model.beam_size, model.combine) == (2.0, 2.0, 5, "l2-hinge")
    assert model.cosine_weight_ == 0.5
    assert model.label_texts_.tolist()[-1] == "v2"
    assert len(model.trees_) == 1
    other = load(FOLDERS / "x_transformer")
    assert other.ranker is None
    assert len(other.trees_) == 3
