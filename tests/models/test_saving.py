"""Models on disk: the same after loading, whole or not at all, and one clear error for anything else."""

import json
import os
import shutil
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer as Theirs
from tests.model_folders import DROPPED, QUERIES, TREES, change_manifest, renew_pointer, reseal
from tests.model_folders import LABELS as OF_LABELS

from ceiba import LabelTree, TfidfVectorizer, XRLinear, load
from ceiba.errors import InputError, ModelFormatError
from ceiba.io import current_generation, registry
from ceiba.io.sealed import seal
from ceiba.models import query_makers, saving
from ceiba.retrieval import tree_search

patient = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = [f"w{i % 7} w{i % 11} v{i % 5}" for i in range(60)]
LABELS = [[f"l{i % 23}", f"m{i % 3}"] for i in range(60)]


@pytest.fixture(scope="module")
def model():
    return XRLinear(branching_factor=3, max_leaf_size=4).fit(TEXTS, LABELS)


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


def assert_equal(first, second, X):
    assert (first.classes_ == second.classes_).all()
    assert first.classes_.dtype == second.classes_.dtype
    assert first.trees_ == second.trees_
    assert first.n_features_in_ == second.n_features_in_
    assert first.n_train_ == second.n_train_
    assert (first.label_counts_ == second.label_counts_).all()
    for mine, theirs in zip(first.partitions_, second.partitions_, strict=True):
        for layer, other in zip(mine.layers, theirs.layers, strict=True):
            assert layer.arrays.keys() == other.arrays.keys()
            for name, array in layer.arrays.items():
                assert array.dtype == other.arrays[name].dtype
                assert array.tobytes() == other.arrays[name].tobytes()
    labels, scores = first.predict_topk(X, k=4)
    assert (second.predict_topk(X, k=4)[0] == labels).all()
    assert second.predict_topk(X, k=4)[1].tobytes() == scores.tobytes()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_trees": 3},
        {"weight_dtype": "float32", "max_leaf_size": 4},
        {"weight_dtype": "float8", "max_leaf_size": 4, "combine": "log-sigmoid"},
        {"vectorizer": TfidfVectorizer(char_ngrams=(2, 3), word_ngrams=None)},
        {"n_jobs": np.int64(1), "C": np.float32(0.5)},
        {"label_embedding": np.random.default_rng(0).random((26, 4))},
        {"label_embedding": sp.csr_array(np.random.default_rng(0).random((26, 4)))},
        {"tree": LabelTree([[0, 2], [0, 13, 29]], [*range(13), *range(10, 26)])},
    ],
    ids=str,
)
def test_saving_and_loading_is_identity(tmp_path, parameters):
    model = XRLinear(**parameters).fit(TEXTS, LABELS)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert type(loaded) is XRLinear
    assert_equal(model, loaded, TEXTS)
    assert loaded.get_params().keys() == model.get_params().keys()
    for name, value in model.get_params(deep=False).items():
        mine = getattr(loaded, name)
        if name == "label_embedding" and not isinstance(value, str):
            assert abs(mine - value).max() < 1e-6
        elif name == "vectorizer" and not isinstance(value, str):
            assert mine.get_params() == value.get_params()
        else:
            assert mine == value
    loaded.save(tmp_path / "again")
    assert_equal(model, load(tmp_path / "again"), TEXTS)
    again = loaded.fit(TEXTS, LABELS)  # parameters are such that it can be fitted again
    assert_equal(model, again, TEXTS)


@patient
@given(data=st.data())
def test_models_of_every_shape_are_the_same_after_loading(tmp_path, make_problem, data):
    n, d, n_labels = (data.draw(st.integers(1, limit)) for limit in (40, 30, 60))
    problem = make_problem(max(n, n_labels), d, n_labels, seed=data.draw(st.integers(0, 10**6)), zero_rows=int(n > 3))
    model = XRLinear(
        branching_factor=data.draw(st.integers(2, 5)),
        max_leaf_size=data.draw(st.integers(1, 70)),
        weight_threshold=data.draw(st.sampled_from([0.0, 0.1, 1e9])),
        weight_dtype=data.draw(st.sampled_from(["float32", "float16", "float8"])),
        n_jobs=1,
    ).fit(problem.X, problem.Y)
    shutil.rmtree(tmp_path / "model", ignore_errors=True)
    model.save(tmp_path / "model")
    assert_equal(model, load(tmp_path / "model"), problem.X)


