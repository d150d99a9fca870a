"""The hybrid model: sources, fusion, probabilities, unseen labels, and models on disk."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import ceiba
from ceiba import HybridClassifier, XRLinear
from ceiba.data.label_matrix import as_labels
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.features.matrix import as_features
from ceiba.models.hybrid.folds import out_of_fold
from ceiba.models.hybrid.settings import SOURCES

TOPICS = {
    "apple": "apple tree orchard fruit cider",
    "car": "car engine wheel road garage",
    "cat": "cat kitten paw whiskers purr",
    "rain": "rain cloud storm umbrella puddle",
    "violin": "violin string bow orchestra concert",
    "bread": "bread flour oven dough crust",
}
UNSEEN = {"lighthouse": "lighthouse keeper", "volcano": ["volcanoes", "volcanic eruption"]}
NAMES = {label: label for label in TOPICS} | UNSEEN


def corpus(n: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng(seed)
    names, texts, labels = list(TOPICS), [], []
    for _ in range(n):
        own = rng.choice(len(names), size=rng.integers(1, 3), replace=False)
        words = [word for i in own for word in rng.choice(TOPICS[names[i]].split(), 3)]
        words += [f"noise{i}" for i in rng.integers(0, 200, 4)]
        texts.append(" ".join(rng.permutation(words)))
        labels.append([names[i] for i in own])
    return texts, labels


@pytest.fixture(scope="module")
def fitted():
    return HybridClassifier(fusion="logistic", n_jobs=1).fit(*corpus(240), label_texts=NAMES)


def test_every_source_with_what_it_needs_is_used(fitted):
    assert set(fitted.sources_) == {
        "linear",
        "linear-documents",
        "neighbors",
        "label-words",
        "label-stems",
        "label-terms",
    }
    without = HybridClassifier(fusion="logistic", n_jobs=1).fit(*corpus(120))
    assert set(without.sources_) == {"linear", "neighbors"}
    assert without.predict_topk(["a car on the road"], k=1)[0][0, 0] == "car"


def test_scores_are_probabilities(fitted):
    texts, labels = corpus(300, seed=1)
    found = fitted.decision_function(texts)
    assert fitted.gives_probabilities
    assert (found.data > 0).all()
    assert (found.data <= 1).all()
    truth = as_labels(labels, None)[0].by_row
    columns = np.searchsorted(np.array(sorted(NAMES)), np.array(sorted(TOPICS)))
    right = sp.csr_array(truth)
    predicted = found.toarray()[:, columns]
    assert abs(predicted.sum() - right.sum()) < 0.15 * right.sum()  # as many as are right, in all
    assert np.mean(np.argmax(predicted, axis=1) == np.argmax(right.toarray(), axis=1)) > 0.4


def test_a_label_without_training_texts_is_found_by_its_text(fitted):
    top, _ = fitted.predict_topk(["the keeper of the lighthouse", "old volcanoes"], k=1)
    assert top.ravel().tolist() == ["lighthouse", "volcano"]
    assert fitted.label_counts_[fitted.classes_.tolist().index("lighthouse")] == 0


def test_class_words_compare_a_text_with_the_words_of_the_labels_texts():
    texts = ["the red apple", "the green apple", "ripe apple pie", "the fast car", "the old car", "car on a road"] * 4
    labels = [["fruit"]] * 3 + [["vehicle"]] * 3
    model = HybridClassifier(fusion="logistic", sources=["class-words"], n_jobs=1).fit(texts, labels * 4)
    assert model.predict_topk(["an apple", "a car", "pie"], k=1)[0].ravel().tolist() == ["fruit", "vehicle", "fruit"]
    source, own = model.model_.generators[0], model.model_
    found = source.candidates(own.queries.queries(["red apple", "nothing known"]), None, ctx=own.context)
    assert found.ids.tolist() == [model.classes_.tolist().index("fruit")]
    assert 0 < found.scores[0] <= 1


def test_class_words_are_a_source_where_the_fusion_is_boosted_and_there_are_only_words():
    pytest.importorskip("lightgbm")
    texts, labels = corpus(120)
    for params, given, expected in (
        ({"fusion": "auto"}, None, True),
        ({"fusion": "logistic"}, None, False),
        ({"fusion": "auto"}, NAMES, False),
    ):
        model = HybridClassifier(**params, n_jobs=1).fit(texts, labels, label_texts=given)
        assert ("class-words" in model.sources_) == expected


def test_candidates_hold_the_best_of_every_source(fitted):
    texts, _ = corpus(40, seed=2)
    model = fitted.model_
    Q = model.queries.queries(texts)
    found = fitted.decision_function(texts)
    for source in model.generators[:-1]:
        ranked = source.candidates(Q, 1, ctx=model.context)
        for row in range(len(texts)):
            best = ranked.ids[ranked.ptr[row] : ranked.ptr[row + 1]]
            assert set(best) <= set(found.indices[found.indptr[row] : found.indptr[row + 1]])


def test_a_source_left_out_leaves_the_others_as_they_are(fitted):
    names = [name for name in fitted.sources_ if name != "neighbors"]
    other = HybridClassifier(fusion="logistic", sources=names, n_jobs=1).fit(*corpus(240), label_texts=NAMES)
    texts, _ = corpus(30, seed=3)
    for name in ("linear", "linear-documents", "label-words", "label-stems"):
        both = [
            model.generator(name).candidates(model.queries.queries(texts), 5, ctx=model.context)
            for model in (fitted.model_, other.model_)
        ]
        for a, b in zip(*both, strict=True):
            assert (a == b).all()


@pytest.mark.parametrize("n", [4, 50, 4000, 30_000, 300_000])
def test_rows_held_out_are_not_trained_on(n):
    used: set[int] = set()
    for rest, held_out in out_of_fold(n, seed=1):
        assert not np.intersect1d(rest, held_out).size
        assert not used & set(held_out.tolist())
        used |= set(held_out.tolist())
        assert len(held_out) <= 3000


def test_texts_of_labels_are_always_trained_on():
    rng = np.random.default_rng(0)
    for n, n_named in ((50, 20), (30_000, 25_000), (10, 8), (10, 10)):
        named = np.zeros(n, bool)
        named[rng.permutation(n)[:n_named]] = True
        for rest, held_out in out_of_fold(n, seed=1, named=named):
            assert len(held_out)
            assert not np.intersect1d(rest, held_out).size
            if n - n_named >= 4:
                assert not named[held_out].any()
                assert np.isin(np.flatnonzero(named), rest).all()


def test_a_training_text_that_is_its_labels_text_does_not_make_words_trusted():
    """The words of labels mislead here. Rows that are label texts would teach the fusion the opposite."""
    names = {f"l{i}": f"name{i}" for i in range(20)}
    texts = [*names.values(), *(f"name{(i + 7) % 20} hint{i % 20} more{i}" for i in range(200))]
    labels = [[label] for label in [*names, *(f"l{i % 20}" for i in range(200))]]
    model = HybridClassifier(fusion="logistic", n_jobs=1).fit(texts, labels, label_texts=names)
    top, probabilities = model.predict_topk(["name3 hint5"], k=20)
    assert top[0][0] == "l5"
    assert probabilities[0][top[0].tolist().index("l3")] < 0.1


def test_neighbors_are_not_trusted_where_they_know_nothing():
    """A text's own row would tell its labels: a leak makes the fusion sure of what neighbours say."""
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 5000, 8)) for _ in range(400)]
    labels = [[f"l{i}"] for i in rng.integers(0, 8, 400)]
    model = HybridClassifier(fusion="logistic", sources=["neighbors"], n_jobs=1).fit(texts, labels)
    probability = model.decision_function(texts[:100]).data
    assert probability.max() < 0.5


