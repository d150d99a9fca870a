"""A user's first session without torch, as a script: run with and without docstrings and asserts.

Checks raise by themselves, since ``python -O`` drops assert statements.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

TEXTS = [f"{colour} {thing}" for colour in ("red", "green", "blue") for thing in ("car", "apple", "bird", "sea")] * 3
LABELS = [text.split() for text in TEXTS]


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise SystemExit(f"wrong: {what}")


def command(*words: str) -> str:
    """Run ``ceiba`` in this process and return its standard output."""
    from ceiba.cli import main

    out = io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out):
        try:
            main(list(words))
        except SystemExit as end:
            code = end.code
    expect(not code, f"ceiba {' '.join(words)} ended with {code}")
    return out.getvalue()


def library(folder: Path) -> None:
    from ceiba import LabelTree, TfidfVectorizer, XRLinear, XRTransformer, XTransformer, assign_clusters, load, metrics

    expect(all(map(callable, (LabelTree, assign_clusters, XTransformer))), "every name imports")
    features = TfidfVectorizer().fit_transform(TEXTS)
    expect(features.shape == (len(TEXTS), 7), "TF-IDF has a column for each word")
    model = XRLinear(n_trees=2, max_leaf_size=3, branching_factor=2).fit(TEXTS, LABELS)
    labels, scores = model.predict_topk(TEXTS, k=2)
    expect([sorted(row) for row in labels.tolist()] == [sorted(row) for row in LABELS], "the labels are found")
    model.save(folder / "model")
    again, same = load(folder / "model").predict_topk(TEXTS, k=2)
    expect(again.tolist() == labels.tolist() and same.tobytes() == scores.tobytes(), "a loaded model answers the same")
    truth = model.predict(TEXTS)
    ids = np.searchsorted(model.classes_, labels)
    expect(metrics.precision_at_k(truth, ids, 1) == 100.0, "precision is 100")
    expect(XRTransformer(encoder="static").get_params()["encoder"] == "static", "parameters without torch")


def commands(folder: Path) -> None:
    rows = [json.dumps({"text": text, "labels": labels}) for text, labels in zip(TEXTS, LABELS, strict=True)]
    train, model = folder / "train.jsonl", folder / "trained"
    train.write_text("\n".join(rows) + "\n", encoding="utf-8")
    command("train", str(train), "--model-dir", str(model), "--threads", "1", "--json")
    answers = command("predict", str(model), str(train)).splitlines()
    expect(len(answers) == len(TEXTS), "an answer for each text")
    command("evaluate", str(model), str(train), "--json")
    for name in ("xr-linear", "xr-transformer", "x-transformer"):
        listed = json.loads(command("params", name, "--json"))
        expect(listed["n_jobs"]["default"] is None and "int" in listed["n_jobs"]["values"], f"parameters of {name}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        library(Path(made))
        commands(Path(made))
    print("done", sys.flags.optimize)