def test_a_vectorizer_of_scikit_learn_is_kept(tmp_path):
    pytest.importorskip("skops")
    model = XRLinear(vectorizer=Theirs(ngram_range=(1, 2))).fit(TEXTS, LABELS)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert_equal(model, loaded, TEXTS)
    assert loaded.vectorizer.ngram_range == (1, 2)


@pytest.mark.parametrize("labels", [[0, 2**62], [-5, 3], ["ä", "\U0001f334 'q'\n"], ["", " "]])
def test_labels_of_every_kind(tmp_path, labels):
    model = XRLinear().fit(np.eye(2), [[label] for label in labels])
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").classes_.tolist() == sorted(labels)


def test_no_pickle_and_nothing_else_is_in_a_folder(folder):
    assert {path.name for path in folder.iterdir()} == {"current.json", "model-0001", ".ceiba-lock"}
    generation = current_generation(folder)
    assert generation == folder / "model-0001"
    names = {path.name for path in generation.iterdir()}
    assert names == {
        "model.json",
        "labels.json",
        "labels.safetensors",
        "tree-0.safetensors",
        "vectorizer.safetensors",
    }
    manifest = json.loads((generation / "model.json").read_text())
    assert manifest["format"] == "ceiba"
    assert manifest["format_version"] == 4
    assert manifest["files"].keys() == names - {"model.json"}


def test_weights_are_mapped_not_read(folder):
    arrays = load(folder).partitions_[0].layers[0].arrays
    assert not arrays["stream"].flags.writeable
    base = arrays["stream"]
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


# ---------------------------------------------------------------------- what is no model


