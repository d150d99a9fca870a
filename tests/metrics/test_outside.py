"""Agreement with metric code written elsewhere, and the time for a million rows."""

import importlib.util
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import metrics

JUDGE = Path(__file__).parents[3] / "shared" / "tools" / "metrics.py"


def random_sets(n, n_labels, seed):
    """Make scores and positives with a long tail, half of the positives among the scored labels."""
    rng = np.random.default_rng(seed)
    width = 10
    columns = np.minimum(rng.zipf(1.3, (n, width)), n_labels // width) - 1 + np.arange(width) * (n_labels // width)
    scores = sp.csr_array(
        (rng.random(n * width, dtype=np.float32), columns.ravel().astype(np.int32), np.arange(n + 1) * width),
        shape=(n, n_labels),
    )
    counts = rng.integers(0, 8, n)
    rows = np.repeat(np.arange(n), counts)
    right = np.where(
        rng.random(len(rows)) < 0.5,
        columns[rows, rng.integers(0, width, len(rows))],
        rng.integers(0, n_labels, len(rows)),
    )
    true = sp.coo_array((np.ones(len(rows), bool), (rows, right)), shape=(n, n_labels)).tocsr()
    return true.astype(np.float64), scores  # in single precision the other code rounds its propensities


@pytest.mark.peers
@pytest.mark.skipif(not JUDGE.exists(), reason="the independent metric code is not here")
@pytest.mark.parametrize(("A", "B"), [(0.55, 1.5), (0.5, 0.4), (0.6, 2.6)])
def test_agrees_with_independent_code(A, B):
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    judge.round = lambda value, _: value  # it reports two decimals
    Y_train, _ = random_sets(3000, 500, seed=1)
    Y_true, Y_score = random_sets(2000, 500, seed=2)
    expected = judge.report(judge.topk(Y_score, 5), Y_true, judge.propensity(Y_train, A, B))
    figures = metrics.evaluate(Y_true, Y_score, Y_train=Y_train, A=A, B=B)
    for name, value in expected.items():
        assert figures[name.replace("N@", "nDCG@")] == pytest.approx(value, abs=1e-9), name
    np.testing.assert_allclose(
        metrics.inverse_propensity(Y_train, A=A, B=B), judge.propensity(Y_train, A, B), rtol=1e-12
    )


@pytest.mark.slow
def test_a_million_rows_take_seconds_and_bounded_memory():
    Y_true, Y_score = random_sets(1_000_000, 300_000, seed=0)
    start = time.perf_counter()
    figures = metrics.evaluate(Y_true, Y_score, Y_train=Y_true)
    assert time.perf_counter() - start < 10
    tracemalloc.start()
    assert metrics.evaluate(Y_true, Y_score, Y_train=Y_true) == figures
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6  # scores and positives are 180 MB
