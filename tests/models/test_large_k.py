"""More places than labels, thresholds and scores of many rows: memory is that of the answer."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from benchmarks.synthetic import generate

from ceiba import XRLinear
from ceiba.retrieval.tree_search import TreeSearch

HUGE = [10**6, 10**9, 2**63, 10**30]


@pytest.fixture(scope="module", params=[1, 3])
def model_and_set(request):
    problem = generate(300, 1200, n_test=3000, seed=1)
    return XRLinear(n_trees=request.param, max_leaf_size=15, n_jobs=2).fit(problem.X, problem.Y), problem.X_test


@pytest.mark.parametrize("k", HUGE)
@pytest.mark.parametrize("max_leaf_size", [1, 100])
def test_no_more_places_than_labels(k, max_leaf_size):
    model = XRLinear(max_leaf_size=max_leaf_size).fit([[1.0, 0.0], [0.0, 1.0]], [["a"], ["b"]])
    X = [[1.0, 0.0]]
    labels, scores = model.predict_topk(X, k=k)
    assert labels.tolist() == [["a", "b"]]
    assert scores.shape == (1, 2)
    assert model.decision_function(X, k=k).nnz == 2
    clusters, scores = model.match(X, k=k)
    assert clusters.shape == scores.shape
    assert clusters.shape[1] <= 2
    assert model.predict_topk(X, k=2, beam_size=k)[0].tolist() == [["a", "b"]]
    assert model.decision_function(X, beam_size=k).nnz == 2
    assert (model.match(X, k=2, beam_size=k)[0] >= 0).any()
    assert model.set_params(beam_size=k).predict_topk(X, k=1)[0].tolist() == [["a"]]


@pytest.mark.parametrize("threshold", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("combine", ["l3-hinge", "log-l3-hinge", "sigmoid"])
def test_predict_is_the_threshold_on_all_scores(model_and_set, threshold, combine):
    model, X = model_and_set
    model.set_params(prediction_threshold=threshold, combine=combine)
    scores = model.decision_function(X)
    plain = np.exp(scores.data) if combine.startswith("log-") else scores.data
    expected = scores.copy()
    expected.data = (plain >= np.float32(threshold)).astype(np.int8)
    expected.eliminate_zeros()
    found = model.predict(X)
    assert found.dtype == np.int8
    assert found.has_sorted_indices
    assert (found.data == 1).all()
    assert found.shape == expected.shape
    differing = found != expected
    near = np.abs(np.asarray(plain) - threshold) < 1e-6
    assert differing.nnz <= near.sum()


MEMORY = """
import resource, sys
import numpy as np, scipy.sparse as sp
from ceiba import XRLinear
from benchmarks.synthetic import generate
problem = generate(2000, n_test=10, seed=0)
model = XRLinear(n_trees=int(sys.argv[2]), beam_size=40, n_jobs=1).fit(problem.X, problem.Y)
X = sp.vstack([problem.X] * 10, format="csr")
model.predict_topk(X, k=5)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = getattr(model, sys.argv[1])(X)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(found.data) * 8 // 1024)
"""


@pytest.mark.parametrize("n_trees", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_memory_is_that_of_the_answer(method, n_trees):
    """20,000 rows that reach hundreds of labels each, of which the threshold of predict leaves next to none."""
    run = [sys.executable, "-c", MEMORY, method, str(n_trees)]
    more, answer = map(int, subprocess.run(run, check=True, capture_output=True, text=True).stdout.split())
    assert more < 60_000 + 1.4 * answer  # KiB


def test_explain_asks_the_searcher_of_the_model(model_and_set, monkeypatch):
    model, X = model_and_set
    model.set_params(combine="l3-hinge")
    label = model.predict_topk(X[[0]], k=1)[0][0, 0]
    expected = [model.explain(X[[0]], label, tree=t).score for t in range(len(model.trees_))]

    def none(*_, **__):
        raise AssertionError("a searcher was built")

    monkeypatch.setattr(TreeSearch, "__init__", none)
    best = model.explain(X[[0]], label)
    assert best.score == max(expected)
    assert best.tree == int(np.argmax(expected))
    mean = model.score_labels(X[[0]], [[label]])[0][0]
    assert mean == pytest.approx(np.mean(expected), rel=1e-5)


def test_first_calls_at_the_same_time_answer_alike(model_and_set):
    model, X = model_and_set
    expected = model.predict_topk(X[:50], k=5)
    for _ in range(10):
        model.set_params(combine="sigmoid").predict_topk(X[:1])
        model.set_params(combine="l3-hinge")
        start, answers = threading.Barrier(8), []

        def ask(start=start, answers=answers):
            start.wait()
            answers.append(model.predict_topk(X[:50], k=5))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 8
        for labels, scores in answers:
            assert (labels == expected[0]).all()
            assert (scores == expected[1]).all()
