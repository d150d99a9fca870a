"""`ceiba train --model-dir`: a target that will not do is found out first; a trained model is never lost."""

from __future__ import annotations

import errno
import json
import os

import pytest

from ceiba import XRLinear, load

SMALL = ("--model", "xr-linear", "--threads", "1", "--set", "max_leaf_size=10")


@pytest.mark.parametrize("target", ["file", "file/m", "link_to_file", "loop/m", "other", "/proc/m", "/dev/null"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_unfit_targets_are_found_before_the_data(run, tmp_path, target, overwrite):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link_to_file").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    more = ["--overwrite"] if overwrite else []
    message = run("train", tmp_path / "no.jsonl", "--model-dir", tmp_path / target, *more).error()
    assert target in message
    assert "no.jsonl" not in message
    assert (tmp_path / "file").read_text() == (tmp_path / "other" / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("kind", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("out of luck")])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_model_that_cannot_be_saved_is_put_elsewhere(run, corpus, tmp_path, monkeypatch, kind, more):
    target = tmp_path / "m"
    save = XRLinear.save

    def save_elsewhere(self, folder, *args, **kwargs):
        if os.fspath(folder) == os.fspath(target):
            raise kind
        return save(self, folder, *args, **kwargs)

    monkeypatch.setattr(XRLinear, "save", save_elsewhere)
    result = run("train", corpus / "train.jsonl", "--model-dir", target, *SMALL, *more)
    assert result.code not in (0, None)
    (rescued,) = (path for path in tmp_path.iterdir() if path != target)
    assert f"{rescued}" in result.err
    assert f"{target}" in result.err
    assert str(kind.args[-1]) in result.err
    assert len(load(rescued).classes_) == 50
    if more:
        assert json.loads(result.out)["model_dir"] == str(rescued)


def test_model_goes_to_the_temporary_folder_where_nothing_else_works(run, corpus, tmp_path, monkeypatch):
    save = XRLinear.save
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    def save_in_tmp(self, folder, *args, **kwargs):
        if tmp_path / "tmp" not in folder.parents:
            raise OSError(errno.EROFS, "Read-only file system", str(folder))
        return save(self, folder, *args, **kwargs)

    monkeypatch.setattr(XRLinear, "save", save_in_tmp)
    result = run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *SMALL)
    assert result.code not in (0, None)
    (rescued,) = (tmp_path / "tmp").iterdir()
    assert str(rescued) in result.err
    assert len(load(rescued).classes_) == 50


def test_error_where_nothing_works_at_all(run, corpus, tmp_path, monkeypatch):
    def fail(self, folder, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(folder))

    monkeypatch.setattr(XRLinear, "save", fail)
    result = run("train", corpus / "train.jsonl", "--model-dir", tmp_path / "m", *SMALL)
    assert result.code not in (0, None)
    assert "Read-only" in result.err


def test_current_folder(run, corpus, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    report = run("train", corpus / "train.jsonl", "--model-dir", ".", "--json", *SMALL).json
    assert len(load(report["model_dir"]).classes_) == 50
