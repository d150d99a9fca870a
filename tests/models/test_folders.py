"""Where models go and what becomes of them there: links, ``~``, modes, full disks, accounts, parameters."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import LabelTree, TfidfVectorizer, XRLinear, XRTransformer, XTransformer, load
from ceiba.errors import InputError, ModelFormatError, StorageError
from ceiba.io import current_generation
from ceiba.io import reading as io_reading

TEXTS = [f"w{i % 7} w{i % 11} v{i % 5}" for i in range(40)]
LABELS = [[f"l{i % 9}", f"m{i % 3}"] for i in range(40)]
SMALL = {"encoder": "static:8", "steps": 1, "max_length": 8, "batch_size": 8, "n_jobs": 1}


@pytest.fixture(scope="module")
def model():
    return XRLinear(max_leaf_size=4, n_jobs=1).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def transformer():
    pytest.importorskip("transformers")
    return XRTransformer(**SMALL, device="cpu").fit(TEXTS, LABELS)


def answers(model):
    return model.predict_topk(TEXTS[:5], k=3)[1].tobytes()


# ---------------------------------------------------------------------- where they go


def test_home_is_expanded(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model.save("~/m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert answers(load("~/m")) == answers(model)


def test_links_are_followed(model, tmp_path):
    model.save(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "second").symlink_to("link")
    (tmp_path / "dangling").symlink_to("not/yet")
    other = XRLinear().fit(np.eye(2), [[1], [2]])
    for name, target in (("link", "real"), ("second", "real"), ("dangling", "not/yet")):
        other.save(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert load(tmp_path / name).classes_.tolist() == load(tmp_path / target).classes_.tolist() == [1, 2]


def test_the_working_folder_and_folders_that_cannot_be_renamed(model, tmp_path, monkeypatch):
    (tmp_path / "mount" / "lost+found").mkdir(parents=True)
    inode = (tmp_path / "mount").stat().st_ino
    monkeypatch.chdir(tmp_path / "mount")
    for _ in range(2):
        model.save(".")
        assert answers(load(".")) == answers(model)
    assert (tmp_path / "mount").stat().st_ino == inode
    assert (tmp_path / "mount" / "lost+found").is_dir()


def test_a_users_own_files_beside_a_model_stay(model, tmp_path):
    model.save(tmp_path / "m")
    (tmp_path / "m" / "README").write_text("mine")
    (tmp_path / "m" / "model-0009").mkdir()
    (tmp_path / "m" / "model-0009" / "thesis").write_text("mine")
    model.save(tmp_path / "m")
    assert (tmp_path / "m" / "README").read_text() == (tmp_path / "m" / "model-0009" / "thesis").read_text() == "mine"
    load(tmp_path / "m")


def test_a_copy_of_a_generation_loads_by_itself(transformer, tmp_path):
    transformer.save(tmp_path / "m")
    generation = current_generation(tmp_path / "m")
    assert answers(load(generation)) == answers(transformer)


class Mine(XRLinear):
    """A class that load does not know."""


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path):
    model = Mine().fit(np.eye(2), [[1], [2]])
    with pytest.raises(InputError, match="Mine cannot be saved"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- modes and accounts


@pytest.mark.skipif(sys.platform == "win32", reason="needs a umask")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_every_file_has_the_mode_that_the_umask_says(model, transformer, tmp_path, umask):
    before = os.umask(umask)
    try:
        model.save(tmp_path / "a")
        transformer.save(tmp_path / "b")
        transformer.save(tmp_path / "b")
        LabelTree([[0, 2]], [0, 1]).save(tmp_path / "tree.safetensors")
        more = {"cache_dir": tmp_path / "cache", "checkpoint_dir": tmp_path / "check", "checkpoint_seconds": 0}
        XRTransformer(**{**SMALL, "steps": 3}, **more, device="cpu").fit(TEXTS, LABELS)
    finally:
        os.umask(before)
    paths = [*tmp_path.rglob("*")]
    assert len(paths) > 25
    for path in paths:
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask, path


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="changes the account")
@pytest.mark.parametrize("name", ["", "current.json", "model-0001", "model-0001/model.json", "model-0001/labels.json"])
def test_what_another_account_may_not_read_is_named_with_a_cure(model, name):
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        folder = Path(above, "m")
        model.save(folder)
        os.seteuid(65534)
        try:
            load(folder)
        finally:
            os.seteuid(0)
        (folder / name).chmod(0)
        os.seteuid(65534)
        try:
            with pytest.raises(StorageError, match="Permission denied") as error:
                load(folder)
        finally:
            os.seteuid(0)
        assert str(folder) in str(error.value)
        assert Path(name).name in str(error.value)
        assert "chmod" in str(error.value)
        assert error.value.errno == errno.EACCES


# ---------------------------------------------------------------------- what fails


@pytest.fixture
def small_files():
    """Let no file of this process become larger than a few bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["linear", "transformer"])
