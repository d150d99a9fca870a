"""The builds for other instruction sets agree with the one in use, up to rounding."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ceiba._native import isa

SCRIPT = """
import json, sys
import numpy as np, scipy.sparse as sp
from ceiba import XRLinear
from ceiba._native import isa
from ceiba.features.matrix import EMBEDDING, as_features
rng = np.random.default_rng(0)
X = sp.csr_array((rng.random((200, 60)) * (rng.random((200, 60)) < 0.2)).astype(np.float32))
Y = sp.csr_array((rng.random((200, 90)) < 0.05).astype(np.float32) + np.eye(90)[np.arange(200) % 90])
found = {"isa": isa}
for loss in ("squared_hinge", "hinge", "logistic"):
    for weight_dtype in ("float32", "float16", "float8"):
        model = XRLinear(
            branching_factor=3, max_leaf_size=20, loss=loss, weight_dtype=weight_dtype, tolerance=1e-3, max_iter=5000
        ).fit(X, Y)
        scores = model.decision_function(X, beam_size=10**6).toarray()
        found[f"{loss} {weight_dtype}"] = scores.astype(float).tolist()
        found[f"{loss} {weight_dtype} tree"] = model.trees_[0].slot_label.tolist()
        single = np.vstack([model.predict_topk(X[[i]], k=3)[1] for i in range(200)])
        found[f"{loss} {weight_dtype} rows"] = (model.predict_topk(X, k=3)[1] == single).all().item()
    # builds differ in the order of visits to dense rows, so that only the optimum is common to them
    E = rng.normal(size=(200, 37)).astype(np.float32) / 6
    model = XRLinear(
        branching_factor=3, max_leaf_size=20, loss=loss, weight_dtype="float32", tolerance=1e-5, max_iter=50_000
    ).fit(as_features(X).with_block(EMBEDDING, E), Y)
    scores = model.decision_function(as_features(X).with_block(EMBEDDING, E), beam_size=10**6).toarray()
    found[f"{loss} dense"] = scores.astype(float).tolist()
    found[f"{loss} dense tree"] = model.trees_[0].slot_label.tolist()
json.dump(found, sys.stdout)
"""


def run(build):
    environment = {**os.environ, "CEIBA_ISA": build}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    if done.returncode and ("is not a build that this processor runs" in done.stderr or "no build of" in done.stderr):
        pytest.skip(f"the build {build} is not there, or not for this processor")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def in_use():
    return run(isa)


@pytest.mark.parametrize("build", ["v2", "v3", "v4"])
def test_builds_agree(in_use, build):
    if build == isa:
        pytest.skip("this is the build in use")
    other = run(build)
    assert other.pop("isa") == build
    assert in_use["isa"] == isa
    for name, found in other.items():
        if name.endswith(("tree", "rows")):
            assert found == in_use[name], name
        else:
            limit = 0.03 if "float8" in name else 5e-3
            np.testing.assert_allclose(found, in_use[name], atol=limit, err_msg=name)
    assert all(in_use[name] for name in in_use if name.endswith("rows"))
