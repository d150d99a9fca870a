"""Texts, labels, features and answers in pandas, polars and pyarrow: the same model as from lists."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import HybridClassifier, XRLinear
from ceiba.errors import InputError, InputTypeError
from ceiba.features import TfidfVectorizer

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

TEXTS = ["a red cat", "the grey seal", "cat on mat", "a seal at sea", "one cat", "two seals"] * 3
LABELS = [["cat"], ["seal"], ["cat", "mat"], ["seal"], ["cat"], ["seal"]] * 3
NAMES = [f"f{i}" for i in range(6)]
NUMBERS = np.random.default_rng(0).random((18, 6)).astype(np.float32)
FIXED = pa.FixedSizeListArray.from_arrays(pa.array(NUMBERS.ravel()), 6)

TEXT_FORMS = {
    "arrow array": pa.array(TEXTS),
    "arrow large": pa.array(TEXTS, pa.large_string()),
    "arrow view": pa.array(TEXTS, pa.string_view()),
    "arrow dictionary": pa.array(TEXTS).dictionary_encode(),
    "arrow chunked": pa.chunked_array([TEXTS[:5], TEXTS[5:]]),
    "arrow table": pa.table({"text": TEXTS}),
    "arrow batch": pa.record_batch({"text": TEXTS}),
    "polars series": pl.Series(TEXTS),
    "polars frame": pl.DataFrame({"text": TEXTS}),
    "polars categorical": pl.Series(TEXTS, dtype=pl.Categorical),
    "pandas series": pd.Series(TEXTS, index=range(100, 118)),
    "pandas frame": pd.DataFrame({"text": TEXTS}),
    "pandas arrow": pd.Series(TEXTS, dtype="string[pyarrow]"),
    "pandas categorical": pd.Series(TEXTS, dtype="category"),
}
LABEL_FORMS = {
    "arrow list": pa.array(LABELS),
    "arrow large list": pa.array(LABELS, pa.large_list(pa.large_string())),
    "arrow chunked": pa.chunked_array([LABELS[:5], LABELS[5:]]),
    "arrow table": pa.table({"labels": LABELS}),
    "arrow batch": pa.record_batch({"labels": LABELS}),
    "polars series": pl.Series(LABELS),
    "polars frame": pl.DataFrame({"labels": LABELS}),
    "polars categorical": pl.Series(LABELS, dtype=pl.List(pl.Categorical)),
    "pandas series": pd.Series(LABELS),
    "pandas frame": pd.DataFrame({"labels": LABELS}),
    "pandas arrow": pd.Series(pd.arrays.ArrowExtensionArray(pa.array(LABELS))),
}
FEATURE_FORMS = {
    "pandas": pd.DataFrame(NUMBERS, columns=NAMES),
    "pandas arrow": pd.DataFrame(NUMBERS, columns=NAMES).convert_dtypes(dtype_backend="pyarrow"),
    "pandas sparse": pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(NUMBERS), columns=NAMES),
    "pandas series of arrays": pd.Series(list(NUMBERS)),
    "polars": pl.DataFrame(NUMBERS, schema=NAMES),
    "polars arrays": pl.Series(NUMBERS, dtype=pl.Array(pl.Float32, 6)),
    "polars lists": pl.Series(NUMBERS.tolist()),
    "polars frame of lists": pl.DataFrame({"embedding": NUMBERS.tolist()}),
    "arrow table": pa.table({name: NUMBERS[:, i] for i, name in enumerate(NAMES)}),
    "arrow batch": pa.record_batch({name: NUMBERS[:, i] for i, name in enumerate(NAMES)}),
    "arrow lists": pa.array(NUMBERS.tolist()),
    "arrow fixed-size lists": FIXED,
    "arrow chunked": pa.chunked_array([FIXED]),
    "arrow table of lists": pa.table({"embedding": FIXED}),
}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def of_lists():
    return XRLinear(n_trees=1, random_state=0).fit(TEXTS, LABELS)


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_texts(of_lists, form):
    texts = TEXT_FORMS[form]
    model = XRLinear(n_trees=1, random_state=0).fit(texts, LABELS)
    expected = of_lists.predict_topk(TEXTS, 2)
    for answers in (model.predict_topk(TEXTS, 2), of_lists.predict_topk(texts, 2)):
        assert answers[0].tolist() == expected[0].tolist()
        assert (answers[1] == expected[1]).all()
    assert (TfidfVectorizer().fit_transform(texts) != TfidfVectorizer().fit_transform(TEXTS)).nnz == 0


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_labels(of_lists, form):
    model = XRLinear(n_trees=1, random_state=0).fit(TEXTS, LABEL_FORMS[form])
    assert model.classes_.tolist() == of_lists.classes_.tolist()
    assert (model.predict_topk(TEXTS, 2)[1] == of_lists.predict_topk(TEXTS, 2)[1]).all()
    assert of_lists.score(TEXTS, LABEL_FORMS[form]) == of_lists.score(TEXTS, LABELS)


@pytest.mark.parametrize("form", FEATURE_FORMS)
def test_features(form):
    expected = XRLinear(n_trees=1, random_state=0).fit(NUMBERS, LABELS)
    model = XRLinear(n_trees=1, random_state=0).fit(FEATURE_FORMS[form], LABELS)
    given = FEATURE_FORMS[form] if hasattr(model, "feature_names_in_") else NUMBERS
    assert np.allclose(model.predict_topk(given, 2)[1], expected.predict_topk(NUMBERS, 2)[1], atol=1e-6)
    assert model.predict_topk(FEATURE_FORMS[form], 2)[0].shape == (18, 2)


def test_a_hybrid_model_takes_a_frame_of_texts():
    model = HybridClassifier(random_state=0, fusion="logistic", n_jobs=1)
    model.fit(pl.DataFrame({"text": TEXTS}), pa.table({"labels": LABELS}))
    assert model.predict_topk(pd.DataFrame({"text": TEXTS[:2]}), 1)[0].ravel().tolist() == ["cat", "seal"]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_what_is_missing_or_of_another_kind_is_named(make):
    model = XRLinear(n_trees=1)
    with pytest.raises(InputTypeError, match="row 1"):
        model.fit(make({"text": ["a", None, "b"]}), LABELS[:3])
    with pytest.raises(InputTypeError, match="title"):
        model.fit(make({"title": ["a", "b", "c"], "body": ["d", "e", "f"]}), LABELS[:3])
    with pytest.raises(InputError, match=r"row 1.*2 numbers"):
        model.fit(make({"v": [[1.0, 2.0, 3.0], [1.0, 2.0], [1.0, 2.0, 3.0]]}), LABELS[:3])
    with pytest.raises(InputError, match="row 2"):
        model.fit(make({"v": [[1.0], [2.0], None]}), LABELS[:3])


def test_a_lazy_frame_is_refused():
    lazy = pl.DataFrame({"text": TEXTS}).lazy()
    with pytest.raises(InputTypeError, match="collect"):
        XRLinear().fit(lazy, LABELS)
    with pytest.raises(InputTypeError, match="collect"):
        XRLinear().fit(TEXTS, lazy)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_answers_as_a_frame(of_lists, kind):
    frame = of_lists.predict_frame(TEXTS[:3], 2, kind=kind)
    assert type(frame).__module__.split(".")[0] == kind
    columns = {
        name: frame[name].to_pylist() if kind == "pyarrow" else frame[name].to_list() for name in frame_names(frame)
    }
    labels, scores = of_lists.predict_topk(TEXTS[:3], 2)
    assert list(columns) == ["row", "rank", "label", "score"]
    assert columns["row"] == [0, 0, 1, 1, 2, 2]
    assert columns["rank"] == [1, 2, 1, 2, 1, 2]
    assert columns["label"] == labels.ravel().tolist()
    assert columns["score"] == pytest.approx(scores.ravel().tolist())


def frame_names(frame):
    return list(getattr(frame, "column_names", None) or frame.columns)


def test_the_index_of_pandas_and_texts_of_labels():
    model = XRLinear(n_trees=1, random_state=0)
    model.fit(TEXTS, LABELS, label_texts={"cat": "the cats", "seal": "the seals", "mat": "mats"})
    frame = model.predict_frame(pd.Series(TEXTS[:2], index=["x", "y"]), 1)
    assert frame["row"].tolist() == ["x", "y"]
    assert frame["text"].tolist() == ["the cats", "the seals"]
    assert model.predict_frame(TEXTS[:2], 3, allowed=["cat"])["label"].tolist() == ["cat", "cat"]


def test_an_unknown_kind_of_frame(of_lists):
    with pytest.raises(InputError, match="kind"):
        of_lists.predict_frame(TEXTS, kind="dask")
