"""Folders of format 2, which had no generations: they load with the answers they gave, and a save turns them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ceiba import load
from ceiba.errors import ModelFormatError
from ceiba.io import check_save_target, current_generation

FOLDERS = Path(__file__).parent / "format-2"
SAVED = json.loads((FOLDERS / "answers.json").read_text())
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
    labels, scores = model.predict_topk(SAVED["texts"], k=4)
    assert labels.tolist() == SAVED["answers"][name]["labels"]
    np.testing.assert_allclose(scores, SAVED["answers"][name]["scores"], atol=2e-6)


@pytest.mark.parametrize("mmap", [True, False])
def test_answers_are_those_of_the_saved_model(name, mmap):
    check_answers(load(FOLDERS / name, mmap=mmap), name)
    check_answers(load(FOLDERS / name, mmap=mmap, verify=False), name)


def test_parameters_come_back():
    model = load(FOLDERS / "xr_linear")
    assert (model.n_trees, model.max_leaf_size, model.n_jobs) == (2, 4, 1)
    assert model.vectorizer.char_ngrams == (2, 3)
    own = load(FOLDERS / "xr_linear_own_parts")
    assert own.tree == own.trees_[0]
    assert own.label_embedding.shape == (12, 3)


def test_a_save_turns_it_into_the_new_layout(name, tmp_path):
    folder = shutil.copytree(FOLDERS / name, tmp_path / "m")
    (folder / "notes.txt").write_text("mine")
    check_save_target(folder)
    load(folder).save(folder)
    assert {path.name for path in folder.iterdir()} == {".ceiba-lock", "current.json", "model-0001", "notes.txt"}
    assert (folder / "notes.txt").read_text() == "mine"
    check_answers(load(folder), name)


def test_what_stays_of_it_beside_a_pointer_does_not_count_and_is_removed_later(tmp_path):
    folder = shutil.copytree(FOLDERS / "xr_linear", tmp_path / "m")
    other = load(FOLDERS / "xr_linear_own_parts")
    other.save(tmp_path / "new")
    generation = current_generation(tmp_path / "new")
    shutil.copytree(generation, folder / generation.name)  # as when a save was killed before it removed the old files
    shutil.copy(tmp_path / "new" / "current.json", folder)
    check_answers(load(folder), "xr_linear_own_parts")
    other.save(folder)
    assert {path.name for path in folder.iterdir()} == {".ceiba-lock", "current.json", "model-0002"}


def test_damage_names_the_file(tmp_path):
    folder = shutil.copytree(FOLDERS / "xr_linear", tmp_path / "m")
    for name in ("labels.json", "tree-1.safetensors", "vocabulary.word.json"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ModelFormatError, match=f"{name} is damaged"):
            load(folder)
        (folder / name).write_bytes(whole)
    load(folder)
