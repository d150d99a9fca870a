"""Predictions of one Transformer model from several threads, and after a fork: as those of one thread."""

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ceiba import XRLinear, XRTransformer, load
from ceiba.errors import CollapseWarning
from ceiba.models import transformer_recipe

SMALL = {"max_length": 16, "epochs": 1.0, "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
SMALL |= {"device": "cpu", "ranker": XRLinear(n_trees=1, branching_factor=3, max_leaf_size=5)}
N_THREADS = 8


@pytest.fixture(scope="module", params=["static:16", "bert", "frozen"])
def fitted(request, tiny_encoder, small_corpus):
    encoder = {"bert": str(tiny_encoder), "frozen": f"frozen:{tiny_encoder}"}.get(request.param, request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return XRTransformer(encoder=encoder, dropout=0.3, n_jobs=2, **SMALL).fit(*small_corpus)


def answers(model, texts):
    labels, scores = model.predict_topk(texts, 3)
    return labels.tolist(), scores.tobytes(), model.encode(texts).tobytes()


def modes(model):
    return {module.training for module in model.encoder_.modules()}


@pytest.mark.parametrize("n_calls", [10, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("made_by", ["fit", "load"])
def test_threads_answer_as_one(fitted, small_corpus, tmp_path, made_by, n_calls):
    texts = small_corpus[0]
    expected = answers(fitted, texts)
    fitted.save(tmp_path / "model")
    model = load(tmp_path / "model") if made_by == "load" else fitted
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(lambda _: answers(model, texts), range(N_THREADS * n_calls)))
    assert all(answer == expected for answer in found)


def test_first_calls_of_a_loaded_model_may_come_at_once(fitted, small_corpus, tmp_path):
    fitted.save(tmp_path / "model")
    expected = answers(fitted, small_corpus[0])
    for _ in range(5):
        model, start, found = load(tmp_path / "model"), threading.Barrier(N_THREADS), []

        def ask(model=model, start=start, found=found):
            start.wait()
            found.append(answers(model, small_corpus[0]))

        threads = [threading.Thread(target=ask) for _ in range(N_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * N_THREADS


def test_fit_and_load_leave_the_encoder_in_evaluation_mode(fitted, tmp_path):
    assert modes(fitted) == {False}
    fitted.save(tmp_path / "model")
    assert modes(load(tmp_path / "model")) == {False}


def test_predictions_do_not_change_the_mode(fitted, monkeypatch):
    def refuse(*_):
        raise AssertionError("a prediction sets the mode")

    monkeypatch.setattr(torch.nn.Module, "train", refuse)
    monkeypatch.setattr(torch.nn.Module, "eval", refuse)
    answers(fitted, ["the old red apple", "a car"])


def test_a_training_that_ends_early_restores_mode_and_threads(tiny_encoder, small_corpus, monkeypatch):
    made = []
    own = transformer_recipe.load_encoder
    monkeypatch.setattr(transformer_recipe, "load_encoder", lambda *a, **kw: made.append(own(*a, **kw)) or made[0])

    def stop(stage, done, total):
        if stage.startswith("fine-tuning") and done:
            raise KeyboardInterrupt

    before = settings()
    with pytest.raises(KeyboardInterrupt):
        XRTransformer(encoder=str(tiny_encoder), n_jobs=2, **SMALL).fit(*small_corpus, progress=stop)
    assert settings() == before
    assert {module.training for module in made[0].modules()} == {False}


def settings():
    """What torch and transformers have for the whole process, and for this thread."""
    import transformers

    with ThreadPoolExecutor(1) as pool:
        fresh = pool.submit(torch.get_num_threads).result()
    return (
        torch.get_num_threads(),
        fresh,
        torch.get_num_interop_threads(),
        torch.get_default_dtype(),
        torch.get_rng_state().tolist(),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        transformers.logging.get_verbosity(),
        transformers.logging.is_progress_bar_enabled(),
    )


@pytest.mark.parametrize("n_threads", [1, 3])
def test_overlapping_calls_leave_the_process_as_it_is(fitted, small_corpus, n_threads):
    before_test = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        before, inside = settings(), set()

        def ask(_):
            answers(fitted, small_corpus[0])
            inside.add(torch.get_num_threads())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(24)))
        assert settings() == before
        assert inside == {n_threads}
    finally:
        torch.set_num_threads(before_test)


def test_overlapping_fits_leave_the_process_as_it_is(fitted, small_corpus):
    before = settings()[:2]

    def work(number):
        if number % 2:
            return answers(fitted, small_corpus[0])
        return XRTransformer(encoder="static:8", n_jobs=1 + number, **SMALL).fit(*small_corpus)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(6)))
    assert settings()[:2] == before


def test_the_number_of_threads_does_not_change_a_byte(fitted, small_corpus):
    texts = [*small_corpus[0] * 20, "the"]
    found = []
    for n_jobs in (1, 2, 8):
        model = fitted.set_params(n_jobs=n_jobs)
        found.append([model.encode(texts).tobytes(), model.encode(texts[:1]).tobytes()])
    fitted.set_params(n_jobs=2)
    assert found[0] == found[1] == found[2]


FORKS = """
import os, sys, warnings
warnings.simplefilter("ignore")
from ceiba import XRTransformer, load
from ceiba.errors import ForkError

texts = ["the red apple", "a green car", "the old tree", "a fast red car"] * 10
labels = [[text.split()[-1], text.split()[1]] for text in texts]
params = {"encoder": sys.argv[1], "max_length": 16, "n_jobs": 2, "epochs": 1.0}
if sys.argv[2] == "fit":
    model = XRTransformer(**params).fit(texts, labels)
else:
    model = load(sys.argv[3])
expected = model.encode(texts)
child = os.fork()
if not child:
    same = (model.encode(texts) == expected).all() and model.predict_topk(texts, 1)[0].shape == (40, 1)
    refused = False
    try:
        XRTransformer(**params).fit(texts, labels)
    except ForkError as error:
        refused = "spawn" in str(error) and "n_jobs" in str(error)
    os._exit(0 if same and refused == (sys.argv[2] == "fit") else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.slow
@pytest.mark.parametrize("parent", ["fit", "load"])
def test_a_fork_predicts_and_does_not_hang(tiny_encoder, small_corpus, tmp_path, parent):
    if parent == "load":
        XRTransformer(encoder=str(tiny_encoder), n_jobs=2, **SMALL).fit(*small_corpus).save(tmp_path / "model")
    (tmp_path / "script.py").write_text(FORKS)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "2"}
    env["OMP_WAIT_POLICY"] = "passive"  # threads that spin beside other tests take minutes
    words = [sys.executable, tmp_path / "script.py", tiny_encoder, parent, tmp_path / "model"]
    assert subprocess.run([*map(str, words)], env=env, timeout=300).returncode == 0


def _encode(folder, texts):
    return load(folder).encode(texts)


def test_spawned_processes_predict(small_corpus, tmp_path):
    texts = small_corpus[0]
    model = XRTransformer(encoder="static:8", n_jobs=2, **SMALL).fit(*small_corpus)
    expected = model.encode(texts)
    model.save(tmp_path / "model")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_encode, (tmp_path / "model", texts))
    np.testing.assert_array_equal(found, expected)
