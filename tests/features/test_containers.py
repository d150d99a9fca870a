"""Texts are read the same way whatever holds them, and what is no text is named by its row."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer

from ceiba import TfidfVectorizer, XRLinear
from ceiba.errors import InputError, InputTypeError

TEXTS = ["a b", "c", "b é", "दिन c"]
LABELS = [["x"], ["y"], ["x"], ["z"]]
STRING = np.dtypes.StringDType
CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "generator": lambda texts: (text for text in texts),
    "object array": lambda texts: np.array(texts, object),
    "pandas object": lambda texts: pd.Series(texts, dtype=object),
    "pandas str": lambda texts: pd.Series(texts, dtype="str"),
    "pandas string": lambda texts: pd.Series(texts, dtype="string[python]"),
    "pandas string of Arrow": lambda texts: pd.Series(texts, dtype="string[pyarrow]"),
    "pandas ArrowDtype": lambda texts: pd.Series(texts, dtype=pd.ArrowDtype(pa.string())),
    "pandas category": lambda texts: pd.Series(texts, dtype="category"),
    "pandas with an index": lambda texts: pd.Series(texts, index=range(7, 7 - len(texts), -1), dtype=object),
    "pandas Index": lambda texts: pd.Index(texts, dtype=object),
    "pandas array": lambda texts: pd.array(texts, dtype="string"),
    "polars": lambda texts: pl.Series(texts, dtype=pl.String),
    "polars categorical": lambda texts: pl.Series(texts, dtype=pl.String).cast(pl.Categorical),
    "Arrow string": lambda texts: pa.array(texts, pa.string()),
    "Arrow large_string": lambda texts: pa.array(texts, pa.large_string()),
    "Arrow string_view": lambda texts: pa.array(texts, pa.string_view()),
    "Arrow dictionary": lambda texts: pa.array(texts, pa.string()).dictionary_encode(),
    "Arrow chunks": lambda texts: pa.chunked_array([texts[:1], texts[1:]], pa.string()),
}
WITHOUT_MISSING = {
    "<U": np.array,
    "<U, read backwards": lambda texts: np.array(texts[::-1])[::-1],
    "StringDType": lambda texts: np.array(texts, STRING()),
}
WITH_MISSING = {
    "StringDType of None": lambda texts: np.array(texts, STRING(na_object=None)),
    "StringDType of NaN": lambda texts: np.array([np.nan if t is None else t for t in texts], STRING(na_object=np.nan)),
    "list with NaN": lambda texts: [float("nan") if t is None else t for t in texts],
    "list with NA": lambda texts: [pd.NA if t is None else t for t in texts],
    "object array with NaT": lambda texts: np.array([pd.NaT if t is None else t for t in texts], object),
}
OWN = {"own": "tfidf", "another": CountVectorizer(token_pattern=r"\w+")}


@pytest.fixture(scope="module", params=OWN)
def fitted(request):
    return XRLinear(n_jobs=1, vectorizer=OWN[request.param]).fit(TEXTS, LABELS)


@pytest.mark.parametrize("name", CONTAINERS | WITHOUT_MISSING)
def test_containers_of_texts_are_alike(name, fitted):
    make = (CONTAINERS | WITHOUT_MISSING)[name]
    expected = fitted.predict_topk(TEXTS, k=2)[1]
    assert fitted.predict_topk(make(TEXTS), k=2)[1].tobytes() == expected.tobytes()
    again = XRLinear(vectorizer=fitted.vectorizer).fit(make(TEXTS), LABELS)
    assert again.predict_topk(TEXTS, k=2)[1].tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", CONTAINERS | WITHOUT_MISSING)
def test_the_vectorizer_reads_them_alike(name):
    make = (CONTAINERS | WITHOUT_MISSING)[name]
    expected = TfidfVectorizer().fit_transform(TEXTS)
    assert (TfidfVectorizer().fit_transform(make(TEXTS)) != expected).nnz == 0
    assert (TfidfVectorizer().fit(make(TEXTS)).transform(make(TEXTS)) != expected).nnz == 0


def every_call(model, texts):
    """Return a call for each way texts come in; `texts` makes them."""
    return [
        lambda: XRLinear(n_jobs=1).fit(texts(), LABELS),
        lambda: XRLinear(n_jobs=1, vectorizer=CountVectorizer(token_pattern=r"\w+")).fit(texts(), LABELS),
        lambda: TfidfVectorizer().fit(texts()),
        lambda: TfidfVectorizer().fit(TEXTS).transform(texts()),
        lambda: model.predict_topk(texts()),
        lambda: model.predict(texts()),
        lambda: model.score(texts(), LABELS),
    ]


@pytest.mark.parametrize("name", CONTAINERS | WITH_MISSING)
@pytest.mark.parametrize("missing", [[0], [2], [1, 3], [0, 1, 2, 3]])
def test_a_missing_text_is_named(name, missing, fitted):
    make = (CONTAINERS | WITH_MISSING)[name]
    texts = [None if row in missing else text for row, text in enumerate(TEXTS)]
    for call in every_call(fitted, lambda: make(texts)):
        with pytest.raises(InputTypeError, match=rf"X, row {missing[0]}: .*missing") as caught:
            call()
        assert not any(text in str(caught.value) for text in TEXTS if len(text) > 1)


@pytest.mark.parametrize("value", [3, 2.5, b"bytes", ["c"], True])
@pytest.mark.parametrize("make", [list, tuple, lambda rows: (row for row in rows), lambda rows: pd.Series(rows)])
def test_what_is_no_text_is_named(value, make, fitted):
    for call in every_call(fitted, lambda: make(["a", "b", value, "c"])):
        with pytest.raises(InputTypeError, match=rf"X, row 2: .*{type(value).__name__}"):
            call()


@pytest.mark.parametrize("rows", [[b"a", b"b", b"c", b"d"], pa.array([b"a", b"b", b"c", b"d"]), np.array([b"a"] * 4)])
def test_bytes_are_no_texts(rows, fitted):
    for call in every_call(fitted, lambda: rows):
        with pytest.raises(InputTypeError, match=r"X, row 0: .*bytes"):
            call()


@pytest.mark.parametrize("name", ["list", "generator", "object array", "pandas object", "pandas with an index"])
@pytest.mark.parametrize("half", ["\ud800", "b \udfff c", "é\udc80", "😀 \ud83d"])
def test_half_a_surrogate_pair_is_named(name, half, fitted):
    for call in every_call(fitted, lambda: CONTAINERS[name](["a", "b", half, "c"])):
        with pytest.raises(InputError, match=r"X, row 2: .*surrogate"):
            call()


def test_half_a_surrogate_pair_far_down():
    texts = ["a"] * 40_000 + ["\ud800"]
    with pytest.raises(InputError, match=r"X, row 40000: .*surrogate"):
        TfidfVectorizer().fit(texts)
    with pytest.raises(InputError, match=r"X, row 40000: .*surrogate"):
        XRLinear(n_jobs=1).fit(texts, [["x"]] * len(texts))


def test_half_a_surrogate_pair_in_a_single_query(fitted):
    with pytest.raises(InputError, match=r"X, row 0: .*surrogate"):
        fitted.predict_topk(["\ud800"])


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_texts_of_labels_are_checked_too(missing):
    for rows in (["n", missing, "m"], pd.Series(["n", missing, "m"]), {"x": "n", "y": missing, "z": "m"}):
        with pytest.raises(InputTypeError, match=r"label_texts, row 1: .*missing"):
            XRLinear(label_documents=True).fit(TEXTS, LABELS, label_texts=rows)
    with pytest.raises(InputError, match=r"label_texts, row 2: .*surrogate"):
        XRLinear(label_documents=True).fit(TEXTS, LABELS, label_texts=["n", "o", "\ud800"])


def test_containers_of_label_texts_are_alike():
    names = ["red", "green", "blue"]
    models = [
        XRLinear(label_documents=True).fit(TEXTS, LABELS, label_texts=make(names)).predict_topk(["red b"], k=3)[1]
        for make in (list, pd.Series, pa.array, pl.Series, lambda texts: np.array(texts, STRING()))
    ]
    assert all(scores.tobytes() == models[0].tobytes() for scores in models)


TABLES = {
    "pandas": pd.DataFrame({"title": TEXTS, "body": TEXTS}),
    "polars": pl.DataFrame({"title": TEXTS, "body": TEXTS}),
    "Arrow": pa.table({"title": TEXTS, "body": TEXTS}),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_several_columns_is_no_column_of_texts(name, fitted):
    table = TABLES[name]
    with pytest.raises(InputTypeError, match="column"):
        TfidfVectorizer().fit(table)
    with pytest.raises(InputTypeError, match="'title'"):
        XRLinear().fit(table, LABELS)
    with pytest.raises(InputTypeError, match="'title'"):
        fitted.predict_topk(table)


@pytest.mark.parametrize("name", CONTAINERS | WITHOUT_MISSING)
def test_no_texts(name, fitted):
    nothing = (CONTAINERS | WITHOUT_MISSING)[name]([])
    with pytest.raises(InputError, match=r"rows|no text"):
        XRLinear().fit(nothing, [])
    if name != "generator":
        assert fitted.predict_topk(nothing)[0].shape[0] == 0


@pytest.mark.parametrize("X", [[], (), np.array([]), sp.csr_array((0, 3)), np.zeros((0, 3)), pd.DataFrame({"a": []})])
@pytest.mark.parametrize("Y", [[], np.zeros((0, 2)), sp.csr_array((0, 2))])
def test_no_rows(X, Y):
    with pytest.raises(InputError, match=r"X is empty.*(rows|sample)"):
        XRLinear().fit(X, Y)


NUMBERS = np.array([[0.0, 1, 2], [0, 0, 3], [4, 0, 0], [1, 1, 0]])
FRAMES = {
    "pandas": pd.DataFrame(NUMBERS),
    "pandas Float64": pd.DataFrame(NUMBERS).astype("Float64"),
    "pandas Int64": pd.DataFrame(NUMBERS).astype("Int64"),
    "pandas object": pd.DataFrame(NUMBERS).astype(object),
    "pandas sparse": pd.DataFrame(NUMBERS).astype(pd.SparseDtype(float, 0)),
    "polars": pl.DataFrame(NUMBERS),
    "Arrow": pa.table({str(j): NUMBERS[:, j] for j in range(3)}),
    "Arrow batch": pa.record_batch({str(j): NUMBERS[:, j] for j in range(3)}),
    "object array": NUMBERS.astype(object),
    "nested lists": NUMBERS.tolist(),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_features_are_alike(name):
    expected = XRLinear(n_jobs=1).fit(NUMBERS, LABELS).decision_function(NUMBERS).toarray()
    model = XRLinear(n_jobs=1).fit(FRAMES[name], LABELS)
    assert (model.decision_function(FRAMES[name]).toarray() == expected).all()


@pytest.mark.parametrize("dtype", ["Int64", "Float64", object])
def test_a_missing_feature_is_named(dtype):
    frame = pd.DataFrame({"width": pd.Series([1, 2, None, 4], dtype=dtype), "height": [1, 2, 3, 4]})
    for X in (frame, pl.DataFrame({"width": [1, 2, None, 4], "height": [1, 2, 3, 4]}), pa.Table.from_pandas(frame)):
        with pytest.raises(InputError, match=r"X, row 2, column 'width'.*missing"):
            XRLinear().fit(X, LABELS)
