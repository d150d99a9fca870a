"""Models on dense features: arrays in place of sparse matrices, and embeddings beside TF-IDF."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import XRLinear
from ceiba.features.matrix import as_features

SMALL = {"branching_factor": 3, "max_leaf_size": 8, "tolerance": 1e-3, "max_iter": 5000, "weight_threshold": 0.0}


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(150, 50, 40)


@pytest.fixture(scope="module")
def embeddings():
    return np.random.default_rng(0).normal(size=(150, 30)).astype(np.float32) / np.sqrt(30)


def assert_same_answers(found, expected):
    assert (found[0] == expected[0]).mean() > 0.99  # but for scores that are equal up to rounding
    np.testing.assert_allclose(found[1], expected[1], atol=2e-3)


@pytest.mark.parametrize("weight_dtype", ["float32", "float8"])
@pytest.mark.parametrize("negatives", ["tfn", "tfn+man"])
def test_an_array_is_learned_as_its_sparse_matrix(problem, embeddings, weight_dtype, negatives):
    params = SMALL | {"weight_dtype": weight_dtype, "negatives": negatives}
    sparse = sp.csr_array(embeddings)
    on_array, on_sparse = (XRLinear(**params).fit(X, problem.Y) for X in (embeddings, sparse))
    assert (on_array.trees_[0].slot_label == on_sparse.trees_[0].slot_label).all()
    answers = [model.predict_topk(X, k=3) for model in (on_array, on_sparse) for X in (embeddings, sparse)]
    np.testing.assert_allclose(answers[0][1], answers[1][1], rtol=1e-4, atol=1e-6)  # the same model
    assert (answers[0][0] == answers[1][0]).all()
    if weight_dtype == "float32":
        assert_same_answers(answers[0], answers[3])
    single = np.vstack([on_array.predict_topk(row[None], k=3)[1] for row in embeddings])
    assert (single == answers[0][1]).all()


def test_embeddings_beside_sparse_features(problem, embeddings, tmp_path):
    from ceiba import load

    X = problem.features.with_block("dense", embeddings)
    joined = X.to_scipy()
    model = XRLinear(**SMALL, weight_dtype="float32").fit(X, problem.Y)
    expected = XRLinear(**SMALL, weight_dtype="float32").fit(joined, problem.Y)
    assert model.n_features_in_ == 80
    assert (model.trees_[0].slot_label == expected.trees_[0].slot_label).all()
    assert_same_answers(model.predict_topk(X, k=3), expected.predict_topk(joined, k=3))
    model.save(tmp_path / "model")
    assert (load(tmp_path / "model").predict_topk(X, k=3)[1] == model.predict_topk(X, k=3)[1]).all()


def test_explanations_count_dense_features(problem, embeddings):
    X = problem.features.with_block("dense", embeddings)
    model = XRLinear(**SMALL).fit(X, problem.Y)
    one = as_features(X.to_scipy()[[4]])
    dense = as_features(problem.X[[4]]).with_block("dense", embeddings[4:5])
    found, expected = (model.explain(row, 7, n_features=100) for row in (dense, one))
    assert max(part.feature for step in found.steps for part in step.contributions) >= 50
    for step, same in zip(found.steps, expected.steps, strict=True):
        assert step.contributions == same.contributions
        assert step.margin == same.margin


MEMORY = """
import resource
import numpy as np, scipy.sparse as sp
from ceiba import XRLinear
from ceiba.features.matrix import as_features

n, d = 20_000, 384
rng = np.random.default_rng(0)
ids = np.sort(rng.integers(0, 150, (n, 2)) + [0, 150], axis=1).astype(np.int32)
Y = sp.csr_array((np.ones(2 * n, np.float32), ids.ravel(), np.arange(0, 2 * n + 1, 2)), shape=(n, 300))
S = as_features(sp.random_array((n, 2000), density=0.005, format="csr", dtype=np.float32, random_state=rng))
E = rng.standard_normal((n, d), dtype=np.float32)
E /= 20
X = %s
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = XRLinear(n_jobs=2, max_leaf_size=50, max_iter=1, beam_size=2).fit(X, Y)
model.predict_topk(X)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 / (4 * n * d))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is in other units elsewhere")
@pytest.mark.parametrize("X", ["E", "S.with_block('dense', E)"])
def test_embeddings_are_in_memory_once(X):
    """From training to prediction, memory grows by less than one more copy of the embeddings."""
    done = subprocess.run([sys.executable, "-c", MEMORY % X], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.9
