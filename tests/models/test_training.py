"""What each parameter of training does."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import LabelTree, XRLinear
from ceiba.linear.nodes import COMBINE_NAMES
from ceiba.linear.solve import SolverSettings
from ceiba.reference.layers import train_weights
from ceiba.reference.weights import unpack
from ceiba.retrieval.tree_search import TreeSearch
from ceiba.tree.clustering import cluster_labels
from ceiba.tree.embeddings import unit_rows

SMALL = {"branching_factor": 3, "max_leaf_size": 4, "n_jobs": 1}


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(150, 50, 40, zero_rows=3)


def arrays_of(model):
    """Return every array of a model by name."""
    found = {}
    for t, partition in enumerate(model.partitions_):
        found.update({f"{t} {name}": array for name, array in partition.tree.to_arrays().items()})
        for level, layer in enumerate(partition.layers):
            found.update({f"{t} {level} {name}": array for name, array in layer.arrays.items()})
    return found


def same(first, second):
    a, b = arrays_of(first), arrays_of(second)
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "float8"])
@pytest.mark.parametrize("negatives", ["tfn", "man", "tfn+man"])
def test_threads_do_not_change_a_bit(problem, negatives, weight_dtype):
    parameters = {**SMALL, "negatives": negatives, "weight_dtype": weight_dtype, "n_trees": 2}
    models = [XRLinear(**{**parameters, "n_jobs": n}).fit(problem.X, problem.Y) for n in (1, 2, 3)]
    assert same(models[0], models[1])
    assert same(models[0], models[2])
    expected = models[0].predict_topk(problem.X)[1].tobytes()
    assert [model.predict_topk(problem.X)[1].tobytes() for model in models[1:]] == [expected] * 2


def test_the_seed_decides_the_model(problem):
    first, again, other = (XRLinear(**SMALL, random_state=seed).fit(problem.X, problem.Y) for seed in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)
    assert first.trees_ != other.trees_


def test_trees_of_an_ensemble_differ_and_are_averaged(problem):
    model = XRLinear(**SMALL, n_trees=3).fit(problem.X, problem.Y)
    assert len(model.trees_) == 3
    assert model.trees_[0] != model.trees_[1] != model.trees_[2]
    alone = []
    for partition in model.partitions_:
        single = XRLinear(**SMALL).fit(problem.X, problem.Y)
        search = TreeSearch([partition], len(single.classes_))
        single.model_ = replace(single.model_, generators=(search,))
        alone.append(single.decision_function(problem.X, beam_size=10**6).toarray())
    mean = model.decision_function(problem.X, beam_size=10**6).toarray()
    np.testing.assert_allclose(mean, np.mean(alone, axis=0), rtol=1e-4, atol=1e-7)


def test_more_trees_of_the_same_seed_begin_alike(problem):
    one, three = (XRLinear(**SMALL, n_trees=n).fit(problem.X, problem.Y) for n in (1, 3))
    assert one.trees_[0] == three.trees_[0]


def test_the_shape_of_the_tree(problem):
    deep = XRLinear(branching_factor=2, max_leaf_size=3).fit(problem.X, problem.Y)
    assert deep.trees_[0].level_sizes == [2, 4, 8, 16, 40]
    one_level = XRLinear(max_leaf_size=40).fit(problem.X, problem.Y)
    assert one_level.trees_[0].depth == 1
    assert len(one_level.partitions_[0].layers) == 1


def test_one_level_is_one_against_all(problem):
    model = XRLinear(max_leaf_size=40, tolerance=1e-4, max_iter=10_000, weight_threshold=0.0, weight_dtype="float32")
    model.fit(problem.X, problem.Y)
    W, intercepts = unpack(model.partitions_[0].layers[0])
    exact, exact_intercepts = train_weights(
        problem.features,
        np.array([0, 3]),
        _everything(150),
        problem.positives.take(model.trees_[0].slot_label[:3]),
        SolverSettings(),
    )
    np.testing.assert_allclose(W.toarray()[:, :3], exact, atol=0.01 * np.abs(exact).max())
    np.testing.assert_allclose(intercepts[:3], exact_intercepts, atol=0.01 * np.abs(exact).max())


def _everything(n):
    from ceiba.data.instances import InstanceLists

    return InstanceLists.everything(n)


def test_a_tree_of_your_own(problem):
    tree = LabelTree.from_parents([[0, 0, 1, 1], np.arange(40) % 4])
    model = XRLinear(tree=tree, n_trees=2).fit(problem.X, problem.Y)
    assert model.trees_ == [tree, tree]
    assert model.score(problem.X, problem.Y) > 0.6


def test_a_tree_with_labels_in_several_clusters(problem):
    slots = [*range(20), 0, 1, *range(20, 40), 5]
    tree = LabelTree([[0, 3], [0, 20, 35, 43]], slots)
    model = XRLinear(tree=tree).fit(problem.X, problem.Y)
    assert tree.overlap == 2
    labels, _ = model.predict_topk(problem.X, k=40, beam_size=3)
    assert all(len(set(row)) == 40 for row in labels)
    assert model.score(problem.X, problem.Y) > 0.6


@pytest.mark.parametrize("negatives", ["tfn", "man", "tfn+man"])
def test_negatives(problem, negatives):
    model = XRLinear(**SMALL, negatives=negatives).fit(problem.X, problem.Y)
    assert model.score(problem.X, problem.Y) > 0.6


def test_negatives_differ_below_the_first_level(problem):
    fitted = {n: XRLinear(**SMALL, negatives=n, beam_size=3).fit(problem.X, problem.Y) for n in ("tfn", "tfn+man")}
    first, second = (fitted[n].partitions_[0].layers for n in ("tfn", "tfn+man"))
    assert all((first[0].arrays[name] == second[0].arrays[name]).all() for name in first[0].arrays)
    assert unpack(first[-1])[0].nnz != unpack(second[-1])[0].nnz


def test_instances_of_your_own_for_the_bottom_clusters(problem):
    tree = LabelTree.from_parents([np.arange(40) % 4])
    everything = sp.csr_array(np.ones((150, 4)))
    plain = XRLinear(tree=tree, weight_threshold=0.0).fit(problem.X, problem.Y)
    more = XRLinear(tree=tree, weight_threshold=0.0).fit(problem.X, problem.Y, matched=everything)
    assert more.fit_report_["work"][0]["visits"] > plain.fit_report_["work"][0]["visits"]
    none = sp.csr_array((150, 4))
    assert same(plain, XRLinear(tree=tree, weight_threshold=0.0).fit(problem.X, problem.Y, matched=none))
    # all instances for every cluster: each label is trained against all rows, as in a tree of one level
    flat = XRLinear(tree=LabelTree([[0, 40]], tree.slot_label), weight_threshold=0.0, tolerance=1e-4, max_iter=10_000)
    flat.fit(problem.X, problem.Y)
    exact = XRLinear(tree=tree, weight_threshold=0.0, tolerance=1e-4, max_iter=10_000)
    exact.fit(problem.X, problem.Y, matched=everything)
    W = [unpack(model.partitions_[0].layers[-1])[0].toarray() for model in (flat, exact)]
    np.testing.assert_allclose(W[0], W[1], atol=0.02 * np.abs(W[0]).max())


@pytest.mark.parametrize("kind", ["pifa", "pii"])
def test_label_embeddings_of_features(problem, kind):
    model = XRLinear(**SMALL, label_embedding=kind).fit(problem.X, problem.Y)
    assert model.score(problem.X, problem.Y) > 0.6
    assert (model.trees_[0] == XRLinear(**SMALL).fit(problem.X, problem.Y).trees_[0]) == (kind == "pifa")


@pytest.mark.parametrize("convert", [lambda Z: Z, sp.csr_array, sp.csr_matrix, sp.coo_array])
def test_label_embeddings_of_your_own(problem, convert):
    Z = np.random.default_rng(0).normal(size=(40, 7))
    Z[5] = 0
    model = XRLinear(**SMALL, label_embedding=convert(Z)).fit(problem.X, problem.Y)
    rows = unit_rows(sp.csr_array(Z)).to_scipy().toarray()
    seed = int(np.random.SeedSequence(0).generate_state(1)[0])
    expected = cluster_labels(
        rows, label_counts=model.label_counts_, branching_factor=3, max_leaf_size=4, random_state=seed
    )
    assert model.trees_[0] == expected


def test_label_embeddings_of_texts():
    words = [f"word{i}" for i in range(12)]
    texts = [f"{words[i % 12]} {words[(i * 5) % 12]}" for i in range(60)]
    Y = [[f"{i % 12:02}"] for i in range(60)]
    label_texts = [f"topic{i // 3} common" for i in range(12)]
    kinds = {}
    for kind in ("pifa", "text", "pifa+text"):
        model = XRLinear(label_embedding=kind, branching_factor=4, max_leaf_size=3, random_state=1)
        kinds[kind] = model.fit([*texts, *label_texts], [*Y, *[[]] * 12], label_texts=label_texts)
    clusters = [sorted(kinds["text"].trees_[0].labels_under(1, c) // 3) for c in range(4)]
    assert all(len(set(cluster)) == 1 for cluster in clusters)  # the labels of a topic stand together
    assert kinds["pifa+text"].trees_[0] != kinds["pifa"].trees_[0]


def test_relevance(problem):
    ones = problem.Y.copy()
    assert same(
        XRLinear(**SMALL, weight_threshold=0.01).fit(problem.X, problem.Y, relevance=ones),
        XRLinear(**SMALL, weight_threshold=0.01).fit(problem.X, problem.Y, relevance=ones.tocsc()),
    )
    strong = problem.Y.copy()
    strong.data = np.where(strong.indices == 3, 50.0, 1.0)
    elsewhere = sp.csr_array(strong + 7 * sp.csr_array(problem.Y.toarray() == 0))
    column = {}
    for name, relevance in {"ones": ones, "strong": strong, "elsewhere": elsewhere}.items():
        model = XRLinear(max_leaf_size=40, weight_threshold=0.0).fit(problem.X, problem.Y, relevance=relevance)
        column[name] = model.decision_function(problem.X).toarray()[:, 3]
    positive = problem.Y.toarray()[:, 3] > 0
    assert column["strong"][positive].mean() > column["ones"][positive].mean() + 0.01
    assert column["elsewhere"].tolist() == column["strong"].tolist()


@pytest.mark.parametrize(("norm", "power"), [("l1", 1.0), ("l2", 0.5)])
def test_relevance_norm(problem, norm, power):
    Y = problem.Y.toarray() > 0
    Y[5] = False  # a text without labels
    assert len(np.unique(Y.sum(axis=1))) > 3
    weights = Y / np.maximum(Y.sum(axis=1, keepdims=True), 1) ** power
    relevance = sp.csr_array((weights / weights[Y].mean()).astype(np.float32))
    Y = sp.csr_array(Y.astype(float))
    model = XRLinear(**SMALL, relevance_norm=norm).fit(problem.X, Y)
    assert same(model, XRLinear(**SMALL).fit(problem.X, Y, relevance=relevance))
    assert not same(model, XRLinear(**SMALL).fit(problem.X, Y))
    given = [XRLinear(**SMALL, relevance_norm=n).fit(problem.X, Y, relevance=Y * 2.0) for n in (None, norm)]
    assert same(*given)


def test_relevance_norm_of_rows_of_one_label_each_changes_nothing(make_problem):
    problem = make_problem(60, 30, 8)
    Y = sp.csr_array(np.eye(8)[np.arange(60) % 8])
    models = [XRLinear(**SMALL, relevance_norm=norm).fit(problem.X, Y) for norm in (None, "l1", "l2")]
    assert same(models[0], models[1])
    assert same(models[0], models[2])


@pytest.mark.parametrize("combine", COMBINE_NAMES)
def test_every_combine(problem, combine):
    model = XRLinear(**SMALL, combine=combine).fit(problem.X, problem.Y)
    _, scores = model.predict_topk(problem.X, k=5)
    assert (np.diff(scores, axis=1) <= 0).all()
    if combine.startswith("log-"):
        assert (scores <= 0).all()
    else:
        assert (scores > 0).all()
        assert (scores <= 1).all()
    assert model.score(problem.X, problem.Y) > 0.5


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_every_loss(problem, loss):
    model = XRLinear(**SMALL, loss=loss, combine="sigmoid" if loss == "logistic" else "l3-hinge")
    assert model.fit(problem.X, problem.Y).score(problem.X, problem.Y) > 0.5


def test_costs_bias_and_threshold(problem):
    plain = XRLinear(**SMALL).fit(problem.X, problem.Y)
    positive = XRLinear(**SMALL, cost_positive=8.0).fit(problem.X, problem.Y)
    assert positive.predict(problem.X).nnz > plain.predict(problem.X).nnz
    doubled = XRLinear(**SMALL, cost_positive=2.0, cost_negative=2.0).fit(problem.X, problem.Y)
    assert same(doubled, XRLinear(**SMALL, C=2.0).fit(problem.X, problem.Y))
    without = XRLinear(**SMALL, bias=0.0).fit(problem.X, problem.Y)
    assert not any(layer.arrays["bias"].any() for layer in without.partitions_[0].layers)
    weights = [
        sum(layer.n_weights for layer in model.partitions_[0].layers)
        for model in (XRLinear(**SMALL, weight_threshold=t).fit(problem.X, problem.Y) for t in (0.0, 0.1, 0.5))
    ]
    assert weights[0] > weights[1] > weights[2] > 0


def test_weight_types_take_less_and_answer_alike(problem):
    models = {
        dtype: XRLinear(**SMALL, weight_dtype=dtype).fit(problem.X, problem.Y)
        for dtype in ("float32", "float16", "float8")
    }
    size = {name: sum(layer.n_bytes for layer in model.partitions_[0].layers) for name, model in models.items()}
    assert size["float32"] > size["float16"] > size["float8"]
    exact = models["float32"].decision_function(problem.X, beam_size=10**6).toarray()
    for name, limit in (("float16", 2e-3), ("float8", 0.06)):
        found = models[name].decision_function(problem.X, beam_size=10**6).toarray()
        np.testing.assert_allclose(found, exact, atol=limit)


def test_labels_without_positives_may_be_kept(problem):
    Y = sp.csr_array(problem.Y.toarray() * (np.arange(40) % 5 > 0))
    model = XRLinear(**SMALL, empty_labels="keep").fit(problem.X, Y)
    assert len(model.classes_) == 40
    assert not set(model.predict_topk(problem.X, k=1)[0][:, 0]) & set(range(0, 40, 5))


def test_progress_of_training(problem):
    calls = []
    XRLinear(**SMALL, n_trees=2).fit(problem.X, problem.Y, progress=lambda *call: calls.append(call))
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert stages[0] == "clustering of tree 1/2"
    assert "level 1/4 of tree 1/2" in stages
    assert "level 4/4 of tree 2/2" in stages
    assert all(0 <= done <= total for _, done, total in calls)


def test_an_error_in_progress_stops_training(problem):
    model = XRLinear(**SMALL)

    def stop(stage, done, total):
        if stage.startswith("level 2"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        model.fit(problem.X, problem.Y, progress=stop)
    assert not hasattr(model, "partitions_")


def test_the_report_of_training(problem):
    report = XRLinear(**SMALL).fit(problem.X, problem.Y).fit_report_
    assert {"features", "tree 1 clustering", "tree 1 level 1"} <= report["seconds"].keys()
    assert report["work"][0]["visits"] > 0