@pytest.mark.parametrize("fusion", ["logistic", "gbdt"])
def test_saved_and_loaded(tmp_path, fusion):
    if fusion == "gbdt":
        pytest.importorskip("lightgbm")
    texts, labels = corpus(160)
    model = HybridClassifier(fusion=fusion, n_jobs=1).fit(texts, labels, label_texts=NAMES)
    model.save(tmp_path / "model")
    loaded = ceiba.load(tmp_path / "model")
    asked = [*corpus(20, seed=4)[0], "", "an old volcano"]
    for a, b in zip(model.predict_topk(asked), loaded.predict_topk(asked), strict=True):
        assert a.tobytes() == b.tobytes() if a.dtype != object else (a == b).all()
    assert (model.predict(asked) != loaded.predict(asked)).nnz == 0
    assert loaded.sources_ == model.sources_
    assert loaded.get_params() == model.get_params()


def test_a_damaged_file_is_one_error(tmp_path, fitted):
    fitted.save(tmp_path / "model")
    folder = next((tmp_path / "model").glob("model-*"))
    for file in sorted(folder.glob("*.safetensors")):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelFormatError, match=file.name):
            ceiba.load(tmp_path / "model")
        file.write_bytes(whole)


@pytest.mark.parametrize("fusion", ["logistic", "gbdt"])
def test_any_number_of_threads_gives_the_same_answers(fusion):
    if fusion == "gbdt":
        pytest.importorskip("lightgbm")
    answers = [
        HybridClassifier(fusion=fusion, n_jobs=n)
        .fit(*corpus(120), label_texts=NAMES)
        .decision_function(corpus(20, 5)[0])
        for n in (1, 2)
    ]
    assert answers[0].data.tobytes() == answers[1].data.tobytes()
    assert (answers[0].indices == answers[1].indices).all()


