"""Training of one model by all workers of an executor; it comes back as the files of a saved model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from ceiba._progress import Progress
from ceiba.executors.executor import Arrays, Executor, PieceContext
from ceiba.executors.ranks import is_first_process

_REPORT = "fit_report"  # beside the files of the model


def fit_together(
    estimator: Any, executor: Executor, arguments: Mapping[str, Any], progress: Progress | None = None
) -> Any:
    """Return a fitted copy of an estimator, which the executor's workers train together."""
    from ceiba.models.saving import load  # which knows all estimators

    shared = {"estimator": clone(estimator), "arguments": dict(arguments)}
    files = dict(executor.together(fit_and_pack, shared=shared, stage="training together", progress=progress))
    report = json.loads(files.pop(_REPORT).tobytes())
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.data)
        fitted = load(folder, mmap=False)
    fitted.fit_report_ = report  # which a saved model does not have
    return fitted


def fit_and_pack(*, estimator: Any, arguments: Mapping[str, Any], context: PieceContext) -> Arrays:
    """Fit an estimator in one of the processes that train together; the first returns the files of the model."""
    if context.n_threads is not None:
        estimator.set_params(n_jobs=context.n_threads)
    estimator.fit(**arguments, progress=context.progress or False)
    if not is_first_process():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        estimator.save(model)
        paths = [path for path in model.rglob("*") if path.is_file()]
        files = {path.relative_to(model).as_posix(): np.fromfile(path, np.uint8) for path in paths}
    report = json.dumps(estimator.fit_report_, default=lambda value: value.tolist())  # NumPy's numbers and arrays
    return {**files, _REPORT: np.frombuffer(report.encode(), np.uint8)}
