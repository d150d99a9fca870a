"""Models that keep their training texts, and those that do not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from tests.model_folders import change_manifest, reseal

import ceiba
from ceiba import HybridClassifier
from ceiba.errors import InputError, ModelFormatError
from ceiba.io import current_generation
from ceiba.io.tensors import read_tensors, write_tensors

WORDS = {"apple": "orchard cider fruit", "car": "engine wheel road", "cat": "paw whiskers purr"}
FILE = "training_texts.safetensors"


def corpus() -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for number in range(90):
        own = [name for name in WORDS if rng.random() < 0.5]
        words = [word for name in own for word in WORDS[name].split()] + [f"only{number}", "naïve ☃"]
        texts.append(" ".join(rng.permutation(words)))
        labels.append(own)
    return texts, labels


def fit(**parameters) -> HybridClassifier:
    return HybridClassifier(fusion="logistic", n_jobs=1, **parameters).fit(*corpus())


@pytest.fixture(scope="module")
def model():
    return fit(include_training_texts=True)


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


def test_an_explanation_has_the_nearest_texts_with_their_labels(model):
    texts, labels = corpus()
    row = next(row for row, own in enumerate(labels) if own == ["cat"])
    found = model.explain(texts[row], "cat").training_texts
    assert (found[0].text, found[0].labels, found[0].has_label) == (texts[row], ["cat"], True)
    assert found[0].similarity == pytest.approx(1)
    assert [each.similarity for each in found] == sorted((each.similarity for each in found), reverse=True)
    for each in found:
        assert each.labels == labels[texts.index(each.text)]
        assert each.has_label == ("cat" in each.labels)


def test_texts_with_the_label_come_before_others_but_the_nearest(model):
    texts, labels = corpus()
    row = next(row for row, own in enumerate(labels) if own == ["cat"])
    found = model.explain(texts[row], "car").training_texts
    assert found[0].text == texts[row]
    assert [each.has_label for each in found[2:]] == [True] * 3


def test_a_text_without_neighbors_has_none(model):
    assert model.explain("nothing of this is known", "cat").training_texts == []


def test_a_shown_explanation_has_the_texts_as_text(model):
    texts, _ = corpus()
    shown = model.explain(texts[0], "cat")
    assert texts[0] in str(shown)
    hostile = [*corpus()[0][:-1], "<script>alert(1)</script> engine"]
    other = HybridClassifier(fusion="logistic", n_jobs=1, include_training_texts=True).fit(hostile, corpus()[1])
    page = other.explain(hostile[-1], "car")._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


@pytest.mark.parametrize("mmap", [True, False])
def test_texts_are_saved_and_loaded(model, folder, mmap):
    texts, _ = corpus()
    again = ceiba.load(folder, mmap=mmap)
    assert again.has_training_texts
    assert again.include_training_texts
    for text in texts[:5]:
        assert again.explain(text, "car") == model.explain(text, "car")
    again.save(folder)  # over the file that it maps
    assert ceiba.load(folder).explain(texts[0], "car") == model.explain(texts[0], "car")
    assert pickle.loads(pickle.dumps(again)).explain(texts[0], "car") == model.explain(texts[0], "car")


def test_other_models_neither_store_nor_show_texts(tmp_path):
    texts, labels = corpus()
    for name, plain in (("hybrid", fit()), ("linear", ceiba.XRLinear(n_jobs=1).fit(texts, labels))):
        assert not plain.has_training_texts
        assert getattr(plain.explain(texts[0], "cat"), "training_texts", None) is None
        plain.save(tmp_path / name)
        content = [file.read_bytes() for file in (tmp_path / name).rglob("*") if file.is_file()]
        assert not any(text.encode() in part for part in content for text in texts)
        assert not ceiba.load(tmp_path / name).has_training_texts
    stored = pickle.dumps(fit())
    assert not any(text.encode() in stored for text in texts)


def test_a_model_saved_over_one_with_texts_leaves_none(folder):
    fit().save(folder)
    assert not list(folder.rglob(FILE))


def test_what_texts_need_is_asked_for_before_training():
    texts, labels = corpus()
    with pytest.raises(InputError, match=r"include_training_texts.*X"):
        HybridClassifier(include_training_texts=True).fit(np.ones((90, 3)), labels)
    with pytest.raises(InputError, match=r"include_training_texts.*neighbors"):
        HybridClassifier(include_training_texts=True, sources=["linear"]).fit(texts, labels)
    with pytest.raises(InputError, match="include_training_texts"):
        HybridClassifier(include_training_texts="yes").fit(texts, labels)


def changed(folder, change) -> None:
    path = current_generation(folder) / FILE
    arrays = {name: np.array(array) for name, array in read_tensors(path).items()}
    write_tensors(path, change(arrays))
    reseal(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {"utf8": arrays["utf8"]},
        lambda arrays: {**arrays, "ptr": arrays["ptr"][:-1]},
        lambda arrays: {**arrays, "ptr": arrays["ptr"].astype(np.int32)},
        lambda arrays: {**arrays, "utf8": np.full_like(arrays["utf8"], 0xFF)},
        lambda arrays: {"utf8": arrays["utf8"][: arrays["ptr"][-2]], "ptr": arrays["ptr"][:-1]},
    ],
)
def test_damaged_texts_are_named(folder, change):
    changed(folder, change)
    with pytest.raises(ModelFormatError, match=FILE):
        ceiba.load(folder)


@pytest.mark.parametrize("name", ["labels", "queries", "fused", "linear", "none such", 3])
def test_texts_of_a_part_that_finds_none_are_refused(folder, name):
    change_manifest(folder, within=("model", "training_texts"), neighbors=name)
    with pytest.raises(ModelFormatError, match=r"model\.json"):
        ceiba.load(folder)


def test_a_missing_file_is_named(folder):
    (current_generation(folder) / FILE).unlink()
    with pytest.raises(ModelFormatError, match=FILE):
        ceiba.load(folder)


def test_thresholds_tuned_later_keep_the_texts(model, tmp_path):
    texts, labels = corpus()
    model.save(tmp_path / "model")
    again = ceiba.load(tmp_path / "model")
    again.tune_thresholds(texts, labels)
    assert again.explain(texts[0], "cat").training_texts