def test_answers_for_k_are_the_first_of_longer_ones(fitted):
    texts, _ = corpus(15, seed=6)
    labels, scores = fitted.predict_topk(texts, k=6)
    for k in (1, 3):
        shorter = fitted.predict_topk(texts, k=k)
        assert (shorter[0] == labels[:, :k]).all()
        assert (shorter[1] == scores[:, :k]).all()
    one = [fitted.predict_topk([text], k=6)[1][0] for text in texts]
    assert np.allclose(one, scores, atol=1e-6)


def test_allowed_and_denied_labels(fitted):
    texts = ["a car on the road", "rain and storm"]
    labels, scores = fitted.predict_topk(texts, k=8)
    denied, _ = fitted.predict_topk(texts, k=8, denied=["car"])
    assert "car" not in denied.ravel().tolist()
    allowed, own = fitted.predict_topk(texts, k=2, allowed=["rain", "lighthouse"])
    assert set(allowed.ravel().tolist()) <= {"rain", "lighthouse"}
    assert own[1, 0] == scores[1][labels[1].tolist().index("rain")]


def test_scores_of_given_labels_are_those_of_the_ranking(fitted):
    texts, _ = corpus(5, seed=7)
    labels, scores = fitted.predict_topk(texts, k=3)
    given = fitted.score_labels(texts, labels.tolist())
    assert np.allclose(np.stack(given), scores, atol=1e-6)


def test_explanations_name_sources(fitted):
    found = fitted.explain("the keeper of the lighthouse", "lighthouse")
    by_name = {each.name: each for each in found.sources}
    assert by_name["label-words"].rank == 1
    assert by_name["linear"].rank is None
    assert found.score == pytest.approx(fitted.predict_topk(["the keeper of the lighthouse"], k=1)[1][0, 0], abs=1e-6)
    assert "label-words" in str(found)
    assert "<table>" in found._repr_html_()


def test_predict_uses_the_threshold_that_was_tuned(fitted):
    texts, _ = corpus(60, seed=8)
    found = fitted.decision_function(texts)
    tuned = fitted.predict(texts)
    assert tuned.nnz == (found.data >= np.float32(fitted.thresholds_.threshold)).sum() > 0
    own = ceiba.HybridClassifier(fusion="logistic", prediction_threshold=1.0, n_jobs=1).fit(*corpus(120))
    assert own.predict(texts).nnz == 0


def test_features_in_place_of_texts():
    rng = np.random.default_rng(0)
    X = sp.random_array((80, 30), density=0.3, rng=rng, dtype=np.float32, format="csr")
    X.data[:] = np.abs(X.data)
    labels = [[f"l{i}"] for i in rng.integers(0, 4, 80)]
    model = HybridClassifier(fusion="logistic", n_jobs=1).fit(X, labels)
    assert set(model.sources_) == {"linear", "neighbors"}
    assert model.predict_topk(X, k=2)[0].shape == (80, 2)
    assert as_features(X).n_features == model.n_features_in_


BAD = {
    "label_texts": [
        ({"fruit": ""}, InputError),
        ({"fruit": []}, InputError),
        ({"fruit": 3}, InputTypeError),
        (["apple"], InputTypeError),
        ({7: "seven"}, InputTypeError),
    ],
    "sources": [
        (["class-means"], InputError),
        (["label-words"], InputError),
        (["nowhere"], InputError),
        ([], InputError),
    ],
    "encoder": [("static", InputError), ("", InputError)],
    "base": [([], InputError), (["tree"], InputTypeError), ([XRLinear(label_embedding="text")], InputError)],
    "combine": [("log-sigmoid", InputError)],
}


@pytest.mark.parametrize(
    ("name", "value", "error"), [(name, *case) for name, cases in BAD.items() for case in cases], ids=str
)
def test_bad_input_is_one_error_that_names_it(name, value, error):
    texts, labels = corpus(20)
    params = {} if name == "label_texts" else {name: value}
    with pytest.raises(error, match=name):
        HybridClassifier(n_jobs=1, **params).fit(texts, labels, label_texts=value if name == "label_texts" else None)


def test_too_few_texts_to_learn_from():
    with pytest.raises(InputError):
        HybridClassifier(n_jobs=1).fit(["a", "b"], [["x"], ["y"]])


def test_presets_and_sources_are_declared():
    assert HybridClassifier.from_preset("fast").base.n_trees == 1
    assert HybridClassifier.from_preset("accurate").base.n_trees == 5
    assert len(set(SOURCES)) == len(SOURCES)


