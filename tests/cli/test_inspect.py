"""`ceiba inspect`: what the folder holds, and where a label stands."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ceiba import XRLinear, load


def test_facts(run, model):
    facts, fitted = run("inspect", model, "--json").json, load(model)
    sizes = {"labels": 50, "features": fitted.n_features_in_, "rows_in_training": 600}
    assert {name: facts[name] for name in sizes} == sizes
    assert facts["bytes"] == sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    assert [tree["level_sizes"] for tree in facts["trees"]] == [tree.level_sizes for tree in fitted.trees_]
    assert all(tree["cluster_sizes"]["max"] <= 10 and min(tree["weights"]) > 0 for tree in facts["trees"])
    parameters = facts["parameters"]
    assert (parameters["max_leaf_size"], parameters["n_trees"], parameters["random_state"]) == (10, 2, 7)
    assert parameters["vectorizer"]["class"] == "TfidfVectorizer"


def test_facts_for_people(run, model):
    out = run("inspect", model).out
    assert "XRLinear" in out
    assert "tree 2" in out
    assert "  max_leaf_size" in out
    assert "  vectorizer__word_ngrams" in out


def test_place_of_a_label(run, model):
    place, fitted = run("inspect", model, "--label", "harbour", "--json").json["label"], load(model)
    column = fitted.classes_.tolist().index("harbour")
    assert place["name"] == "harbour"
    assert place["positives_in_training"] == fitted.label_counts_[column]
    assert [where["tree"] for where in place["places"]] == [1, 2]
    for where, tree in zip(place["places"], fitted.trees_, strict=True):
        assert where["path"] == tree.path(column)
        mates = {fitted.classes_[mate] for mate in tree.labels_under(tree.depth - 1, where["path"][-1])}
        assert set(where["neighbours"]) == mates - {"harbour"}
    out = run("inspect", model, "--label", "harbour").out
    assert all(f"tree {number}: root > " in out for number in (1, 2))


def test_trees(run, model):
    shown = run("inspect", model, "--tree", "--depth", "1").out
    drawn = run("inspect", model, "--tree", "--depth", "1", "--json").json["trees"]
    assert [len(lines) for lines in drawn] == [1 + tree.level_sizes[0] for tree in load(model).trees_]
    assert shown == "".join(f"tree {number}\n" + "\n".join(lines) + "\n" for number, lines in enumerate(drawn, 1))
    assert "harbour" in run("inspect", model, "--tree", "--depth", "9").out


def test_unknown_labels(run, model, tmp_path):
    assert "Similar: 'harbour'" in run("inspect", model, "--label", "Harb").error()
    assert "no label 'xyzzy'" in run("inspect", model, "--label", "xyzzy").error()


def test_labels_that_are_numbers(run, tmp_path):
    (tmp_path / "train.txt").write_text("2 2 3\n0,2 0:1\n1 1:1\n")
    assert run("train", tmp_path / "train.txt", "--model-dir", tmp_path / "m", "--model", "xr-linear").code == 0
    place = run("inspect", tmp_path / "m", "--label", "2", "--json").json["label"]
    assert (place["name"], place["positives_in_training"]) == (2, 1)
    assert [place["places"][0][name] for name in ("tree", "path")] == [1, []]
    assert sorted(place["places"][0]["neighbours"]) == [0, 1]
    assert "no label '7'" in run("inspect", tmp_path / "m", "--label", "7").error()
    assert "are numbers" in run("inspect", tmp_path / "m", "--label", "two").error()


@pytest.fixture(scope="module")
def overlapping(corpus, tmp_path_factory):
    """A folder with a model in which labels stand in several clusters."""
    folder = tmp_path_factory.mktemp("models") / "overlapping"
    settings = {"max_leaf_size": 8, "branching_factor": 4, "overlap": 3, "overlap_capacity": 4.0, "n_jobs": 1}
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]
    model = XRLinear(**settings).fit([row["text"] for row in rows], [row["labels"] for row in rows])
    model.save(folder)
    return folder


def test_senses_of_a_label(run, overlapping, corpus):
    fitted = load(overlapping)
    tree, layer = fitted.trees_[0], fitted.partitions_[0].layers[-1]
    column = int(np.bincount(tree.slot_label).argmax())
    name = fitted.classes_[column]
    arguments = ("inspect", overlapping, "--label", name, "--texts", corpus / "train.jsonl")
    place = run(*arguments, "--json").json["label"]
    assert len(place["places"]) == tree.overlap > 1
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]
    own = {row["text"] for row in rows if name in row["labels"]}
    examples = []
    for where, slot in zip(place["places"], tree.slots(column).tolist(), strict=True):
        cluster = where["path"][-1]
        assert set(where["neighbours"]) == set(fitted.classes_[tree.labels_under(tree.depth - 1, cluster)]) - {name}
        features, weights, _ = layer.column(slot)
        names = fitted.vectorizer_.get_feature_names_out()
        best = features[np.argsort(-weights, kind="stable")][: len(where["features"])]
        assert list(where["features"]) == names[best].tolist()
        assert set(where["examples"]) <= own
        examples += where["examples"]
        for text in where["examples"]:
            found = [c for c in fitted.match([text], k=10)[0][0] if c in {w["path"][-1] for w in place["places"]}]
            assert found[0] == cluster
    assert len(examples) == len(set(examples)) >= 3
    out = run(*arguments).out
    assert out.count("features: ") == tree.overlap
    assert f"example: {examples[0]}" in out


def test_examples_need_a_label(run, overlapping, corpus):
    assert "--label" in run("inspect", overlapping, "--texts", corpus / "train.jsonl").error()


def test_most_overlapped(run, overlapping, model):
    fitted = load(overlapping)
    tree = fitted.trees_[0]
    listed = run("inspect", overlapping, "--most-overlapped", "--json").json["most_overlapped"]
    several = {fitted.classes_[label] for label in np.flatnonzero(np.bincount(tree.slot_label) > 1)}
    assert {row["name"] for row in listed} <= several
    assert len(listed) == min(20, len(several))
    assert [row["distance"] for row in listed] == sorted((row["distance"] for row in listed), reverse=True)
    for row in listed:
        label = fitted.classes_.tolist().index(row["name"])
        assert set(row["clusters"]) <= set(tree.slot_cluster[tree.slots(label)].tolist())
        assert 0 <= row["distance"] <= 1.0001
        assert 1 <= row["levels"] <= tree.depth - 1
    assert listed[0]["name"] in run("inspect", overlapping, "--most-overlapped").out
    assert "no label stands in several" in run("inspect", model, "--most-overlapped").out
