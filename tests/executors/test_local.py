"""Executors without a cluster: the same bytes, pieces in order, work that goes on."""

import json

import numpy as np
import pytest
from sklearn.base import clone

from ceiba import HybridClassifier, XRLinear
from ceiba.cli import main
from ceiba.errors import InputTypeError, StorageError
from ceiba.executors import LocalExecutor, Piece
from ceiba.executors.work_folder import SUFFIX

CALLS = []


def double(*, factor, number, context):
    CALLS.append(number)
    if number < 0:
        raise ZeroDivisionError
    return {"x": np.array([factor * number])}


def results(executor, numbers, factor=2):
    pieces = [Piece(f"number {number}", {"number": number}) for number in numbers]
    return [int(found["x"][0]) for found in executor.map(double, pieces, shared={"factor": factor}, stage="doubling")]


def test_results_come_in_order():
    assert results(LocalExecutor(), [3, 1, 2]) == [6, 2, 4]


@pytest.mark.parametrize("params", [{}, {"n_trees": 3}, {"n_trees": 2, "overlap": 2, "max_leaf_size": 4}])
def test_an_executor_changes_no_byte(make_problem, saved_bytes, params):
    problem = make_problem()
    models = [
        XRLinear(random_state=0, **params).fit(problem.X, problem.Y, executor=executor)
        for executor in (None, LocalExecutor())
    ]
    assert saved_bytes(models[0]) == saved_bytes(models[1])
    assert models[0].fit_report_["work"] == models[1].fit_report_["work"]


def test_work_goes_on_from_finished_pieces(tmp_path):
    CALLS.clear()
    with pytest.raises(ZeroDivisionError):
        results(LocalExecutor(work_dir=tmp_path), [1, 2, -1])
    assert results(LocalExecutor(work_dir=tmp_path), [1, 2, 3]) == [2, 4, 6]
    assert CALLS == [1, 2, -1, 3]


def test_pieces_of_other_inputs_are_not_taken(tmp_path):
    assert results(LocalExecutor(work_dir=tmp_path), [1, 2]) == [2, 4]
    assert results(LocalExecutor(work_dir=tmp_path), [1, 2], factor=5) == [5, 10]
    assert results(LocalExecutor(work_dir=tmp_path), [1, 2]) == [2, 4]


def test_a_damaged_piece_is_done_again(tmp_path):
    results(LocalExecutor(work_dir=tmp_path), [1])
    (file,) = tmp_path.glob(f"*{SUFFIX}")
    file.write_bytes(file.read_bytes()[:-3])
    assert results(LocalExecutor(work_dir=tmp_path), [1]) == [2]


@pytest.mark.parametrize("at", [-1, -6, -30, 12])
def test_a_changed_bit_of_a_piece_is_found(at, make_problem, saved_bytes, tmp_path):
    problem = make_problem()
    expected = XRLinear(n_trees=2, random_state=0).fit(problem.X, problem.Y)
    for _ in range(2):
        executor = LocalExecutor(work_dir=tmp_path)
        model = XRLinear(n_trees=2, random_state=0).fit(problem.X, problem.Y, executor=executor)
        assert saved_bytes(model) == saved_bytes(expected)
        for file in tmp_path.glob(f"*{SUFFIX}"):
            content = bytearray(file.read_bytes())
            content[at] ^= 1
            file.write_bytes(content)


def test_a_model_of_finished_pieces_has_the_same_bytes(make_problem, saved_bytes, tmp_path):
    problem = make_problem()
    models = []
    for work_dir in (None, tmp_path / "work", tmp_path / "work"):
        executor = LocalExecutor(work_dir=work_dir)
        models.append(XRLinear(n_trees=3, random_state=0).fit(problem.X, problem.Y, executor=executor))
    assert len(list((tmp_path / "work").iterdir())) == 3
    assert saved_bytes(models[0]) == saved_bytes(models[1]) == saved_bytes(models[2])
    executor.work_folder.clear()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("executor", ["ray", 3, LocalExecutor, object()])
@pytest.mark.parametrize("model", [XRLinear(), HybridClassifier()])
def test_what_is_no_executor_is_refused(model, executor):
    with pytest.raises(InputTypeError, match="executor"):
        model.fit(["a b", "a c", "b"], [["x"], ["x"], ["y"]], executor=executor)


def test_a_folder_that_cannot_be_written_is_found_before_the_work(make_problem, tmp_path):
    (tmp_path / "file").touch()
    problem = make_problem()
    with pytest.raises(StorageError, match="work_dir"):
        XRLinear().fit(problem.X, problem.Y, executor=LocalExecutor(work_dir=tmp_path / "file"))


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--engine", "dask"], "--engine"),
        (["--engine", "ray:"], "--engine"),
        (["--engine", "ray:nowhere"], "HOST:PORT"),
        (["--workers", "2"], "--workers"),
        (["--work-dir", "w", "--model", "xr-transformer", "--encoder", "e"], "checkpoint_dir"),
    ],
)
def test_engines_that_cannot_be_used_are_found_before_reading(tmp_path, capsys, words, named):
    assert run("train", tmp_path / "none.jsonl", "--model-dir", tmp_path / "m", *words) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("model", ["xr-linear", "hybrid"])
def test_a_dry_run_prints_a_plan_and_trains_nothing(small_corpus, tmp_path, capsys, model):
    texts, labels = small_corpus
    rows = [json.dumps({"text": text, "labels": row}) for text, row in zip(texts, labels, strict=True)]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    ask = ["train", tmp_path / "t.jsonl", "--model", model, "--model-dir", tmp_path / "m"]
    assert run(*ask, "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rows"] == 90
    assert plan["seconds_estimated"] > 0
    assert not (tmp_path / "m").exists()


def test_a_model_that_an_executor_trains_reports_what_training_took(tiny_encoder, small_corpus):
    pytest.importorskip("accelerate")
    from ceiba import XTransformer

    texts, labels = small_corpus
    model = XTransformer(encoder=str(tiny_encoder), max_length=16, steps=2, precision="float32", device="cpu", n_jobs=1)
    alone, spread = clone(model).fit(texts, labels), model.fit(texts, labels, executor=LocalExecutor())
    assert spread.fit_report_.keys() == alone.fit_report_.keys()
    assert spread.fit_report_["matcher"][0]["loss"] == pytest.approx(alone.fit_report_["matcher"][0]["loss"])