def test_no_folder_and_other_folders(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    for name, message in [
        ("nowhere", "/nowhere "),
        ("file", "/file "),
        ("empty", r"empty holds no current\.json"),
        ("other", r"other holds no current\.json"),
    ]:
        with pytest.raises(ModelFormatError, match=message):
            load(tmp_path / name)
        with pytest.raises(ModelFormatError, match=message):
            load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[1]", ".*ceiba saved"),
        ("{}", ".*ceiba saved"),
        ('{"format": "ceiba"}', "has no valid format_version"),
        ('{"format": "ceiba", "format_version": "1"}', "has no valid format_version"),
        ('{"format": "ceiba", "format_version": 0}', "has no valid format_version"),
        ('{"format": "ceiba", "format_version": 5}', "has format version 5, this ceiba reads up to 4: a newer ceiba"),
        ('{"format": "ceiba", "format_version": 4}', "is damaged"),
        ('{"format": "ceiba", "format_version": 3}', "is damaged"),
        ('{"format": "ceiba", "format_version": 1}', "has format version 1, this ceiba reads 2 and later: train"),
        ("[" * 100_000, "is damaged"),
        ("\udcff", "is damaged"),
    ],
    ids=lambda value: value[:40],
)
@pytest.mark.parametrize("name", ["current.json", "model-0001/model.json"])
def test_other_manifests_and_pointers(folder, name, text, message):
    (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    if name != "current.json":
        renew_pointer(folder)
    with pytest.raises(ModelFormatError, match=rf"{name.replace('.', '[.]')} {message}"):
        load(folder)


def test_format_2_lists_its_files(tmp_path):
    (tmp_path / "model.json").write_text('{"format": "ceiba", "format_version": 2}')
    with pytest.raises(ModelFormatError, match=r"model\.json.*'files'"):
        load(tmp_path)


@pytest.mark.parametrize("generation", ["", "model-0002", "../model", "model-0001/../../model/model-0001", 1])
def test_pointers_to_elsewhere(folder, generation):
    content = json.loads((folder / "current.json").read_text())
    (folder / "current.json").write_bytes(seal({**content, "generation": generation}))
    with pytest.raises(ModelFormatError, match=str(folder)):
        load(folder)


def test_one_changed_digit_is_found_wherever_it_is(folder):
    edits = 0
    for name in ("current.json", "model-0001/model.json"):
        whole = (folder / name).read_bytes()
        for at, step in product((i for i, byte in enumerate(whole) if chr(byte).isdigit()), (1, 5)):
            changed = bytearray(whole)
            changed[at] = ord("0") + (changed[at] - ord("0") + step) % 10
            (folder / name).write_bytes(changed)
            with pytest.raises(ModelFormatError, match=name.replace(".", "[.]")):
                load(folder, verify=False)
            edits += 1
        (folder / name).write_bytes(whole)
    assert edits >= 513
    load(folder)


@pytest.mark.parametrize(
    ("within", "fields"),
    [
        ((), {"class": "Forest"}),
        ((), {"class": ["XRLinear"]}),
        ((), {"params": {"C": -1}}),
        ((), {"params": {"depth": 3}}),
        ((), {"params": 7}),
        (QUERIES, {"n_features": 3}),
        (QUERIES, {"n_features": -1}),
        (QUERIES, {"n_features": "many"}),
        (QUERIES, {"n_features": 2**62}),
        (QUERIES, {"n_features": 2**70}),
        (OF_LABELS, {"n_labels": 25}),
        (TREES, {"n_trees": 0}),
        (TREES, {"n_trees": 2}),
        (OF_LABELS, {"n_instances": None}),
        (QUERIES, {"vectorizer": {"kind": "pickle"}}),
        (QUERIES, {"vectorizer": 3}),
        (QUERIES, {"vectorizer": {"kind": "tfidf", "version": 3}}),
        ((), {"params": {"label_embedding": {"array": "label_embedding"}}}),
        ((), {"params": {"tree": {"tree": "tree", "depth": 1}}}),
        ((), {"params": {"tree": {"estimator": "XRLinear"}}}),
        ((), {"params": {"n_trees": {"tuple": 3}}}),
        ((), {"params": {"n_trees": {}}}),
        ((), {"files": None}),
        ((), {"files": {"labels.json": 3}}),
        ((), {"files": {}}),
        (QUERIES, {"kind": "tree-search"}),
        (QUERIES, {"kind": "features"}),
        (TREES, {"kind": "forest"}),
        (TREES, {"name": "labels"}),
        (TREES, {"name": "other"}),
        (("model",), {"generators": []}),
        (("model",), {"generators": [7]}),
        (("model",), {"answers_by": "queries"}),
        (("model",), {"beam_size": 0}),
        (("model",), {"combine": "mean"}),
        (("model",), {"prediction_threshold": 2}),
        (("model",), {"kind": "labels"}),
        ((), {"state": []}),
    ],
    ids=str,
)
def test_manifests_that_do_not_fit_the_files(folder, within, fields):
    change_manifest(folder, within=within, **fields)
    with pytest.raises(ModelFormatError, match=str(folder)):
        load(folder)


FIELDS = [
    *[((), name) for name in ("class", "params", "model", "files")],
    *[(("model",), name) for name in ("kind", "labels", "queries", "generators", "answers_by", "beam_size", "combine")],
    *[(OF_LABELS, name) for name in ("kind", "n_labels", "n_instances", "texts")],
    *[(QUERIES, name) for name in ("kind", "n_features", "vectorizer")],
    *[(TREES, name) for name in ("kind", "name", "n_trees")],
]


@pytest.mark.parametrize(("within", "name"), FIELDS)
def test_a_missing_field_is_named(folder, within, name):
    change_manifest(folder, within=within, **{name: DROPPED})
    with pytest.raises(ModelFormatError, match=rf"model\.json.*'{name}'"):
        load(folder)


@pytest.mark.parametrize("error", [KeyError("bug"), TypeError("bug"), IndexError("bug"), AttributeError("bug")])
def test_our_own_bugs_keep_their_names(folder, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(tree_search, "TreeModel", fail)
    with pytest.raises(type(error), match="bug"):
        load(folder)


NAMES = ["labels.json", "labels.safetensors", "tree-0.safetensors", "vectorizer.safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_truncated_or_damaged_file_is_named(folder, name):
    path = current_generation(folder) / name
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:-1], whole[: len(whole) // 2], b"", bytes(flipped), whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(ModelFormatError, match=f"{name} is damaged"):
            load(folder)
    path.unlink()
    with pytest.raises(ModelFormatError, match=f"{name} is missing"):
        load(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_of_the_right_checksum_is_an_error_too(folder, name):
    path = current_generation(folder) / name
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"[]", b"\xff" * 50):
        path.write_bytes(content)
        reseal(folder)
        with pytest.raises(ModelFormatError, match=str(folder)):
            load(folder)


def test_files_outside_of_the_folder_are_not_read(folder, tmp_path):
    generation = current_generation(folder)
    shutil.copy(generation / "labels.json", folder / "labels.json")
    files = json.loads((generation / "model.json").read_text())["files"]
    change_manifest(folder, files={**files, "../labels.json": files["labels.json"]})
    with pytest.raises(ModelFormatError, match="is missing from the model"):
        load(folder)


@pytest.mark.parametrize(
    ("array", "index", "value"),
    [
        ("tree.slot_label", 0, 99),
        ("tree.slot_label", 0, -1),
        ("tree.slot_label", 1, 0),
        ("tree.child_ptr.0", 1, 2),
        ("tree.child_ptr.1", 1, -5),
        ("layer.0.bucket", -1, 10**6),
        ("layer.1.chunk_row", 1, 10**6),
        ("layer.1.shift", 0, 17),
        ("layer.1.scale", 0, 0.3),
        ("layer.2.bias", 3, np.nan),
        ("layer.0.value_type", 0, 9),
    ],
)
def test_arrays_that_do_not_fit_together(folder, array, index, value):
    path = current_generation(folder) / "tree-0.safetensors"
    arrays = load_file(path)
    arrays[array][index] = value
    save_file(arrays, path)
    reseal(folder)
    with pytest.raises(ModelFormatError, match=str(folder)):
        load(folder)


@pytest.mark.parametrize("name", ["layer.1.scale", "tree.slot_label", "tree.child_ptr.1", "layer.0.bias"])
def test_missing_arrays_are_named(folder, name):
    path = current_generation(folder) / "tree-0.safetensors"
    arrays = load_file(path)
    del arrays[name]
    save_file(arrays, path)
    reseal(folder)
    with pytest.raises(ModelFormatError, match=r"tree-0\.safetensors"):
        load(folder)


def test_labels_nested_too_deeply(folder):
    (current_generation(folder) / "labels.json").write_text("[" * 100_000 + "]" * 100_000)
    reseal(folder)
    with pytest.raises(ModelFormatError, match=r"labels\.json"):
        load(folder)


def test_a_label_that_cannot_be_needs_no_memory(monkeypatch):
    sizes = []
    count = np.bincount
    monkeypatch.setattr(np, "bincount", lambda values, *rest: sizes.append(values.max()) or count(values % 10, *rest))
    with pytest.raises(InputError):
        LabelTree([[0, 2]], [0, 2**31 - 1])
    assert max(sizes, default=0) < 10


# ---------------------------------------------------------------------- whole or not at all


def test_an_older_model_is_replaced(folder):
    other = XRLinear().fit(np.eye(3), [[1], [2], [3]])
    other.save(folder)
    assert load(folder).classes_.tolist() == [1, 2, 3]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]
    assert sorted(os.listdir(folder)) == [".ceiba-lock", "current.json", "model-0002"]
    assert "vectorizer.safetensors" not in os.listdir(current_generation(folder))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


STEPS = [
    (registry, "write_tensors"),
    (saving, "write_manifest"),
    (query_makers, "save_vectorizer"),
    (os, "replace"),
]


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("there_was", [True, False])
def test_a_failure_while_writing_leaves_what_there_was(model, tmp_path, monkeypatch, module, step, error, there_was):
    target = tmp_path / "model"
    if there_was:
        model.save(target)
        before = contents(target)

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, step, fail)
        with pytest.raises(type(error), match=None if isinstance(error, KeyboardInterrupt) else "No space left"):
            model.save(target)
    if there_was:
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
        assert contents(target) == before
        load(target)
    else:
        assert list(tmp_path.iterdir()) == []
    assert model.predict_topk(TEXTS[:1]) is not None


def test_other_folders_and_files_are_not_overwritten(model, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"/mine\b"):
        model.save(tmp_path / "mine")
    with pytest.raises(InputError, match=r"/file\b"):
        model.save(tmp_path / "file")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_new_and_empty_folders_are_taken(model, tmp_path):
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", tmp_path / "a" / "b" / "model", str(tmp_path / "text")):
        model.save(target)
        load(target)


def test_permissions_are_those_of_new_folders(model, tmp_path):
    model.save(tmp_path / "model")
    (tmp_path / "new").mkdir()
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_a_model_that_was_loaded_can_replace_itself(folder):
    model = load(folder)  # whose weights are mapped from the files that are to be replaced
    expected = model.predict_topk(TEXTS)[1].tobytes()
    model.save(folder)
    assert model.predict_topk(TEXTS)[1].tobytes() == expected
    assert load(folder).predict_topk(TEXTS)[1].tobytes() == expected
