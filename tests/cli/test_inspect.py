"""`ceiba inspect`: what the folder holds, and where a label stands."""

from __future__ import annotations

from ceiba import load


def test_facts(run, model):
    facts, fitted = run("inspect", model, "--json").json, load(model)
    sizes = {"labels": 50, "features": fitted.n_features_in_, "rows_in_training": 600}
    assert {name: facts[name] for name in sizes} == sizes
    assert facts["bytes"] == sum(path.stat().st_size for path in model.iterdir())
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
    assert run("train", tmp_path / "train.txt", "--model-dir", tmp_path / "m").code == 0
    place = run("inspect", tmp_path / "m", "--label", "2", "--json").json["label"]
    assert (place["name"], place["positives_in_training"]) == (2, 1)
    assert place["places"] == [{"tree": 1, "path": [], "neighbours": [0, 1]}]
    assert "no label '7'" in run("inspect", tmp_path / "m", "--label", "7").error()
    assert "are numbers" in run("inspect", tmp_path / "m", "--label", "two").error()
