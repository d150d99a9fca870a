"""`set_filters`: labels that a model may and must not answer with, kept with it."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import HybridClassifier, XRLinear, load
from ceiba.errors import InputError, InputTypeError, ModelFormatError
from ceiba.io import current_generation

N, L = 80, 30
FEW, OUT = [2, 5, 11, 17, 23], [5, 23]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = sp.random_array((N, 25), density=0.3, format="csr", dtype=np.float32, rng=rng)
    Y = [rng.choice(L, 3, replace=False).tolist() for _ in range(N - L)] + [[label] for label in range(L)]
    return X, Y


def make(kind, data):
    settings = {"n_jobs": 1}
    if kind is XRLinear:
        settings |= {"max_leaf_size": 5, "branching_factor": 3}
    else:
        settings |= {"fusion": "logistic"}
    return kind(**settings).fit(*data)


@pytest.fixture(scope="module", params=[XRLinear, HybridClassifier])
def plain(request, data):
    return make(request.param, data)


@pytest.fixture(params=[XRLinear, HybridClassifier])
def model(request, data):
    return make(request.param, data)


def rows(answer):
    return [[pair for pair in zip(*row, strict=True) if pair[0] is not None] for row in zip(*answer, strict=True)]


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_every_answer_keeps_to_the_filters(model, data):
    X, _ = data
    allowed, without = model.predict_topk(X, 5, allowed=FEW), model.predict_topk(X, 5, denied=OUT)
    assert model.set_filters(allowed=FEW) is model
    assert same(model.predict_topk(X, 5), allowed)
    assert (model.allowed_labels_.tolist(), model.denied_labels_) == (FEW, None)
    columns = [model.classes_.tolist().index(label) for label in FEW]
    for answer in (model.decision_function(X), model.predict_proba(X), model.predict(X)):
        assert set(answer.indices.tolist()) <= set(columns)
        assert answer.shape == (N, L)
    model.set_filters(denied=OUT)
    assert same(model.predict_topk(X, 5), without)
    assert model.score(X, [[label] for label in [5] * N]) == 0
    model.set_filters(allowed=FEW, denied=OUT)
    assert {label for row in rows(model.predict_topk(X, 5)) for label, _ in row} == {2, 11, 17}
    assert len(model.score_labels(X[:1], [[5, 3]])[0]) == 2, "what is named is answered"
    assert model.fit(*data).denied_labels_ is None


def test_filters_are_taken_away(model, data):
    X, _ = data
    before = model.predict_topk(X, 5)
    model.set_filters(allowed=FEW).set_filters()
    assert same(model.predict_topk(X, 5), before)
    assert (model.allowed_labels_, model.denied_labels_) == (None, None)


def test_a_call_takes_further_labels_away_and_gives_none_back(plain, data):
    X, _ = data
    each = [[label, 5, 11] for label in range(N % L)] + [[2, 17]] * (N - N % L)
    plain.set_filters()
    may = [[label for label in row if label in FEW and label not in OUT] for row in each]
    expected = {
        "allowed": plain.predict_topk(X, 5, allowed=[2, 11]),
        "rows allowed": plain.predict_topk(X, 5, allowed=may),
        "denied": plain.predict_topk(X, 5, allowed=[11, 17]),
        "rows denied": plain.predict_topk(X, 5, allowed=[[x for x in (2, 11, 17) if x not in row] for row in each]),
    }
    plain.set_filters(allowed=FEW, denied=OUT)
    assert same(plain.predict_topk(X, 5, allowed=[2, 3, 5, 11]), expected["allowed"])
    assert same(plain.predict_topk(X, 5, allowed=each), expected["rows allowed"])
    assert same(plain.predict_topk(X, 5, denied=[2, 9]), expected["denied"])
    assert same(plain.predict_topk(X, 5, denied=each), expected["rows denied"])
    with pytest.raises(InputError, match="allowed"):
        plain.predict_topk(X, 5, allowed=[3, 4])
    assert plain.predict_topk(X[:0], 5, allowed=[3])[0].shape == (0, 5)
    plain.set_filters()


def test_saved_and_loaded(plain, data, tmp_path):
    X, _ = data
    plain.set_filters(allowed=FEW, denied=OUT)
    plain.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert same(again.predict_topk(X, 5), plain.predict_topk(X, 5))
    assert (again.allowed_labels_.tolist(), again.denied_labels_.tolist()) == (FEW, OUT)
    plain.set_filters()
    plain.save(tmp_path / "m")
    assert load(tmp_path / "m").allowed_labels_ is None


@pytest.mark.parametrize("columns", [[-1], [L], [3, 3], [4, 3]])
def test_a_file_of_other_columns_is_an_error(plain, data, tmp_path, columns):
    from safetensors.numpy import save_file

    plain.set_filters(denied=OUT)
    plain.save(tmp_path / "m")
    plain.set_filters()
    path = current_generation(tmp_path / "m") / "label_filters.safetensors"
    save_file({"denied": np.array(columns, np.int32)}, path)
    with pytest.raises(ModelFormatError, match="label_filters"):
        load(tmp_path / "m", verify=False)


@pytest.mark.parametrize("name", ["allowed", "denied"])
def test_bad_input_names_the_argument_and_changes_nothing(name, plain):
    plain.set_filters(allowed=FEW)
    for bad in ([[3], [4]], np.ones((N, L)), sp.eye(L), "3", 3, ["3"], [3, None]):
        with pytest.raises(InputTypeError, match=name):
            plain.set_filters(**{name: bad})
    with pytest.raises(InputError, match=f"{name}.*999"):
        plain.set_filters(**{name: [3, 999]})
    assert plain.allowed_labels_.tolist() == FEW
    plain.set_filters()


def test_filters_that_leave_nothing_are_errors(plain):
    with pytest.raises(InputError, match="allowed"):
        plain.set_filters(allowed=[])
    with pytest.raises(InputError, match="denied"):
        plain.set_filters(denied=list(range(L)))
    with pytest.raises(InputError, match="denied"):
        plain.set_filters(allowed=OUT, denied=[*OUT, 3])
    assert plain.set_filters(denied=[]).denied_labels_.tolist() == []
    plain.set_filters()


def test_filters_and_thresholds_stay_together(model, data):
    X, Y = data
    model.set_filters(denied=OUT).tune_thresholds(X, Y)
    assert model.denied_labels_.tolist() == OUT
    assert model.thresholds_ is not None
    assert model.set_filters(denied=[2]).thresholds_ is not None


def test_many_allowed_labels_of_a_hybrid_model_are_searched_not_scored():
    """Above 1,000 allowed labels its sources look further; probabilities are those of a search of all labels."""
    rng = np.random.default_rng(1)
    n_labels = 2800
    words = [f"w{i}" for i in range(400)]
    of_label = [" ".join(rng.choice(words, 4)) for _ in range(n_labels)]
    picks = np.concatenate([rng.permutation(n_labels), rng.integers(0, n_labels, 400)])
    model = HybridClassifier(fusion="logistic", n_jobs=1, n_candidates=20)
    model.fit([of_label[i] for i in picks], [[f"l{i}"] for i in picks])
    texts = [of_label[i] for i in picks[:40]]
    may = sorted(model.classes_[::2].tolist())
    assert len(may) > 1000
    top, scores = model.predict_topk(texts, 5, allowed=may)
    all_rows = [may if i % 2 else may[:3] for i in range(40)]
    of_rows, _ = model.predict_topk(texts, 5, allowed=all_rows)
    assert all(set(row) - {None} <= set(may) for row in top.tolist())
    assert all(set(row) - {None} <= set(given) for row, given in zip(of_rows.tolist(), all_rows, strict=True))
    assert all(set(row) >= set(may[:3]) for row in of_rows.tolist()[::2]), "few labels are all scored"
    assert (top != None).all()  # noqa: E711
    given = model.score_labels(texts, top.tolist())
    assert np.allclose(np.stack(given), scores, atol=1e-6)
    kept = model.set_filters(allowed=may).predict_topk(texts, 5)
    assert same(kept, (top, scores))
