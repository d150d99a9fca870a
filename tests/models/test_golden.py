"""Predictions of a small model as they once were, so that nothing changes them unseen.

A change that is meant (of the solver's stopping rule, say) writes them anew:

    python tests/models/test_golden.py
"""

import json
from pathlib import Path

import numpy as np

from ceiba import XRLinear

GOLDEN = Path(__file__).with_name("golden.json")

COLOURS = ["red", "green", "blue", "white", "black"]
THINGS = ["car", "apple", "bird", "sea", "house", "stone", "river"]
TEXTS = [
    f"the {colour} {thing} {'and' if (i + j) % 2 else 'near'} a {COLOURS[(i * j) % 5]} {THINGS[(i + j) % 7]}"
    for i, colour in enumerate(COLOURS)
    for j, thing in enumerate(THINGS)
]
LABELS = [sorted({*text.split()} & {*COLOURS, *THINGS}) for text in TEXTS]
QUERIES = ["a red car", "black stone near the river", "the bird", "", "nothing known", "white white sea house apple"]
PARAMETERS = {
    "plain": {},
    "deep": {"branching_factor": 2, "max_leaf_size": 2, "n_trees": 2, "weight_threshold": 0.01},
    "logistic": {"loss": "logistic", "combine": "sigmoid", "max_leaf_size": 3, "branching_factor": 2},
    "codes": {"weight_dtype": "float8", "negatives": "tfn+man", "max_leaf_size": 4, "branching_factor": 3},
}


def answers(parameters):
    model = XRLinear(random_state=7, **parameters).fit(TEXTS, LABELS)
    labels, scores = model.predict_topk(QUERIES, k=4)
    return {
        "labels": [[str(label) for label in row] for row in labels],
        "scores": [[round(float(score), 6) for score in row] for row in scores],
    }


def test_predictions_are_as_they_were():
    golden = json.loads(GOLDEN.read_text())
    assert golden.keys() == PARAMETERS.keys()
    for name, parameters in PARAMETERS.items():
        found, expected = answers(parameters), golden[name]
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-4, err_msg=name)
        for row, (labels, before) in enumerate(zip(found["labels"], expected["labels"], strict=True)):
            scores = expected["scores"][row]
            for place, (label, old) in enumerate(zip(labels, before, strict=True)):
                tied = any(abs(scores[place] - other) < 2e-4 for i, other in enumerate(scores) if i != place)
                assert label == old or tied or place == len(labels) - 1, (name, QUERIES[row], place)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: answers(p) for name, p in PARAMETERS.items()}, indent=1) + "\n")