def test_a_fitted_model_can_be_pickled_and_copied(fitted):
    texts = corpus(20, seed=5)[0]
    expected = fitted.predict_topk(texts, k=5)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        found = other.predict_topk(texts, k=5)
        assert found[0].tolist() == expected[0].tolist()
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ([["a"], ["b"]], {np.str_("a"): "wheel road", np.str_("c"): "oven dough"}),
        ([[1], [2]], {np.int64(1): "wheel road", 9: "oven dough"}),
        ([["a"], ["b"]], pd.Series({"a": "wheel road", "c": "oven dough"})),
        ([["a"], ["b"]], {"a": np.array(["wheel", "road"]), "c": pd.Series(["oven dough"])}),
    ],
    ids=["NumPy str", "NumPy int", "Series", "arrays of texts"],
)
def test_label_texts_of_numpy_and_pandas(rows, texts):
    model = HybridClassifier(fusion="logistic", n_jobs=1).fit(corpus(20)[0], rows * 10, label_texts=texts)
    classes = model.classes_.tolist()
    assert classes == ([1, 2, 9] if rows[0] == [1] else ["a", "b", "c"])
    assert {type(label) for label in classes} == {type(rows[0][0])}


@pytest.mark.parametrize("label", ["a\ud800", 2**80, None, True, 1.5, ("a",)], ids=ascii)
def test_labels_of_label_texts_are_checked_like_those_of_y(label):
    rows = [[1], [2]] * 10 if type(label) in (int, bool) else [["a"], ["b"]] * 10
    with pytest.raises((InputError, InputTypeError), match="label_texts"):
        HybridClassifier(n_jobs=1).fit(corpus(20)[0], rows, label_texts={label: "a text"})


@pytest.mark.parametrize(
    ("X", "y", "word"),
    [
        ([], [], "X"),
        (corpus(20)[0], [[]] * 20, "y"),
        (corpus(20)[0], [["only"]] * 20, "y"),
        (corpus(20)[0], [["one", "two"]] * 20, "y"),
    ],
    ids=["no rows", "no labels", "one label", "all labels everywhere"],
)
@pytest.mark.parametrize("label_texts", [None, {"only": "a text"}], ids=["alone", "label_texts"])
def test_what_cannot_be_learned_is_named(X, y, word, label_texts):
    if label_texts and y and len(y[0]) == 2:
        pytest.skip("a label without rows is wrong everywhere")
    with pytest.raises(InputError, match=rf"^{word} (is|holds)"):
        HybridClassifier(fusion="logistic", n_jobs=1).fit(X, y, label_texts=label_texts)


def test_dense_and_sparse_numbers_give_the_same_answers():
    X = np.random.default_rng(0).uniform(0.1, 1, (40, 6)).astype(np.float32)
    labels = [["a"], ["b"]] * 20
    found = [
        HybridClassifier(fusion="logistic", n_jobs=1, random_state=0).fit(given, labels).predict_topk(asked, k=2)[1]
        for given in (X, sp.csr_array(X))
        for asked in (X[:5], sp.csr_array(X[:5]))
    ]
    for scores in found[1:]:
        np.testing.assert_allclose(scores, found[0], rtol=1e-3)


def test_any_number_of_candidates_may_be_asked_for():
    texts, labels = corpus(20)
    few, many = (HybridClassifier(fusion="logistic", n_jobs=1, n_candidates=n) for n in (10, 2**70))
    scores = [model.fit(texts, labels).predict_topk(texts, k=2)[1] for model in (few, many)]
    np.testing.assert_array_equal(*scores)


def test_a_graph_of_embeddings_is_saved_and_finds_what_a_comparison_with_all_does(tiny_encoder, tmp_path):
    pytest.importorskip("usearch", reason="the extra ceiba[ann] is not installed")
    texts, labels = corpus(120, seed=5)
    settings = {"encoder": f"frozen:{tiny_encoder}", "max_length": 16, "fusion": "logistic", "n_jobs": 1}
    exact = HybridClassifier(dense_search="exact", **settings).fit(texts, labels, label_texts=NAMES)
    graph = HybridClassifier(dense_search="graph", **settings).fit(texts, labels, label_texts=NAMES)
    asked, _ = corpus(20, seed=6)
    both = exact.predict_proba(asked), graph.predict_proba(asked)
    assert abs(both[0] - both[1]).max() < 0.05, "embeddings that are nearly as near as the last may differ"
    graph.save(tmp_path / "m")
    assert len(list((tmp_path / "m").rglob("*.usearch"))) == 3
    for again in (ceiba.load(tmp_path / "m"), pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        for one, two in zip(again.predict_topk(asked), graph.predict_topk(asked), strict=True):
            assert (one == two).all()
