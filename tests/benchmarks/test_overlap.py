"""Merged labels that must come apart, and the figures of the overlap benchmark."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from benchmarks.overlap import measure, merge_labels, recovery
from benchmarks.overlap_report import write

from ceiba import LabelTree, XRLinear

N_TOPICS, PER_TOPIC, PER_LABEL = 12, 10, 12


@pytest.fixture(scope="module")
def topics():
    """Labels of twelve topics without a word in common: a row has words of its topic and of its label."""
    rng = np.random.default_rng(0)
    rows = N_TOPICS * PER_TOPIC * PER_LABEL
    label = np.arange(rows) % (N_TOPICS * PER_TOPIC)
    topic = label // PER_TOPIC
    words = np.zeros((rows, N_TOPICS * 20 + N_TOPICS * PER_TOPIC), np.float32)
    for row in range(rows):
        words[row, topic[row] * 20 + rng.choice(20, 5, replace=False)] = 1
        words[row, N_TOPICS * 20 + label[row]] = 1
    X = sp.csr_array(words / np.linalg.norm(words, axis=1, keepdims=True))
    return X, sp.csr_array((np.ones(rows, np.float32), (np.arange(rows), label)))


def merged(topics):
    Z = sp.csr_array(topics[1].T @ topics[0]).toarray()
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    return merge_labels(topics[1], lambda a, b: (Z[a] * Z[b]).sum(axis=1), 10, 5, seed=0)


def test_merged_labels(topics):
    Y, senses = merged(topics)
    assert senses.shape == (10, 3)
    assert Y.shape[1] == topics[1].shape[1] - 10
    assert (senses[:, 1] // PER_TOPIC != senses[:, 2] // PER_TOPIC).all()
    assert len(np.unique(senses[:, 1:])) == 20
    for new, a, b in senses.tolist():
        expected = topics[1][:, [a]] + topics[1][:, [b]]
        assert (Y[:, [new]].toarray() == expected.toarray()).all()
    assert Y.sum() == topics[1].sum()


def test_homonyms_come_apart_in_two_clusters_only(topics):
    Y, senses = merged(topics)
    sense_of = np.delete(np.arange(N_TOPICS * PER_TOPIC), senses[:, 2])
    tree = LabelTree.from_parents([sense_of // PER_TOPIC])  # merged labels are at home with their first sense
    settings = {"tree": tree, "overlap_capacity": 6.0, "n_jobs": 1}
    model = XRLinear(overlap=2, **settings).fit(topics[0], Y)
    found = recovery(model, topics[0], topics[1], senses)
    assert found["recovered"] >= 0.8
    assert found["purity"] >= 0.9
    assert found["recovered_random"] <= 0.1
    assert found["purity_random"] < 0.8
    one = recovery(XRLinear(overlap=1, **settings).fit(topics[0], Y), topics[0], topics[1], senses)
    assert one["two_clusters"] == one["recovered"] == 0


def test_rows_and_report(topics, tmp_path):
    rows = [
        {"overlap": overlap, "data": "topics", "part": "validation", "settings": {}, "machine": "m", "threads": 1}
        | measure({"overlap": overlap, "max_leaf_size": 12}, topics[0], topics[1], topics[0], topics[1], 1)[0]
        for overlap in (1, 2)
    ]
    assert rows[0]["slots"] == rows[0]["labels"] == 120
    assert rows[1]["slots"] >= rows[0]["slots"]
    assert all(row["P@1"] > 80 for row in rows)
    rows[1]["P@1"] = rows[0]["P@1"] + 1.25
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write([tmp_path / "rows.jsonl"], tmp_path / "out")
    text = (tmp_path / "out" / "overlap.md").read_text()
    assert "## topics: validation" in text
    assert " of 6 |" in text
    assert (tmp_path / "out" / "overlap.svg").stat().st_size > 1000
