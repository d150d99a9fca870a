"""What can be seen only from outside: the time and the modules that an import takes, and Ctrl-C."""

import os
import signal
import statistics
import subprocess
import sys
import time

import pytest

HEAVY = ["torch", "pyarrow", "typer", "rich", "skops", "pandas", "simple_icd_10_cm", "transformers"]


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **options).stdout


# NumPy, SciPy's sparse matrices and scikit-learn, as any user of Ceiba has them, and what these import themselves
BASE = "import numpy, scipy.sparse, sklearn.base, sklearn.utils.validation, sklearn.preprocessing\n"
NAMES = "ceiba.XRLinear, ceiba.TfidfVectorizer, ceiba.load, ceiba.metrics.evaluate, ceiba.LabelTree\n"


@pytest.mark.parametrize(
    "work", ["", "ceiba.XRLinear().fit(['a', 'b'], [['x'], ['y']]).predict_topk(['a'], k=1)\n"], ids=["import", "work"]
)
def test_nothing_heavy_is_imported(work):
    code = f"{BASE}import sys; before = {{*sys.modules}}\nimport ceiba; {NAMES}{work}"
    code += f"print([name for name in {HEAVY} if name in sys.modules and name not in before])"
    assert python(code).strip() == "[]"


def test_import_takes_less_than_half_a_second_more_than_its_base():
    code = f"import time\n{BASE}start = time.perf_counter()\nimport ceiba; {NAMES}print(time.perf_counter() - start)"
    python(code)  # the first run writes byte code
    assert statistics.median(float(python(code)) for _ in range(3)) < 0.5


def test_an_unknown_build_is_named():
    done = subprocess.run(
        [sys.executable, "-c", "import ceiba; ceiba.XRLinear"],
        capture_output=True,
        text=True,
        env={**os.environ, "CEIBA_ISA": "v9"},
    )
    assert done.returncode != 0
    assert "CEIBA_ISA=v9 is not a build that this processor runs" in done.stderr


LONG_FIT = """
import sys, numpy as np, scipy.sparse as sp
from ceiba import XRLinear
rng = np.random.default_rng(0)
X = sp.random_array((20_000, 5_000), density=0.01, format="csr", dtype=np.float32, rng=rng)
Y = sp.random_array((20_000, 300), density=0.05, format="csr", dtype=np.float32, rng=rng)
def tell(stage, done, total):
    if stage.startswith({stage!r}):
        print("working", flush=True)
model = XRLinear(n_jobs={n_jobs}, C=1e4, tolerance=1e-6, max_iter=10**6, max_leaf_size=300{parameters})
model.fit(X, Y, progress=tell)
print("done")
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("n_jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize(
    ("stage", "parameters"), [("level 1", ""), ("level 1", ", loss='logistic'"), ("clustering", ", max_leaf_size=2")]
)
def test_ctrl_c_stops_training_within_a_second(n_jobs, stage, parameters):
    code = LONG_FIT.format(stage=stage, n_jobs=n_jobs, parameters=parameters)
    if stage == "clustering":
        code = LONG_CLUSTERING.format(n_jobs=n_jobs)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "working\n"
            time.sleep(0.3)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            started = time.perf_counter()
            output, errors = process.communicate(timeout=30)
            seconds = time.perf_counter() - started
        finally:
            process.kill()
    assert "KeyboardInterrupt" in errors
    assert "done" not in output
    assert process.returncode != 0
    assert seconds < 1.5  # the end of the process and a busy machine included


LONG_CLUSTERING = """
import numpy as np
from ceiba.tree.clustering import cluster_labels
Z = np.random.default_rng(0).normal(size=(100_000, 100)).astype(np.float32)
Z /= np.linalg.norm(Z, axis=1, keepdims=True)
print("working", flush=True)
cluster_labels(Z, branching_factor=2, max_leaf_size=2, n_threads={n_jobs})
print("done")
"""
