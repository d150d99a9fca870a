"""What a fitted model answers, for every kind of input."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import LabelTree, TfidfVectorizer, XRLinear
from ceiba.errors import InputError
from ceiba.linear.nodes import ALL_NODES
from ceiba.reference.search import Searcher as Twin

SMALL = {"branching_factor": 3, "max_leaf_size": 4, "n_jobs": 1}

TEXTS = [
    "a ripe red apple",
    "a green apple",
    "a fast red car",
    "a green car",
    "apple pie with sugar",
    "a car race",
    "sweet red cherries",
    "cherry pie",
]
LABELS = [
    ["fruit", "red"],
    ["fruit", "green"],
    ["vehicle", "red"],
    ["vehicle", "green"],
    ["fruit", "dish"],
    ["vehicle"],
    ["fruit", "red"],
    ["fruit", "dish"],
]


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(150, 50, 40, zero_rows=3)


@pytest.fixture(scope="module")
def model(problem):
    return XRLinear(**SMALL).fit(problem.X, problem.Y)


def test_texts_and_lists_of_names():
    model = XRLinear(max_leaf_size=2, branching_factor=2).fit(TEXTS, LABELS)
    assert model.classes_.tolist() == ["dish", "fruit", "green", "red", "vehicle"]
    assert model.classes_.dtype == object
    labels, scores = model.predict_topk(["the red car", "pie of cherries"], k=2)
    assert labels.shape == scores.shape == (2, 2)
    assert labels.dtype == object
    assert scores.dtype == np.float32
    assert set(labels[0]) == {"red", "vehicle"}
    assert set(labels[1]) == {"fruit", "dish"}
    assert model.n_features_in_ == len(model.vectorizer_.get_feature_names_out())
    assert model.label_counts_.tolist() == [2, 5, 2, 3, 3]
    assert model.n_train_ == 8
    assert isinstance(model.trees_[0], LabelTree)


@pytest.mark.parametrize(
    "convert",
    [
        sp.csr_matrix,
        sp.csr_array,
        sp.csc_array,
        sp.coo_array,
        sp.lil_array,
        lambda X: X.toarray(),
        lambda X: X.toarray().tolist(),
        lambda X: X.toarray().astype(np.float64),
        lambda X: np.asfortranarray(X.toarray()),
        lambda X: sp.csr_array(X.astype(np.float64)),
        lambda X: sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape),
        lambda X: X[::-1][::-1],
    ],
)
def test_every_container_of_features_gives_the_same(problem, model, convert):
    other = XRLinear(**SMALL).fit(convert(problem.X), problem.Y)
    expected = model.predict_topk(problem.X, k=3)
    for fitted in (model, other):
        labels, scores = fitted.predict_topk(convert(problem.X), k=3)
        assert (labels == expected[0]).all()
        assert scores.tobytes() == expected[1].tobytes()


@pytest.mark.parametrize(
    "convert",
    [
        lambda p: p.label_lists,
        lambda p: [tuple(row) for row in p.label_lists],
        lambda p: [set(row) for row in p.label_lists],
        lambda p: [np.array(row, np.int32) for row in p.label_lists],
        lambda p: [row + row for row in p.label_lists],  # named twice
        lambda p: iter(p.label_lists),
        lambda p: sp.csr_matrix(p.Y),
        lambda p: sp.csc_array(p.Y),
        lambda p: p.Y.toarray(),
        lambda p: p.Y.toarray().astype(bool),
        lambda p: 7 * p.Y,
    ],
)
def test_every_container_of_labels_gives_the_same(problem, model, convert):
    other = XRLinear(**SMALL).fit(problem.X, convert(problem))
    assert other.classes_.tolist() == list(range(40))
    assert other.classes_.dtype == np.int64
    assert other.predict_topk(problem.X, k=3)[1].tobytes() == model.predict_topk(problem.X, k=3)[1].tobytes()


def test_stored_duplicates_add_up_and_stored_zeros_are_none(problem, model):
    X = problem.X
    halves = sp.csr_array(
        (
            np.repeat(X.data / 2, 2),
            np.repeat(X.indices, 2),
            2 * X.indptr,
        ),
        shape=X.shape,
    )
    before = halves.data.copy(), halves.indices.copy()
    same = XRLinear(**SMALL).fit(halves, problem.Y)
    assert same.predict_topk(halves, k=3)[1].tobytes() == model.predict_topk(X, k=3)[1].tobytes()
    assert (halves.data == before[0]).all()  # and the caller's matrix is as it was
    assert (halves.indices == before[1]).all()

    coo = problem.Y.tocoo()
    zeros = sp.csr_array(
        (
            np.concatenate([coo.data, np.zeros(60)]),
            (np.concatenate([coo.row, np.arange(60)]), np.concatenate([coo.col, (np.arange(60) + 7) % 40])),
        ),
        shape=problem.Y.shape,
    )
    # a stored zero next to a stored one of the same place adds nothing; elsewhere it is no positive
    again = XRLinear(**SMALL).fit(problem.X, zeros)
    assert again.label_counts_.tolist() == model.label_counts_.tolist()
    assert again.predict_topk(X, k=3)[1].tobytes() == model.predict_topk(X, k=3)[1].tobytes()


def test_names_for_the_columns_of_an_indicator(problem, model):
    names = [f"label {i}" for i in range(40)]
    named = XRLinear(**SMALL).fit(problem.X, problem.Y, classes=names)
    assert named.classes_.tolist() == names
    expected = model.predict_topk(problem.X, k=2)[0]
    assert named.predict_topk(problem.X, k=2)[0].tolist() == [[f"label {i}" for i in row] for row in expected]
    lists = [[names[i] for i in row] for row in problem.label_lists]
    same = XRLinear(**SMALL).fit(problem.X, lists, classes=names)
    assert (same.predict_topk(problem.X, k=2)[0] == named.predict_topk(problem.X, k=2)[0]).all()


def test_texts_are_streamed_once():
    def stream():
        yield from TEXTS

    expected = XRLinear().fit(TEXTS, LABELS).predict_topk(TEXTS, k=2)
    model = XRLinear().fit(stream(), LABELS)
    for X in (TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), stream(), dict.fromkeys(TEXTS).keys()):
        assert model.predict_topk(X, k=2)[1].tobytes() == expected[1].tobytes()


def test_a_vectorizer_of_scikit_learn():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.feature_extraction.text import TfidfVectorizer as Theirs
    from sklearn.pipeline import make_union

    for vectorizer in (CountVectorizer(), Theirs(sublinear_tf=True), make_union(Theirs(), Theirs(analyzer="char"))):
        model = XRLinear(vectorizer=vectorizer).fit(TEXTS, LABELS)
        assert not hasattr(vectorizer, "vocabulary_")  # it was cloned
        assert set(model.predict_topk(["red car"], k=2)[0][0]) == {"red", "vehicle"}


def test_a_model_of_texts_takes_their_features_too():
    model = XRLinear().fit(TEXTS, LABELS)
    X = model.vectorizer_.transform(TEXTS)
    assert model.predict_topk(X, k=2)[1].tobytes() == model.predict_topk(TEXTS, k=2)[1].tobytes()


def test_empty_texts_and_rows_without_labels_are_legal():
    model = XRLinear().fit([*TEXTS, "", "???"], [*LABELS, [], ["fruit"]])
    labels, scores = model.predict_topk(["", "car"], k=3)
    assert labels.shape == (2, 3)
    assert (scores > 0).all()
    assert (scores <= 1).all()


def test_no_rows_give_no_answers(model):
    nothing = sp.csr_array((0, 50))
    labels, scores = model.predict_topk(nothing, k=3)
    assert labels.shape == scores.shape == (0, 3)
    assert model.decision_function(nothing).shape == (0, 40)
    assert model.predict(nothing).shape == (0, 40)
    assert model.score_labels(nothing, []) == []
    texts = XRLinear().fit(TEXTS, LABELS)
    assert texts.predict_topk([], k=3)[0].shape == (0, 3)


def test_short_rows_end_in_none(problem, model):
    labels, scores = model.predict_topk(problem.X, k=60, beam_size=1)
    empty = labels == None  # noqa: E711
    assert empty.any()
    assert np.isneginf(scores[empty]).all()
    assert np.isfinite(scores[~empty]).all()
    for row in empty:
        assert (np.diff(row.astype(int)) >= 0).all()


def test_the_model_searches_as_the_twin(problem, model):
    twin = Twin([(p.layers, p.tree.slot_label) for p in model.partitions_], 40, "l3-hinge")
    expected = twin.top_k(problem.features, 5, 10)
    labels, scores = model.predict_topk(problem.X, k=5)
    ids, expected_scores = expected.ids.reshape(-1, 5), expected.scores.reshape(-1, 5)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-3, atol=1e-6)
    assert (labels.astype(int) != ids).mean() < 0.01  # but for ties


def test_decision_function_is_all_that_the_beam_reaches(problem, model):
    scores = model.decision_function(problem.X)
    assert isinstance(scores, sp.csr_array)
    assert scores.shape == (150, 40)
    assert scores.dtype == np.float32
    assert scores.has_sorted_indices
    labels, best = model.predict_topk(problem.X, k=4)
    for row in range(150):
        for label, score in zip(labels[row], best[row], strict=True):
            assert scores[row, label] == score
    cut = model.decision_function(problem.X, k=4)
    assert (np.diff(cut.indptr) == 4).all()
    assert sorted(cut[[0]].indices.tolist()) == sorted(labels[0].tolist())
    whole = model.decision_function(problem.X, beam_size=10**9)
    assert (np.diff(whole.indptr) == 40).all()
    assert model.decision_function(problem.X, k=10**30).nnz == scores.nnz


def test_predict_is_an_indicator_at_the_threshold(problem, model):
    from sklearn.metrics import f1_score

    scores = model.decision_function(problem.X)
    indicator = model.predict(problem.X)
    assert indicator.dtype == np.int8
    assert set(indicator.data.tolist()) == {1}
    assert (indicator.toarray() == (scores.toarray() >= 0.5)).all()
    assert f1_score(problem.Y.toarray(), indicator.toarray(), average="micro") > 0.5
    assert f1_score(problem.Y, indicator, average="micro") > 0.5

    logarithms = XRLinear(**SMALL, combine="log-l3-hinge").fit(problem.X, problem.Y)
    assert (logarithms.predict(problem.X) != indicator).nnz == 0
    for combine in ("l3-hinge", "log-l3-hinge"):
        everything = XRLinear(**SMALL, combine=combine, prediction_threshold=0).fit(problem.X, problem.Y)
        assert everything.predict(problem.X).nnz == scores.nnz


def test_score_labels(problem, model):
    whole = model.decision_function(problem.X, beam_size=ALL_NODES).toarray()
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 40, rng.integers(0, 5)).tolist() for _ in range(150)]
    found = model.score_labels(problem.X, lists)
    assert len(found) == 150
    for row, labels in enumerate(lists):
        assert found[row].tolist() == whole[row, labels].tolist()
    as_matrix = model.score_labels(problem.X, problem.Y)
    assert isinstance(as_matrix, sp.csr_array)
    assert (as_matrix.indices == problem.Y.indices).all()
    assert as_matrix.data.tolist() == whole[problem.Y.toarray() > 0].tolist()
    names = XRLinear().fit(TEXTS, LABELS)
    (scores,) = names.score_labels(["red car"], [["fruit", "vehicle"]])
    assert scores[1] > scores[0]
    arrays = model.score_labels(problem.X[:2], np.array([[1, 2], [3, 4]]))
    assert [len(part) for part in arrays] == [2, 2]


def test_filter(problem, model):
    whole = model.predict_topk(problem.X, k=6)[0]
    first = [[label] for label in whole[:, 0]]
    indicator = sp.csr_array((np.ones(150), (np.arange(150), whole[:, 0].astype(int))), shape=(150, 40))
    for filter in (first, indicator, indicator.toarray(), [set(row) for row in first]):
        assert (model.predict_topk(problem.X, k=5, denied=filter)[0] == whole[:, 1:]).all()
    nothing = model.predict_topk(problem.X, k=6, denied=[[] for _ in range(150)])[0]
    assert (nothing == whole).all()
    names = XRLinear().fit(TEXTS, LABELS)
    assert "red" not in names.predict_topk(["red car"], k=5, denied=[["red"]])[0]


def test_score_is_precision_at_one(problem, model):
    best = model.predict_topk(problem.X, k=1)[0][:, 0].astype(int)
    expected = problem.Y.toarray()[np.arange(150), best].mean()
    assert model.score(problem.X, problem.Y) == pytest.approx(expected)
    assert model.score(problem.X, problem.label_lists) == pytest.approx(expected)
    assert model.score(problem.X, [[99]] * 150) == 0  # a label the model does not know is not found


@pytest.mark.parametrize("n_jobs", [1, 2, None])
def test_a_batch_is_its_rows_bit_for_bit(problem, n_jobs):
    model = XRLinear(**{**SMALL, "n_jobs": n_jobs}, n_trees=2).fit(problem.X, problem.Y)
    labels, scores = model.predict_topk(problem.X, k=4)
    for row in range(150):
        single = model.predict_topk(problem.X[[row]], k=4)
        assert single[0].tolist() == [labels[row].tolist()]
        assert single[1].tobytes() == scores[row].tobytes()


def test_progress_of_predicting(problem, model):
    calls = []
    model.predict_topk(problem.X, progress=lambda *call: calls.append(call))
    assert calls[0] == ("predict", 0, 150)
    assert all(stage == "predict" and 0 <= done <= total == 150 for stage, done, total in calls)


def test_parameters_may_change_after_fit(problem, model):
    other = XRLinear(**SMALL).fit(problem.X, problem.Y)
    scores = other.predict_topk(problem.X, k=2)[1]
    other.set_params(combine="sigmoid")
    assert other.predict_topk(problem.X, k=2)[1].tobytes() != scores.tobytes()
    fresh = XRLinear(**SMALL, combine="sigmoid").fit(problem.X, problem.Y)
    assert other.predict_topk(problem.X, k=2)[1].tobytes() == fresh.predict_topk(problem.X, k=2)[1].tobytes()
    other.set_params(combine="l3-hinge", beam_size=1)
    assert other.predict_topk(problem.X)[1].tobytes() == model.predict_topk(problem.X, beam_size=1)[1].tobytes()
    for name, value in [("combine", "l4"), ("beam_size", 0), ("prediction_threshold", 2), ("n_jobs", 0)]:
        broken = XRLinear(**SMALL).fit(problem.X, problem.Y).set_params(**{name: value})
        for call in (broken.predict_topk, broken.predict, broken.decision_function):
            with pytest.raises(InputError, match=f"'{name}'.*XRLinear"):
                call(problem.X)


def test_fitting_again_forgets_the_first_fit(problem):
    model = XRLinear().fit(TEXTS, LABELS)
    model.predict_topk(TEXTS)
    model.fit(problem.X, problem.Y)
    assert model.vectorizer_ is None
    assert model.predict_topk(problem.X, k=1)[0][0, 0] in range(40)
    with pytest.raises(InputError, match="X holds texts"):
        model.predict_topk(TEXTS)


def test_one_label_and_one_row():
    model = XRLinear().fit([[1.0, 0.0]], [["only"]])
    labels, scores = model.predict_topk([[1.0, 0.0], [0.0, 1.0]], k=2)
    assert labels.tolist() == [["only"]] * 2
    assert scores[0, 0] > 0
    explained = XRLinear(vectorizer=TfidfVectorizer()).fit(["one text"], [[7]])
    assert explained.predict_topk(["text"], k=1)[0].tolist() == [[7]]


@pytest.mark.parametrize(("combine", "best"), [("l3-hinge", 1.0), ("log-l3-hinge", 0.0)])
def test_where_all_labels_hang_below_the_root_it_is_the_one_cluster(make_problem, combine, best):
    problem = make_problem(n=40, d=20, n_labels=8)
    model = XRLinear(max_leaf_size=100, combine=combine, n_trees=2).fit(problem.X, problem.Y)
    assert model.trees_[1].depth == 1
    clusters, scores = model.match(problem.X, k=3, tree=1)
    assert (clusters == [[0]] * 40).all()
    assert (scores == np.float32([[best]] * 40)).all()
    assert sorted(model.trees_[1].labels_under(model.trees_[1].depth - 1, clusters[0, 0])) == list(range(8))
    assert [part.shape for part in model.match(problem.X[:0], k=3)] == [(0, 1), (0, 1)]


def test_predicted_labels_are_those_of_the_indicator(problem, model):
    X = problem[0]
    model.set_params(prediction_threshold=0.2)
    try:
        indicator, names = model.predict(X), model.predict_labels(X)
        assert [sorted(row) for row in names] == [
            sorted(model.classes_[indicator[[i]].indices]) for i in range(len(names))
        ]
        top, _ = model.predict_topk(X, len(model.classes_))
        assert [row.tolist() for row in names] == [top[i, : len(row)].tolist() for i, row in enumerate(names)]
        assert sum(map(len, names)) > 0
    finally:
        model.set_params(prediction_threshold="tuned")
    assert model.predict_labels(X[:0]) == []
