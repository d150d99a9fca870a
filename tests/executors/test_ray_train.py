"""Fine-tuning by two workers of Ray Train: the model of one process, to rounding."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("torch")
pytest.importorskip("accelerate")

from ceiba import XRTransformer
from ceiba.errors import InputError

pytestmark = pytest.mark.ray


SETTINGS = {
    "max_length": 16, "steps": [6, 6], "batch_size": 8, "matcher_leaf_size": 6, "matcher_branching_factor": 3,
    "learning_rate": 1e-3, "dropout": 0.0, "precision": "float32", "device": "cpu", "n_jobs": 1,
}  # fmt: skip


def training_processes() -> list[int]:
    """Return the processes of this machine that train for Ray Train."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"RayTrainWorker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.mark.parametrize("params", [{}, {"gradient_accumulation_steps": 2}])
def test_two_workers_are_one_process(ray_executor, tiny_encoder, small_corpus, params):
    texts, labels = small_corpus
    settings = {"encoder": str(tiny_encoder), **SETTINGS, **params}
    alone = XRTransformer(**settings).fit(texts, labels)
    together = XRTransformer(**settings).fit(texts, labels, executor=ray_executor)
    np.testing.assert_allclose(together.encode(texts), alone.encode(texts), atol=1e-4)
    start = XRTransformer(**{**settings, "steps": [1, 1], "learning_rate": 1e-9}).fit(texts, labels)
    assert np.abs(start.encode(texts) - alone.encode(texts)).max() > 1e-2
    tops = [model.predict_topk(texts, 1)[0] for model in (alone, together)]
    assert (tops[0] == tops[1]).mean() > 0.95


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the processes are found in /proc")
def test_a_process_that_dies_does_not_end_the_training(ray_executor, tiny_encoder, small_corpus):
    texts, labels = small_corpus
    settings = {"encoder": str(tiny_encoder), **SETTINGS, "steps": [60, 60]}
    alone = XRTransformer(**settings).fit(texts, labels)
    before, killed = set(training_processes()), []

    def kill_one() -> None:
        while not killed:
            time.sleep(0.2)
            for process in set(training_processes()) - before:
                time.sleep(5)  # it has begun
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                return

    threading.Thread(target=kill_one, daemon=True).start()
    together = XRTransformer(**settings).fit(texts, labels, executor=ray_executor)
    assert killed
    np.testing.assert_allclose(together.encode(texts), alone.encode(texts), atol=1e-3)


def test_an_error_of_the_workers_comes_back(ray_executor, tiny_encoder, small_corpus):
    texts, labels = small_corpus
    with pytest.raises(InputError, match="rows"):
        XRTransformer(encoder=str(tiny_encoder)).fit(texts, labels[:-1], executor=ray_executor)