@pytest.mark.parametrize("size", [10, 200, 600, 1500])
def test_a_full_disk_is_one_typed_error_and_the_old_model_stays(request, model, tmp_path, small_files, kind, size):
    new = model if kind == "linear" else request.getfixturevalue("transformer")
    old = XRLinear().fit(np.eye(2), [[1], [2]])
    old.save(tmp_path / "m")
    names = sorted(path.name for path in (tmp_path / "m").iterdir())
    small_files(size)
    with pytest.raises(StorageError, match=str(tmp_path / "m")) as error:
        new.save(tmp_path / "m")
    small_files(-1)
    assert "\n" not in str(error.value)
    assert load(tmp_path / "m").classes_.tolist() == [1, 2]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == names
    new.save(tmp_path / "m")
    assert answers(load(tmp_path / "m")) == answers(new)


@pytest.mark.parametrize("target", ["/proc/m", "/dev/null/m", "/sys/m"])
def test_an_impossible_target_is_a_typed_error(model, target):
    if not Path(target).parent.exists():
        pytest.skip("no such system folder")
    with pytest.raises(StorageError, match=target) as error:
        model.save(target)
    assert isinstance(error.value, OSError)
    assert answers(model)


def test_a_file_that_is_cut_while_a_copied_model_is_used(model, tmp_path):
    model.save(tmp_path / "m")
    copied = load(tmp_path / "m", mmap=False)
    for path in current_generation(tmp_path / "m").iterdir():
        with open(path, "rb+") as file:
            file.truncate(0)
    assert answers(copied) == answers(model)
    assert not any(isinstance(base, np.memmap) for base in _bases(copied.partitions_[0].layers[0].arrays["stream"]))


def _bases(array):
    while array is not None:
        yield array
        array = array.base if isinstance(array, np.ndarray) else None


def test_contents_are_compared_only_where_asked(model, tmp_path, monkeypatch):
    model.save(tmp_path / "m")
    hashed = []
    digest = io_reading.hashlib.file_digest
    monkeypatch.setattr(io_reading.hashlib, "file_digest", lambda *words: hashed.append(1) or digest(*words))
    assert answers(load(tmp_path / "m", verify=False)) == answers(model)
    assert hashed == []
    load(tmp_path / "m")
    assert len(hashed) == len(list(current_generation(tmp_path / "m").iterdir())) - 1
    path = current_generation(tmp_path / "m") / "labels.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelFormatError, match=r"labels\.json is damaged"):
        load(tmp_path / "m", verify=False)


# ---------------------------------------------------------------------- parameters


def assert_same_params(first, second):
    mine, theirs = (m.get_params(deep=False) for m in (first, second))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        other = theirs[name]
        assert type(other) is type(value), name
        if hasattr(value, "get_params"):
            assert_same_params(value, other)
        elif isinstance(value, np.ndarray):
            assert value.dtype == other.dtype
            np.testing.assert_array_equal(value, other)
        elif sp.issparse(value):
            assert abs(value - other).nnz == 0
        else:
            assert value == other, name


TREE = LabelTree([[0, 2], [0, 6, 12]], range(12))


@pytest.mark.parametrize(
    "params",
    [
        {"tree": TREE, "overlap": 2},
        {"label_embedding": np.random.default_rng(0).random((12, 3))},
        {"label_embedding": sp.csr_array(np.eye(12)[:, :5])},
        {"vectorizer": TfidfVectorizer(word_ngrams=[1, 2])},
        {"n_jobs": 1, "C": 0.3},
    ],
    ids=lambda params: next(iter(params)),
)
def test_parameters_are_what_they_were(tmp_path, params):
    model = XRLinear(**params).fit(TEXTS, LABELS)
    model.save(tmp_path / "m")
    for _ in range(2):
        assert_same_params(model, load(tmp_path / "m"))
        load(tmp_path / "m").save(tmp_path / "m")


@pytest.mark.parametrize("kind", [XRTransformer, XTransformer])
def test_parameters_of_transformers_are_what_they_were(tmp_path, kind):
    pytest.importorskip("transformers")
    ranker = XRLinear(max_leaf_size=5, n_jobs=2, random_state=7, vectorizer=TfidfVectorizer(min_df=2), tree=TREE)
    params = {**SMALL, "steps": (1,), "checkpoint_dir": tmp_path / "c", "ranker": ranker}
    if kind is XRTransformer:
        params["steps"] = 1
    model = kind(**params, vectorizer=TfidfVectorizer(char_ngrams=(2, 3)), device="cpu").fit(TEXTS, LABELS)
    model.set_params(device="cuda:77", n_jobs=None)
    model.save(tmp_path / "m")
    with pytest.warns(RuntimeWarning, match=r"device='cuda:77'"):
        again = load(tmp_path / "m")
    assert again.device == "cuda:77"
    assert_same_params(model, again)
    assert answers(again) == answers(model)


def test_a_model_of_features_keeps_its_vectorizer_parameter(tmp_path):
    model = XRLinear(vectorizer=TfidfVectorizer(min_df=3)).fit(np.eye(3), [[1], [2], [3]])
    model.save(tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_params(model, load(tmp_path / "m"))


def test_a_parameter_that_cannot_be_written_is_told_of(tmp_path):
    from sklearn.feature_extraction.text import CountVectorizer

    model = XRLinear(vectorizer=CountVectorizer()).fit(np.eye(3), [[1], [2], [3]])
    with pytest.warns(RuntimeWarning, match="'vectorizer' is not saved"):
        model.save(tmp_path / "m")
    assert load(tmp_path / "m").classes_.tolist() == [1, 2, 3]
