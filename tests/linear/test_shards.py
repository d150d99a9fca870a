"""Levels that are trained in ranges of parents: the same bytes, in less memory."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from ceiba.data.instances import InstanceLists
from ceiba.data.label_matrix import Labels
from ceiba.linear import tree_model
from ceiba.linear.solve import SolverSettings
from ceiba.linear.tree_model import train_tree
from ceiba.models.sample_weights import weighted_positives
from ceiba.tree.clustering import cluster_labels
from ceiba.tree.embeddings import pifa


@pytest.mark.parametrize("negatives", ["tfn", "tfn+man"])
@pytest.mark.parametrize("relevance", [None, "l1", "given"])
def test_a_tree_model_is_the_same_in_any_number_of_shards(make_problem, monkeypatch, negatives, relevance):
    problem = make_problem(400, 80, 150)
    positives = weighted_positives(Labels(problem.Y), None, None if relevance == "given" else relevance)
    if relevance == "given":
        weight = np.random.default_rng(0).uniform(0.5, 2, len(positives.indices)).astype(np.float32)
        positives = InstanceLists(positives.ptr, positives.indices, weight)
    tree = cluster_labels(pifa(problem.features, problem.positives), branching_factor=4, max_leaf_size=8)
    assert tree.depth >= 3
    train_layer, models = tree_model.train_layer, []
    for n_shards in (1, 2, 7):
        monkeypatch.setattr(tree_model, "train_layer", partial(train_layer, n_shards=n_shards))
        models.append(
            train_tree(problem.features, positives, tree, SolverSettings(), negatives=negatives, seed=3, n_threads=2)
        )
    whole, *others = models
    assert all(layer.n_weights for layer in whole.layers)
    for other in others:
        assert other.work() == whole.work()
        for one, same in zip(whole.layers, other.layers, strict=True):
            for name, array in one.arrays.items():
                assert array.dtype == same.arrays[name].dtype, name
                assert array.tobytes() == same.arrays[name].tobytes(), name


PEAK = """
import numpy as np
from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.solve import SolverSettings, train_layer

n_parents, n_children, n_rows, n_values, d = 1300, 100, 40, 40, 50_000
rng = np.random.default_rng(0)
n = n_parents * n_rows
columns = np.sort(rng.integers(0, d // n_values, (n, n_values)) + np.arange(n_values) * (d // n_values), axis=1)
values = rng.random(n * n_values, dtype=np.float32) / 6
X = FeatureMatrix(np.arange(n + 1) * n_values, columns.ravel().astype(np.int32), values, d)
matched = InstanceLists(np.arange(n_parents + 1) * n_rows, np.arange(n, dtype=np.int32))
child = np.arange(n_parents * n_children)
positives = InstanceLists(
    np.arange(len(child) + 1), (child // n_children * n_rows + child % n_rows).astype(np.int32)
)
child_ptr = np.arange(n_parents + 1) * n_children
def memory(name):  # of this program alone: ru_maxrss has that of the program which started it, too
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))
before = memory("VmRSS")
layer = train_layer(X, child_ptr, matched, positives, SolverSettings(), n_threads=1)
print(layer.n_bytes, memory("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_weights_are_packed_before_all_are_solved():
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size, grown = map(int, done.stdout.split())
    assert size > 10e6
    assert grown < 3 * size  # 5.4 where all is solved before any of it is packed
