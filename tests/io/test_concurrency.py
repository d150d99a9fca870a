"""Several processes save models to one folder while others load it: old or new, never a mix or an error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ceiba import XRLinear, load
from ceiba.retrieval.tree_search import TreeSearch

ROWS = np.eye(6)

SAVER = """
import sys
from pathlib import Path
from ceiba import load
source, target, stop = sys.argv[1:]
model, saves = load(source, mmap=False), 0
print("ready", flush=True)
while not Path(stop).exists():
    model.save(target)
    saves += 1
print(saves)
"""

LOADER = """
import sys
from pathlib import Path
import numpy as np
from ceiba import load
target, answers, n, encoder = sys.argv[1:]
expected = np.load(answers)
X = ["w1 w2", "w3"] if encoder == "yes" else np.eye(6)
seen = set()
for i in range(int(n)):
    model = load(target, verify=bool(i % 2), mmap=i % 3 > 0)
    name = model.classes_[0][0]
    seen.add(name)
    assert all(label[0] == name for label in model.classes_), model.classes_
    assert (model.predict_topk(X, k=3)[1] == expected[name]).all(), name
    again = model.predict_topk(X, k=3)[1]
    assert (again == expected[name]).all(), name
print(*sorted(seen))
"""


def race(models, X, tmp_path, n_savers, n_loaders, n_loads, encoder="no"):
    """Save two models in turn while they are loaded; return what the loaders saw and the number of saves."""
    target, stop = tmp_path / "m", tmp_path / "stop"
    for name, model in models.items():
        model.save(tmp_path / name)
    np.savez(tmp_path / "answers.npz", **{name: model.predict_topk(X, k=3)[1] for name, model in models.items()})
    next(iter(models.values())).save(target)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    start = lambda *words: subprocess.Popen(  # noqa: E731
        [sys.executable, "-c", *map(str, words)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    savers = [start(SAVER, tmp_path / name, target, stop) for name in list(models) * n_savers]
    for saver in savers:
        assert saver.stdout.readline() == "ready\n"
    loaders = [start(LOADER, target, tmp_path / "answers.npz", n_loads, encoder) for _ in range(n_loaders)]
    outputs = [loader.communicate() for loader in loaders]
    stop.touch()
    saved = [saver.communicate() for saver in savers]
    for process, (_, error) in zip([*loaders, *savers], [*outputs, *saved], strict=True):
        assert process.returncode == 0, error[-2000:]
    assert len(list(target.iterdir())) == 3  # the lock, the pointer, one generation
    load(target)
    return {name for out, _ in outputs for name in out.split()}, sum(int(out) for out, _ in saved)


@pytest.fixture(scope="module")
def models():
    found = {}
    for seed, name in enumerate("ab"):
        labels = [[f"{name}{i}", f"{name}x{i % 2}"] for i in np.random.default_rng(seed).permutation(6)]
        model = XRLinear(n_trees=2, branching_factor=2, max_leaf_size=2, random_state=seed, n_jobs=1)
        found[name] = model.fit(ROWS, labels)
    return found


def test_two_savers_and_two_loaders(models, tmp_path):
    seen, n_saves = race(models, ROWS, tmp_path, n_savers=1, n_loaders=2, n_loads=100)
    assert seen == {"a", "b"}
    assert n_saves > 20


@pytest.mark.slow
def test_ten_thousand_loads(models, tmp_path):
    seen, n_saves = race(models, ROWS, tmp_path, n_savers=2, n_loaders=4, n_loads=2500)
    assert seen == {"a", "b"}
    assert n_saves > 1000


@pytest.mark.slow
def test_loads_of_transformers(tmp_path):
    pytest.importorskip("transformers")
    from ceiba import XRTransformer

    texts = [f"w{i % 7} w{i % 11}" for i in range(40)]
    found = {}
    for seed, name in enumerate("ab"):
        model = XRTransformer(encoder="static:8", steps=1, max_length=8, random_state=seed, n_jobs=1, device="cpu")
        found[name] = model.fit(texts, [[f"{name}{i % 9}"] for i in range(40)])
    seen, _ = race(found, ["w1 w2", "w3"], tmp_path, n_savers=1, n_loaders=2, n_loads=300, encoder="yes")
    assert seen == {"a", "b"}


def test_threads_of_one_process_save_in_turn(models, tmp_path):
    errors = []

    def work(model):
        try:
            for _ in range(5):
                model.save(tmp_path / "m")
                load(tmp_path / "m")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(model,)) for model in list(models.values()) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list((tmp_path / "m").iterdir())) == 3


def test_a_link_that_is_turned_while_a_model_is_loaded_does_not_mix(models, tmp_path, monkeypatch):
    for name, model in models.items():
        model.save(tmp_path / name)
    link = tmp_path / "link"
    link.symlink_to("a")
    read = TreeSearch.load

    def turn(*arguments):
        link.unlink()
        link.symlink_to("b")
        return read(*arguments)

    monkeypatch.setattr(TreeSearch, "load", turn)
    model = load(link)
    assert {label[0] for label in model.classes_} == {"a"}
    assert (model.predict_topk(ROWS, k=3)[1] == models["a"].predict_topk(ROWS, k=3)[1]).all()
    assert Path(os.readlink(link)) == Path("b")
