"""Whatever arrays the core gets, it answers or raises; it never reads past them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceiba._native import core, isa
from ceiba.features.chars import char_tables

I64, I32, F32 = np.int64, np.int32, np.float32

# Three rows of four features, and what goes with them; the same beside two dense ones.
CSR = np.array([0, 2, 2, 3], I64), np.array([0, 3, 1], I32), np.array([1.0, 2.0, 3.0], F32), None
DENSE = *CSR[:3], np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], F32)
LISTS = np.array([0, 2, 3], I64), np.array([0, 2, 1], I32)  # of two labels
CHILD_PTR = np.array([0, 2], I64)
MATCHED = np.array([0, 3], I64), np.array([0, 1, 2], I32)


def pifa(csr=CSR, lists=LISTS, cols=4, keep=0, threads=1):
    return core.pifa(*csr, cols, *lists, keep, threads)


def cluster(csr=CSR, child_ptrs=([0, 2], [0, 1, 3]), iterations=20, cols=4, threads=1):
    return core.cluster_sparse(*csr[:3], cols, [np.array(ptr, I64) for ptr in child_ptrs], iterations, 0, threads)


def coarsen(lists=LISTS, weight=None, instances=3, child_ptr=CHILD_PTR, threads=1):
    return core.coarsen(*lists, weight, instances, child_ptr, threads)


NO_THRESHOLD = np.zeros(2, np.float32)
PRIMARY = np.array([0, 1, 2], I64), np.array([0, 3], I32)  # of two labels among four clusters


def assign(csr=CSR, lists=LISTS, primary=PRIMARY, label_weight=(1.0, 1.0), overlap=2, threads=1):
    return core.assign_clusters(
        *lists, *csr[:3], 4, *primary, np.array(label_weight), overlap, 0.0, 100.0, False, 0.0, threads
    )


def train(
    csr=CSR,
    cols=4,
    matched=MATCHED,
    positives=LISTS,
    weight=None,
    child_ptr=CHILD_PTR,
    first_parent=0,
    lanes=16,
    threads=1,
    **options,
):
    given = {
        "loss": 0,
        "cp": 1.0,
        "cn": 1.0,
        "bias": 1.0,
        "tol": 0.1,
        "passes": 100,
        "threshold": NO_THRESHOLD,
        "dtype": 0,
    }
    return core.train_parents(
        *csr,
        cols,
        *matched,
        *positives,
        weight,
        child_ptr,
        *(given | options).values(),
        0,
        first_parent,
        lanes,
        threads,
    )


def searcher(**changes):
    slots = changes.pop("slot_label", np.array([0, 1], I32))
    features, labels = changes.pop("features", 4), changes.pop("labels", 2)
    layer = train(cols=max(features, 4))[0]
    layer["child_ptr"] = CHILD_PTR
    return core.Searcher([{"features": features, "layers": [layer | changes], "slot_label": slots}], labels)


OF_ROWS = np.array([0, 2, 2, 3], I64), np.array([0, 3, 1], I32)


def products(left=(3, 2), right=(4, 2), lists=OF_ROWS, threads=1):
    return core.inner_products(np.ones(left, F32), np.ones(right, F32), *lists, threads)


def test_the_examples_are_sound():
    assert len(pifa()[0]) == 3
    assert sorted(cluster().tolist()) == [0, 1, 2]
    assert coarsen()[1].tolist() == [0, 1, 2]
    assert len(train()[0]["bias"]) == 2
    assert assign()[1].tolist() == [0, 1, 3]  # cluster 1 adds 3.0, cluster 3 only 2.0
    ptr, _, _, work = searcher().top_k(*CSR, 10, 2, 2)
    assert ptr.tolist() == [0, 2, 4, 6]
    assert work["visits"] == 3
    assert len(pifa(DENSE, cols=6)[0]) == 3
    assert len(train(DENSE, 6)[0]["bias"]) == 2
    assert searcher(features=6).top_k(*DENSE, 10, 2, 2)[0].tolist() == [0, 2, 4, 6]
    assert products().tolist() == [2.0, 2.0, 2.0]
    assert isa in ("v2", "v3", "v4", "base")


def with_part(arrays, place, value):
    return (*arrays[:place], value, *arrays[place + 1 :])


BAD_CSR = {
    "indptr that falls": with_part(CSR, 0, np.array([0, 3, 2, 3], I64)),
    "indptr not from 0": with_part(CSR, 0, np.array([1, 2, 2, 3], I64)),
    "indptr beyond the end": with_part(CSR, 0, np.array([0, 2, 2, 4], I64)),
    "indptr before the end": with_part(CSR, 0, np.array([0, 2, 2, 2], I64)),
    "no indptr": with_part(CSR, 0, np.array([], I64)),
    "a column too many": with_part(CSR, 1, np.array([0, 4, 1], I32)),
    "a negative column": with_part(CSR, 1, np.array([0, -1, 1], I32)),
    "fewer values": with_part(CSR, 2, np.array([1.0, 2.0], F32)),
}
BAD_LISTS = {
    "ptr that falls": with_part(LISTS, 0, np.array([0, 4, 3], I64)),
    "ptr beyond the end": with_part(LISTS, 0, np.array([0, 2, 9], I64)),
    "no ptr": with_part(LISTS, 0, np.array([], I64)),
    "an instance too many": with_part(LISTS, 1, np.array([0, 3, 1], I32)),
    "a negative instance": with_part(LISTS, 1, np.array([0, -2, 1], I32)),
}


@pytest.mark.parametrize("name", BAD_CSR)
@pytest.mark.parametrize("call", [pifa, cluster, train, assign])
def test_rows_that_are_not_sound(call, name):
    with pytest.raises(ValueError, match="CSR"):
        call(csr=BAD_CSR[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"csr": with_part(CSR, 1, np.array([3, 0, 1], I32))}, "canonical"),
        ({"csr": with_part(CSR, 2, np.array([1.0, np.nan, 1.0], F32))}, "canonical"),
        ({"primary": with_part(PRIMARY, 1, np.array([0, 4], I32))}, "lists"),
        ({"primary": (np.array([0, 1], I64), np.array([0], I32))}, "primary"),
        ({"label_weight": (1.0,)}, "label_weight"),
        ({"label_weight": (1.0, np.nan)}, "label_weight"),
        ({"overlap": 0}, "overlap"),
        ({"threads": 0}, "threads"),
    ],
)
def test_assignments_that_are_not_sound(changes, message):
    with pytest.raises(ValueError, match=message):
        assign(**changes)


@pytest.mark.parametrize("name", BAD_CSR)
def test_queries_that_are_not_sound(name):
    with pytest.raises(ValueError, match="CSR"):
        searcher().top_k(*BAD_CSR[name], 10, 2, 2)
    with pytest.raises(ValueError, match="CSR"):
        searcher().beam_nodes(0, 1, *BAD_CSR[name], 10, 2)
    with pytest.raises(ValueError, match="CSR"):
        searcher().score_labels(-1, *BAD_CSR[name], np.array([0, 0, 0, 0], I64), np.array([], I32), 2)


BAD_DENSE = {
    "a row too few": np.ones((2, 2), F32),
    "a row too many": np.ones((4, 2), F32),
    "more columns than there are": np.ones((3, 7), F32),
    "a column over those of the CSR": np.ones((3, 3), F32),
}
OTHER_DENSE = {
    "float64": np.ones((3, 2)),
    "float16": np.ones((3, 2), np.float16),
    "integers": np.ones((3, 2), I32),
    "one dimension": np.ones(3, F32),
    "three dimensions": np.ones((3, 2, 1), F32),
    "columns first": np.ones((2, 3), F32).T,
    "gaps": np.ones((3, 4), F32)[:, ::2],
    "a list": [[1.0, 2.0]] * 3,
}


@pytest.mark.parametrize("name", [*BAD_DENSE, *OTHER_DENSE])
def test_dense_features_that_are_not_sound(name):
    rows = with_part(DENSE, 3, (BAD_DENSE | OTHER_DENSE)[name])
    expected = (ValueError, "CSR") if name in BAD_DENSE else (TypeError, "incompatible")
    found = searcher(features=6)
    for call in (
        lambda: pifa(rows, cols=6),
        lambda: train(rows, 6),
        lambda: found.top_k(*rows, 10, 2, 2),
        lambda: found.rank(*rows, 10, 2, 2, None, 1, None, True),
        lambda: found.beam_nodes(0, 1, *rows, 10, 2),
        lambda: found.score_labels(-1, *rows, np.array([0, 0, 0, 0], I64), np.array([], I32), 2),
    ):
        with pytest.raises(expected[0], match=expected[1]):
            call()


@pytest.mark.parametrize("name", BAD_LISTS)
def test_lists_that_are_not_sound(name):
    for call in (pifa, coarsen, assign):
        with pytest.raises(ValueError, match="lists"):
            call(lists=BAD_LISTS[name])
    with pytest.raises(ValueError, match="lists"):
        products(left=(2, 2), right=(3, 2), lists=BAD_LISTS[name])
    with pytest.raises(ValueError, match="lists"):
        train(positives=BAD_LISTS[name])
    with pytest.raises(ValueError):
        train(matched=BAD_LISTS[name], child_ptr=np.array([0, 1, 2], I64))


@pytest.mark.parametrize(
    "call",
    [
        lambda: train(matched=(np.array([0, 2], I64), np.array([1, 0], I32))),  # does not ascend
        lambda: train(matched=(np.array([0, 2], I64), np.array([1, 1], I32))),
        lambda: train(child_ptr=np.array([0, 3], I64)),
        lambda: train(child_ptr=np.array([0, 1, 2], I64)),
        lambda: train(weight=np.ones(2, F32)),
        lambda: train(threshold=np.zeros(3, F32)),
        lambda: train(loss=3),
        lambda: train(dtype=3),
        lambda: coarsen(child_ptr=np.array([0, 3], I64)),
        lambda: coarsen(weight=np.ones(4, F32)),
        lambda: cluster(child_ptrs=[]),
        lambda: cluster(child_ptrs=[[0, 2]]),  # three labels
        lambda: cluster(child_ptrs=[[0, 2], [0, 3]]),
        lambda: cluster(child_ptrs=[[0, 2], [0, 4, 3]]),
        lambda: cluster(child_ptrs=[[0, 2], [0, 0, 3]]),  # a cluster without labels
        lambda: cluster(child_ptrs=[[0, 3], [0, 1, 2, 2], [0, 1, 3]]),
        lambda: cluster(iterations=0),
        lambda: searcher(features=3),
        lambda: searcher(labels=3),
        lambda: searcher(labels=1),
        lambda: searcher(slot_label=np.array([0], I32)),
        lambda: searcher(slot_label=np.array([0, 2], I32)),
        lambda: searcher(child_ptr=np.array([0, 1], I64)),
        lambda: searcher(child_ptr=np.array([], I64)),
        lambda: searcher(bias=np.array([0.0, np.nan], F32)),
        lambda: searcher(chunk_row=np.array([0, 9], I64)),
        lambda: searcher(shift=np.array([17], np.uint8)),
        lambda: searcher(stream=np.array([], np.uint8)),
        lambda: searcher(bucket=np.array([7], np.uint32)),
        lambda: searcher(value_type=5),
        lambda: searcher(scale=np.full(1, 0.3, F32)),
        lambda: searcher(scale=np.full(1, np.inf, F32)),
        lambda: searcher(scale=np.ones(2, F32)),
        lambda: train(lanes=4),
        lambda: train(first_parent=-1),
        lambda: core.Searcher([], 2),
        lambda: core.Searcher([{"features": 4, "layers": [], "slot_label": np.array([0], I32)}], 1),
        lambda: searcher().top_k(*CSR, 0, 2, 2),
        lambda: searcher().top_k(*CSR, 10, -1, 2),
        lambda: searcher().top_k(*CSR, 10, 2, 4),
        lambda: searcher().top_k(*CSR, 10, 2, 2, LISTS),  # two lists for three rows
        lambda: searcher().top_k(*CSR, 10, 2, 2, (np.array([0, 0, 0, 1], I64), np.array([2], I32))),
        lambda: searcher().beam_nodes(1, 1, *CSR, 10, 2),
        lambda: searcher().beam_nodes(0, 2, *CSR, 10, 2),
        lambda: searcher().beam_nodes(0, 0, *CSR, 10, 2),
        lambda: searcher().score_labels(-1, *CSR, *LISTS, 2),
        lambda: searcher().score_labels(1, *CSR, np.array([0, 0, 0, 0], I64), np.array([], I32), 2),  # one tree
        lambda: searcher().score_labels(-1, *CSR, np.array([0, 0, 0, 1], I64), np.array([2], I32), 2),
        lambda: products(left=(2, 2)),
        lambda: products(left=(3, 3)),
        lambda: products(right=(3, 2)),  # label 3 is beyond
        lambda: products(threads=0),
    ],
)
def test_arguments_that_do_not_fit(call):
    with pytest.raises(ValueError, match=" "):
        call()


@pytest.mark.parametrize("place", range(3))
def test_other_types_are_not_converted_in_silence(place):
    other = [np.int32, np.int64, np.float64][place]
    with pytest.raises(TypeError):
        pifa(csr=with_part(CSR, place, CSR[place].astype(other)))
    strided = np.repeat(CSR[place], 2)[::2]
    with pytest.raises(TypeError):
        pifa(csr=with_part(CSR, place, strided))


def test_missing_arrays_of_a_layer():
    layer = train()[0] | {"child_ptr": CHILD_PTR}
    for name in layer:
        part = {key: value for key, value in layer.items() if key != name}
        tree = {"features": 4, "layers": [part], "slot_label": np.array([0, 1], I32)}
        with pytest.raises((KeyError, ValueError)):
            core.Searcher([tree], 2)


def test_arrays_live_as_long_as_the_searcher():
    kept = searcher()
    expected = kept.top_k(*CSR, 10, 2, 2)[2].tolist()
    for _ in range(50):  # what was freed would be written over
        train()
        np.full(10_000, 7.0)
    assert kept.top_k(*CSR, 10, 2, 2)[2].tolist() == expected


SMALL = st.integers(-2, 6)
SOME = st.lists(SMALL, max_size=6)


@settings(deadline=None, max_examples=200)
@given(
    arrays=st.lists(SOME, min_size=9, max_size=9),
    number=SMALL,
    choice=st.integers(0, 6),
    dense=st.none() | st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda shape: np.ones(shape, F32)),
)
def test_any_arrays_at_all(arrays, number, choice, dense):
    """Random numbers for every array: an error, or an answer."""
    first, second, third, *more = (np.array(values, I64) for values in arrays)
    csr = first, second.astype(I32), third.astype(F32), dense
    lists = [(more[i], more[i + 1].astype(I32)) for i in (0, 2, 4)]
    calls = [
        lambda: pifa(csr, lists[0], threads=number),
        lambda: cluster(csr, more[: number % 4], number),
        lambda: coarsen(lists[0], None if number % 2 else third.astype(F32), number, more[2]),
        lambda: train(csr, number, lists[0], lists[1], None, more[4], passes=number),
        lambda: SEARCHER.top_k(*csr, number, number, number % 4, lists[0] if number % 2 else None),
        lambda: SEARCHER.score_labels(-1, *csr, *lists[0], number),
        lambda: searcher(bucket=more[0].astype(np.uint32), chunk_row=more[1], chunk_byte=more[2]),
    ]
    try:
        calls[choice]()
    except (ValueError, TypeError):
        return


SEARCHER = searcher()


def tables():
    return char_tables(True, None)


def counter(sizes=(1, 1, 0, 0, 0), keep=True):
    return core.NgramCounter(tables(), list(sizes), keep, 2)


def finished():
    made = counter()
    made.count(["b a", "a"])
    made.finish()
    return made


def text_features(sizes=(1, 1, 0, 0, 0), words=("a", "b"), characters=(), idf=(1.0, 1.0)):
    return with_words(list(words), sizes, characters, idf)


def with_words(words, sizes=(1, 1, 0, 0, 0), characters=(), idf=(1.0, 1.0)):
    return core.TextFeatures(tables(), list(sizes), words, list(characters), np.array(idf, F32), True, 2, 1.0)


def packed(utf8, ptr):
    return np.frombuffer(utf8, np.uint8), np.array(ptr, I64)


ONE = np.zeros(1, I32)


@pytest.mark.parametrize(
    "call",
    [
        lambda: core.char_tables(np.array([-1, 2], I32), ONE[:0], ONE[:0], np.zeros(1, I64), ONE[:0]),
        lambda: core.char_tables(ONE[:0], ONE[:0], np.array([0x110000], I32), np.array([0, 1], I64), ONE),
        lambda: core.char_tables(ONE[:0], ONE[:0], ONE, np.array([0, 2], I64), ONE),
        lambda: core.char_tables(ONE[:0], ONE[:0], ONE, np.zeros(1, I64), ONE[:0]),
        lambda: counter((1, 1)),
        lambda: counter((0, 1, 0, 0, 0)),
        lambda: counter((3, 2, 0, 0, 0)),
        lambda: counter((1, 1, 0, 0, -1)),
        lambda: counter().statistics(0),
        lambda: finished().statistics(2),
        lambda: finished().count(["a"]),
        lambda: finished().finish(),
        lambda: finished().sorted(0, np.array([2], I32)),
        lambda: finished().ngrams(0, np.array([-1], I32)),
        lambda: finished().rows(np.array([0], I32), ONE[:0], np.ones(2, F32), 2, True, 2, 1.0),
        lambda: finished().rows(np.array([0, 2], I32), ONE[:0], np.ones(2, F32), 2, True, 2, 1.0),
        lambda: finished().rows(np.array([0, 1], I32), ONE[:0], np.ones(2, F32), 2, True, 3, 1.0),
        lambda: text_features(words=("a", "a")),
        lambda: text_features(idf=(1.0,)),
        lambda: with_words(packed(b"aa", [0, 1, 2])),
        lambda: with_words(packed(b"ab", [0, 1, 3])),
        lambda: with_words(packed(b"ab", [0, 3, 2])),
        lambda: with_words(packed(b"ab", [-1, 1, 2])),
        lambda: with_words(packed(b"ab", [])),
        lambda: with_words(packed(b"ab", [0, 1, 2])[:1]),
        lambda: text_features(characters=("c",), idf=(1.0, 1.0, 1.0)),
        lambda: text_features((1, 1, 0, 0, 5)),
    ],
)
def test_texts_that_do_not_fit(call):
    with pytest.raises(ValueError, match=" "):
        call()


def test_packed_words_are_the_same():
    for mine, theirs in zip(
        with_words(packed(b"ab", [0, 1, 2])).rows(["b a b"]), text_features().rows(["b a b"]), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("texts", [["a", None], ["a", b"b"], [1]])
def test_texts_that_are_none(texts):
    for call in (counter().count, text_features().rows):
        with pytest.raises(TypeError, match="str"):
            call(texts)


@pytest.mark.parametrize("name", ["LOSSES", "WEIGHT_DTYPES", "COMBINE", "NORMS", "NGRAM_KINDS"])
def test_enumerations_are_numbered_from_0(name):
    assert list(getattr(core, name).values()) == list(range(len(getattr(core, name))))
