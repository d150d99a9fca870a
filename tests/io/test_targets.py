"""A target that cannot take a model is found before training; a trained model is put elsewhere, not lost."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from ceiba import XRLinear, load
from ceiba.errors import CeibaError, InputError, ModelFormatError, StorageError
from ceiba.io import check_save_target, current_generation, rescue_folder, save_or_rescue


@pytest.fixture(scope="module")
def model():
    return XRLinear().fit(np.eye(3), [[1], [2], [3]])


@pytest.fixture
def full_disk(monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.fixture
def closed_folder():
    """Make a folder that may be entered but not written to; root goes on as another account."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.geteuid()
        os.chmod(folder, 0o755 if before == 0 else 0o555)
        if before == 0:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(before)
            os.chmod(folder, 0o755)


def content(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["new", "a/b/new", "empty", "link", "dangling", "mount"])
def test_what_can_be_saved_to_passes_and_is_left_as_it_was(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mount" / "lost+found").mkdir(parents=True)
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "dangling").symlink_to("nowhere/yet")
    before = content(tmp_path)
    check_save_target(tmp_path / name)
    check_save_target(str(tmp_path / name), overwrite=False)
    assert content(tmp_path) == before


def test_the_working_folder_can_be_saved_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_save_target(".")
    assert content(tmp_path) == []


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        check_save_target("~/m")


def test_an_older_model_is_replaced_only_where_asked(model, tmp_path):
    model.save(tmp_path / "m")
    check_save_target(tmp_path / "m")
    with pytest.raises(InputError, match="holds a model already"):
        check_save_target(tmp_path / "m", overwrite=False)


def test_files_and_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine" / "model-0001").mkdir(parents=True)
    (tmp_path / "mine" / "model-0001" / "weights.pt").write_text("mine")
    for name, words in (("file", "is a file"), ("mine", "holds other files and no model")):
        with pytest.raises(InputError, match=words):
            check_save_target(tmp_path / name)
    assert content(tmp_path) == ["file", "mine", "mine/model-0001", "mine/model-0001/weights.pt"]


def test_a_file_above_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="file"):
        check_save_target(tmp_path / "file" / "model")


def test_a_loop_of_links_and_a_name_that_is_too_long(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("loop", "x" * 300):
        with pytest.raises(CeibaError, match=name):
            check_save_target(tmp_path / name)
    assert content(tmp_path) == ["loop"]


def test_a_folder_without_permission(closed_folder):
    for folder in (closed_folder, closed_folder / "new"):
        with pytest.raises(StorageError, match=closed_folder.name) as error:
            check_save_target(folder)
        assert error.value.errno == errno.EACCES


def test_a_read_only_system(tmp_path):
    with pytest.raises(StorageError) as error:
        check_save_target("/proc/model")
    assert isinstance(error.value, OSError)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_found_and_nothing_is_left(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/new"):
        with pytest.raises(StorageError, match="No space left") as error:
            check_save_target(tmp_path / name)
        assert error.value.errno == errno.ENOSPC
    assert content(tmp_path) == ["empty"]


def test_a_rescue_folder_stands_beside_the_target(tmp_path):
    first = rescue_folder(tmp_path / "m")
    assert first.parent == tmp_path
    assert not first.exists()
    first.mkdir()
    assert rescue_folder(tmp_path / "m") not in (first, tmp_path / "m")


def test_a_rescue_folder_is_elsewhere_where_beside_does_not_work(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert rescue_folder("/proc/m").parent == tmp_path


def test_a_model_is_put_elsewhere_where_its_folder_does_not_take_it(model, tmp_path):
    assert save_or_rescue(model.save, tmp_path / "m") == tmp_path / "m"
    (tmp_path / "file").write_text("mine")
    found = save_or_rescue(model.save, tmp_path / "file")
    assert found.parent == tmp_path
    assert load(found).classes_.tolist() == [1, 2, 3]
    assert (tmp_path / "file").read_text() == "mine"


def test_the_first_error_is_told_where_nothing_works(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def save(folder):
        raise OSError(errno.ENOSPC, f"no room in {folder}")

    with pytest.raises(OSError, match=r"no room in .*/m$|no room in .*/m'?"):
        save_or_rescue(save, tmp_path / "m")
    assert content(tmp_path) == []


def test_the_generation_of_a_missing_folder_says_that_there_is_no_folder(tmp_path):
    with pytest.raises(ModelFormatError, match=r"missing.*not a folder"):
        current_generation(tmp_path / "missing")
    with pytest.raises(ModelFormatError, match=r"current\.json"):
        current_generation(tmp_path)
