"""Why a label got its score."""

import html
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from ceiba import LabelTree, XRLinear
from ceiba.errors import InputError
from ceiba.models.explain import Explanation
from ceiba.reference.search import log_score
from ceiba.reference.weights import unpack

SMALL = {"branching_factor": 3, "max_leaf_size": 4}


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(150, 50, 40, zero_rows=3)


@pytest.fixture(scope="module")
def model(problem):
    return XRLinear(**SMALL).fit(problem.X, problem.Y)


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("label", [0, 17, 39])
def test_the_steps_add_up_to_the_score(problem, model, row, label):
    x = problem.X[[row]]
    found = model.explain(x, label, n_features=1000)
    assert found.label == label
    assert found.tree == 0
    (expected,) = model.score_labels(x, [[label]])
    assert found.score == expected[0]
    tree, layers = model.trees_[0], model.partitions_[0].layers
    path = [*tree.path(label), int(tree.slots(label)[0])]
    assert [step.node for step in found.steps] == path
    assert [step.level for step in found.steps] == list(range(1, len(path) + 1))
    total = 0.0
    for step, layer, node in zip(found.steps, layers, path, strict=True):
        W, intercepts = unpack(layer)
        margin = (x @ W[:, [node]])[0, 0] + intercepts[node]
        assert step.bias == intercepts[node]
        assert step.margin == pytest.approx(margin, abs=1e-5)
        assert step.bias + sum(part.amount for part in step.contributions) == pytest.approx(margin, abs=1e-5)
        assert all(x[0, part.feature] == pytest.approx(part.value) for part in step.contributions)
        amounts = [abs(part.amount) for part in step.contributions]
        assert amounts == sorted(amounts, reverse=True)
        total += float(log_score(np.array(step.margin), "l3-hinge"))
    assert found.score == pytest.approx(np.exp(total), rel=1e-3)
    assert [step.n_labels for step in found.steps[:-1]] == [
        len(tree.labels_under(level, node)) for level, node in enumerate(path[:-1], start=1)
    ]
    assert found.steps[-1].n_labels == 1


def test_only_the_largest_contributions_are_listed(problem, model):
    whole, cut = (model.explain(problem.X[[0]], 3, n_features=n) for n in (1000, 2))
    for long, short in zip(whole.steps, cut.steps, strict=True):
        assert short.contributions == long.contributions[:2]
        assert short.margin == long.margin
    assert all(not step.contributions for step in model.explain(problem.X[[0]], 3, n_features=0).steps)


def test_texts_are_explained_by_their_words():
    model = XRLinear().fit(
        ["a ripe red apple", "a fast red car", "apple pie", "car race"], [["fruit"], ["car"], ["fruit"], ["car"]]
    )
    explained = model.explain("an apple", "fruit")
    assert explained.steps[-1].contributions[0].feature == "apple"
    text = str(explained)
    assert text.startswith("'fruit': score 0.")
    assert "apple" in text
    assert "(bias)" in text


def test_the_best_tree_of_an_ensemble_is_explained(problem):
    model = XRLinear(**SMALL, n_trees=3).fit(problem.X, problem.Y)
    x = problem.X[[4]]
    each = [model.explain(x, 7, tree=t) for t in range(3)]
    assert [found.tree for found in each] == [0, 1, 2]
    best = model.explain(x, 7)
    assert best.score == max(found.score for found in each)
    assert model.score_labels(x, [[7]])[0][0] == pytest.approx(np.mean([found.score for found in each]), rel=1e-5)


def test_a_label_in_two_clusters_is_explained_in_the_better(problem):
    tree = LabelTree([[0, 3], [0, 20, 35, 43]], [*range(20), 0, 1, *range(20, 40), 5])
    model = XRLinear(tree=tree).fit(problem.X, problem.Y)
    for row in range(50):
        for label in (0, 1, 5):
            found = model.explain(problem.X[[row]], label)
            assert found.steps[-1].node in tree.slots(label)
            total = sum(float(log_score(np.array(step.margin), "l3-hinge")) for step in found.steps)
            assert np.exp(total) == pytest.approx(found.score, rel=1e-3)


def test_what_cannot_be_explained(problem, model):
    x = problem.X[[0]]
    for call, message in [
        (lambda: model.explain(x, 99), "label: the label 99 is not among the model's classes"),
        (lambda: model.explain(x, [1]), r"label: the label \[1\] is not among"),
        (lambda: model.explain(problem.X[:2], 1), "explain takes one instance. Got 2"),
        (lambda: model.explain(x, 1, tree=1), "there is no tree 1"),
        (lambda: model.explain(x, 1, tree=-1), "'tree'.*explain"),
        (lambda: model.explain(x, 1, n_features=1.5), "The 'n_features' parameter of explain must be"),
        (lambda: model.explain(problem.X[[0], :7], 1), "X has 7 features, but XRLinear is expecting 50"),
        (lambda: model.explain("a text", 1), "X holds texts, but the model was fitted on features"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    with pytest.raises(InputError):
        model.explain(None, 1)
    with pytest.raises(NotFittedError):
        XRLinear().explain(x, 1)


def test_a_notebook_shows_tables_and_no_markup_of_labels():
    hostile = "<script>alert('x')</script>&\"<b>"
    names = [f"{hostile}{name}" for name in ("x", "y", "z")]
    model = XRLinear(n_jobs=1).fit(pd.DataFrame(np.eye(3), columns=names), [[hostile], ["b"], ["c"]])
    found = model.explain(pd.DataFrame(np.eye(3)[:1], columns=names), hostile)
    shown = found._repr_html_()
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)
            assert not attrs

    parser = Parser(convert_charrefs=True)
    parser.feed(shown)
    parser.close()
    assert set(tags) <= {"div", "p", "b", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert tags.count("table") == len(found.steps)
    assert tags.count("b") == 1
    assert hostile not in shown
    assert hostile + "x" in html.unescape(shown)
    assert f"{found.score:.4f}" in shown


def test_a_notebook_shows_half_a_surrogate_pair():
    found = Explanation("\ud800", 0, 0.5, [])
    found._repr_html_().encode()
