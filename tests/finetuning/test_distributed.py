"""Two processes that train together end with the weights of one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from ceiba.io import current_generation

pytest.importorskip("accelerate")

SCRIPT = """
import json, os, sys
from pathlib import Path
from ceiba import XRTransformer
from safetensors.torch import save_file
encoder, corpus, out, more = sys.argv[1:]
texts, labels = json.loads(Path(corpus).read_text())
params = json.loads(more)
names = sorted({label for row in labels for label in row}) if params.pop("named", False) else None
model = XRTransformer(
    encoder=encoder, max_length=16, steps=[6, 6], batch_size=8, matcher_branching_factor=3, matcher_leaf_size=6,
    learning_rate=1e-3, dropout=0.0, precision="float32", device="cpu", n_jobs=1, **params,
).fit(texts, labels, label_texts=names)
out = Path(out) / os.environ.get("RANK", "0")
model.ranker_.save(out / "ranker")
save_file({name: p.detach() for name, p in model.encoder_.named_parameters()}, out / "weights.safetensors")
"""


def train(tmp_path, encoder, corpus, name, processes, **params):
    (tmp_path / "corpus.json").write_text(json.dumps(corpus))
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / name).mkdir()
    words = [tmp_path / "script.py", encoder, tmp_path / "corpus.json", tmp_path / name, json.dumps(params)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), *map(str, words)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return [load_file(tmp_path / name / str(rank) / "weights.safetensors") for rank in range(processes)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "params"),
    [
        ("tiny", {"checkpoint": True}),
        ("tiny", {"named": True}),
        ("tiny", {"prototype_max_positives": 99}),
        ("tiny", {"finetuning_loss": "squared_hinge", "gradient_accumulation_steps": 4}),
        ("static:8", {"validation_fraction": 0.2}),
    ],
)
def test_two_processes_are_one(tiny_encoder, small_corpus, tmp_path, encoder, params):
    encoder = tiny_encoder if encoder == "tiny" else encoder
    if params.pop("checkpoint", False):
        params["checkpoint_dir"] = str(tmp_path / "checkpoints")
    texts, labels = small_corpus
    corpus = texts[:81], labels[:81]  # the last batch of an epoch holds one text: a process is without any
    (alone,) = train(tmp_path, encoder, corpus, "one", 1, **{**params, "checkpoint_dir": None})
    first, second = train(tmp_path, encoder, corpus, "two", 2, **params)
    for name, value in alone.items():
        assert (first[name] == second[name]).all()
        np.testing.assert_allclose(first[name], value, atol=2e-4)
    one, two = (current_generation(tmp_path / "two" / rank / "ranker") for rank in ("0", "1"))
    for name in ("tree-0.safetensors", "labels.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert (tmp_path / "checkpoints").exists() == ("checkpoint_dir" in params)
