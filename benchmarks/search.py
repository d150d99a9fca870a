"""What a search costs: a batch, one row at a time, and all rows' scores, of a saved model that reads texts.

``python -m benchmarks.search MODEL TEXTS.jsonl.gz``; with PYTHONPATH it measures another version of the package on the
same model. The first 5,000 rows count and are vectorized beforehand. Figures are of one thread. Those of batches and
single rows are the best of several repetitions; seconds are the processor's.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ceiba import load
from ceiba.data import read


def measure(model: Any, X: Any, *, repetitions: int = 5, single: int = 400) -> dict[str, float]:
    """Return microseconds a row of batches and of single rows, seconds of the methods for all rows, MB of predict."""
    model.set_params(n_jobs=1)
    rows = [X[[row]] for row in range(min(single, X.shape[0]))]
    batch, one = [], []
    for _ in range(repetitions):
        batch.append(_seconds(model.predict_topk, X, 5))
        one.append(np.median([_seconds(model.predict_topk, row, 5) for row in rows]))
    figures = {"batch_us": 1e6 * min(batch) / X.shape[0], "one_us": 1e6 * float(min(one))}
    before = _peak()
    figures["predict_s"] = _seconds(model.predict, X)
    figures["predict_mb"] = _peak() - before
    figures["decision_function_s"] = _seconds(model.decision_function, X)
    return {name: round(figure, 2) for name, figure in figures.items()}


def _seconds(call: Callable[..., Any], *arguments: Any) -> float:
    started = time.process_time()
    call(*arguments)
    return time.process_time() - started


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    fitted = load(sys.argv[1])
    texts = [text for part in read(sys.argv[2]).texts.batches() for text in part][:5000]
    print(json.dumps(measure(fitted, fitted.vectorizer_.transform(texts))))
