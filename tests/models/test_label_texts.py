"""Labels that have texts: what models make of them, on disk, on the command line, and given bad input."""

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.model_folders import reseal

from ceiba import TfidfVectorizer, XRLinear, XRTransformer, XTransformer, load
from ceiba.data.instances import InstanceLists
from ceiba.data.label_matrix import Labels
from ceiba.encoders import load_encoder
from ceiba.errors import CollapseWarning, InputError, InputTypeError, ModelFormatError
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features, stacked
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.label_text import InBatchCandidates, TextHead
from ceiba.io import current_generation
from ceiba.io.tensors import write_tensors
from ceiba.models import fusion_weight as use
from ceiba.models.label_texts import embeddings_of_labels, with_documents
from ceiba.models.linear_recipe import LinearSettings

FAST = {"max_length": 16, "epochs": 3.0, "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
FAST |= {"learning_rate": 3e-3, "head_learning_rate": 1e-2, "device": "cpu", "n_jobs": 1}
FAST |= {"ranker": XRLinear(n_trees=2, branching_factor=3, max_leaf_size=5, weight_threshold=0.01)}
USED = {"ranker_label_documents": True, "cosine_weight": 0.5}
ASKED = ["the old red apple", "a new green tree"]


def fit(encoder, corpus, *features, model=XRTransformer, frozen=False, **params):
    labels = sorted({label for row in corpus[1] for label in row})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        name = f"frozen:{encoder}" if frozen else str(encoder)
        return model(encoder=name, **{**FAST, **USED, **params}).fit(*corpus, *features, label_texts=labels)


def names_of(labels):
    return sorted({label for row in labels for label in row})


# ---------------------------------------------------------------- linear


def test_a_label_of_unlike_texts_is_found_by_its_name():
    texts = ["alpha beta", "gamma delta", "alpha gamma", "beta delta"] * 5
    labels = [["one"], ["two"], ["one"], ["two"]] * 5
    named = {"one": "zebra", "two": "walrus"}
    plain = XRLinear().fit(texts, labels)
    model = XRLinear(label_documents=True).fit(texts, labels, label_texts=named)
    assert model.predict_topk(["walrus", "zebra"], k=1)[0].ravel().tolist() == ["two", "one"]
    assert np.ptp(plain.predict_topk(["walrus", "zebra"], k=1)[1]) == 0  # words it has never seen
    assert model.n_train_ == 20  # a name is no text of the set
    assert model.label_counts_.tolist() == [10, 10]


def test_texts_and_features_learn_the_same(small_corpus):
    texts, labels = small_corpus
    names = names_of(labels)
    vectorizer = TfidfVectorizer().fit([*texts, *names])
    of_texts = XRLinear(label_documents=True).fit(texts, labels, label_texts=names)
    of_features = XRLinear(label_documents=True).fit(
        vectorizer.transform(texts), labels, label_texts=vectorizer.transform(names)
    )
    found = of_features.predict_topk(vectorizer.transform(ASKED), 5)
    for mine, theirs in zip(of_texts.predict_topk(ASKED, 5), found, strict=True):
        assert (mine == theirs).all()


def test_documents_are_rows_of_their_labels():
    plain = InstanceLists(np.array([0, 2, 2, 3]), np.array([0, 2, 1], np.int32), np.array([1, 3, 2], np.float32))
    whole = with_documents(plain, 3)
    assert whole.ptr.tolist() == [0, 3, 4, 6]
    assert whole.indices.tolist() == [0, 2, 3, 4, 1, 5]
    assert whole.weight.tolist() == [1, 3, 1, 1, 2, 1]


BAD = {
    "none": ({"label_documents": True}, None, InputError, "needs label_texts, one for each label; got none"),
    "too few": ({"label_documents": True}, ["a"], InputError, "one for each of the 2 labels; got 1"),
    "no str": ({"label_documents": True}, ["a", 3], InputTypeError, "label_texts, row 1: expected a str, found int"),
    "one str": ({"label_documents": True}, "ab", InputTypeError, "a single str"),
    "a label without": ({"label_documents": True}, {"x": "a"}, InputError, "no text for 1 labels, 'y' for one"),
    "features": ({"label_documents": True}, sp.eye_array(2).tocsr(), InputError, "to be texts, as X is"),
    "of no kind": ({"label_documents": 3}, None, InputError, "The 'label_documents' parameter"),
}


@pytest.mark.parametrize(("params", "given", "error", "message"), BAD.values(), ids=BAD)
def test_bad_label_texts(params, given, error, message):
    with pytest.raises(error, match=message):
        XRLinear(**params).fit(["a b", "c d"], [["x"], ["y"]], label_texts=given)


def test_features_must_be_alike():
    X = sp.csr_array(np.eye(3))
    with pytest.raises(InputError, match=r"label_texts.*2.*X.*3"):
        XRLinear(label_documents=True).fit(X, [[0], [1], [0]], label_texts=sp.csr_array(np.eye(2)))
    with pytest.raises(InputError, match="Y has 2 rows"):
        XRLinear(label_documents=True).fit(X, [[0], [1]], label_texts=sp.csr_array(np.eye(3)[:2]))


def test_rows_and_stacks_of_dense_features():
    rng = np.random.default_rng(0)
    sparse, dense = sp.random_array((6, 4), density=0.5, rng=rng, format="csr"), rng.random((6, 3)).astype(np.float32)
    X = as_features(sparse).with_block(EMBEDDING, dense)
    whole = X.to_scipy().toarray()
    picked = X.rows(np.array([4, 0, 4]))
    assert (picked.to_scipy().toarray() == whole[[4, 0, 4]]).all()
    for below in (X.rows(np.array([1])), as_features(sp.csr_array(whole[[1]])), as_features(whole[[1]])):
        for above in (X, as_features(sp.csr_array(whole))):
            both = stacked(above, below)
            assert (both.n_sparse, both.n_rows) == (above.n_sparse, 7)
            np.testing.assert_array_equal(both.to_scipy().toarray(), whole[[0, 1, 2, 3, 4, 5, 1]])


# ---------------------------------------------------------------- Transformers


def test_batches_draw_from_their_own_labels():
    Y = sp.csr_array(np.array([[1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]))
    drawn = InBatchCandidates(Y, seed=0)
    batch = np.array([2, 0, 3])
    nodes, _, row, column, relevance = drawn.candidates(batch, batch)
    assert 3 <= len(nodes) <= 4  # label 0 of row 2, and three of row 0's five
    assert 5 not in nodes
    assert (relevance == 1).all()
    own = sp.csr_array((relevance, (row, column)), shape=(3, len(nodes))).toarray()
    assert (own == Y.toarray()[batch][:, nodes]).all()
    for part in np.split(np.arange(3), [1]):
        of_part = drawn.candidates(batch[part], batch)
        assert of_part.nodes.tolist() == nodes.tolist()
        of_part = sp.csr_array((of_part.relevance, (of_part.row, of_part.column)), shape=own[part].shape)
        assert (of_part.toarray() == own[part]).all()
    assert not len(drawn.candidates(batch[2:], batch[2:]).row)  # a batch without labels


def test_margins_are_cosines_whatever_the_lengths(tiny_encoder):
    encoder = load_encoder(tiny_encoder, max_length=16).eval()
    tokens = encoder.tokenize(["tree", "an old green tree", "the", "red apple", "the red apple and the green tree"])
    nodes = torch.tensor([4, 0, 3, 2])
    texts = torch.nn.functional.normalize(torch.randn(3, encoder.dim), dim=-1)
    with torch.no_grad():
        margins = TextHead(encoder, tokens, 20.0, DistributedContext())(texts, nodes, np.arange(3))
    cosines = texts.numpy() @ encoder.embed(tokens)[nodes.numpy()].T
    assert np.allclose(margins.numpy(), 20 * cosines, atol=1e-4)


def test_labels_move_towards_their_documents():
    rng = np.random.default_rng(0)
    texts, of_names = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in rng.normal(size=(2, 4, 3)))
    Y = sp.csr_array(np.array([[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    moved = embeddings_of_labels(of_names.astype("f"), texts.astype("f"), Y)
    assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-6)
    assert np.allclose(moved[1], of_names[1], atol=1e-6)  # it has none
    towards = Y.T @ texts
    cosine = [(towards * rows).sum(axis=1)[[0, 2, 3]] for rows in (of_names, moved)]
    assert (cosine[1] > cosine[0]).all()
    means = embeddings_of_labels(None, texts.astype("f"), Y)
    assert np.allclose(
        means[[0, 2]], towards[[0, 2]] / np.linalg.norm(towards[[0, 2]], axis=1, keepdims=True), atol=1e-6
    )
    assert (means[1] == 0).all()


@pytest.mark.parametrize("case", [{}, {"frozen": True}, {"model": XTransformer}, {"vectorizer": None}, {"pair": True}])
def test_every_answer_saved_and_loaded(tiny_encoder, small_corpus, tmp_path, case):
    case, asked, features = dict(case), ASKED, ()
    if case.pop("pair", False):
        vectorizer = TfidfVectorizer().fit(small_corpus[0])
        features, asked = (vectorizer.transform(small_corpus[0]),), (ASKED, vectorizer.transform(ASKED))
    model = fit(tiny_encoder, small_corpus, *features, **case)
    assert model.cosine_weight_ == 0.5
    assert model.ranker_.label_documents
    assert model.n_train_ == 90
    labels, scores = model.predict_topk(asked, 3)
    assert set(labels[0]) == {"old", "apple", "red apple"}
    assert ((scores > 0) & (scores <= 1)).all()
    np.testing.assert_allclose(np.concatenate(model.score_labels(asked, labels.tolist())), scores.ravel(), rtol=1e-5)
    whole = model.decision_function(asked)
    assert whole.shape == (2, len(model.classes_))
    np.testing.assert_allclose(whole.max(axis=1).toarray().ravel(), scores[:, 0], rtol=1e-6)
    assert model.predict(asked).shape == whole.shape
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert (again.label_embeddings_ == model.label_embeddings_).all()
    for mine, theirs in zip(model.predict_topk(asked, 3), again.predict_topk(asked, 3), strict=True):
        assert (mine == theirs).all()


def test_the_labels_level_is_trained_on_their_texts(tiny_encoder, small_corpus):
    model = fit(tiny_encoder, small_corpus, epochs=12.0)
    report = model.fit_report_["matcher"][-1]
    assert report["nodes"] == len(model.classes_)
    assert np.mean(report["loss"][-3:]) < 0.8 * np.mean(report["loss"][:3])
    names = model.classes_.tolist()
    cosine = model.encode(names) @ model.encode(small_corpus[0]).T
    own = np.array([[name in row for row in small_corpus[1]] for name in names])
    assert cosine[own].mean() > cosine[~own].mean() + 0.1


def test_what_they_are_used_for_is_chosen_by_rows_held_out(tiny_encoder, small_corpus, monkeypatch):
    texts, labels = (part * 6 for part in small_corpus)
    free = {"ranker_label_documents": "auto", "cosine_weight": "auto"}
    held_out = use.validation_rows(len(texts), 0)
    assert len(held_out) == 27
    assert not len(use.validation_rows(399, 0))
    seen = []
    true = use.precision_at_k
    monkeypatch.setattr(use, "precision_at_k", lambda truth, ids, k: seen.append(true(truth, ids, k)) or seen[-1])
    model = fit(tiny_encoder, (texts, labels), frozen=True, **free)
    figures = np.mean(np.reshape(seen, (2, len(use._WEIGHTS), 3)), axis=2)
    best = np.unravel_index(np.argmax(figures), figures.shape)
    assert (model.ranker_.label_documents, model.cosine_weight_) == (bool(best[0]), use._WEIGHTS[best[1]])
    assert model.n_train_ == len(texts)  # the final rankers learn from all


def test_choosing_copies_no_embeddings():
    rng = np.random.default_rng(0)
    n, n_labels, d = 6000, 40, 256
    of_all = rng.normal(size=(n + n_labels, d)).astype(np.float32)
    of_all /= np.linalg.norm(of_all, axis=1, keepdims=True)
    Y = sp.csr_array((np.ones(n, np.float32), (np.arange(n), np.arange(n) % n_labels)))
    whole = FeatureMatrix.from_block(EMBEDDING, of_all)
    arguments = whole.part(0, n), Labels(Y), whole.part(n, n + n_labels), 300, "auto", "auto"
    settings = LinearSettings.of(XRLinear(), seed=0, n_threads=1)
    tracemalloc.start()
    use.tune_fusion_weight(settings, *arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5 * of_all.nbytes


def test_without_weight_nothing_is_kept(tiny_encoder, small_corpus, tmp_path):
    model = fit(tiny_encoder, small_corpus, frozen=True, ranker_label_documents=False, cosine_weight=0.0)
    plain = XRTransformer(encoder=f"frozen:{tiny_encoder}", cosine_weight=0.0, **FAST).fit(*small_corpus)
    assert model.label_embeddings_ is None
    model.save(tmp_path / "m")
    assert not list((tmp_path / "m").rglob("score_fusion.safetensors"))
    assert load(tmp_path / "m").cosine_weight_ == 0
    assert (model.predict_topk(ASKED)[0] == plain.predict_topk(ASKED)[0]).all()


def test_features_are_no_label_texts(tiny_encoder, small_corpus):
    model = XRTransformer(encoder=str(tiny_encoder), **FAST)
    with pytest.raises(InputTypeError, match="label_texts must be texts"):
        model.fit(*small_corpus, label_texts=sp.eye_array(17).tocsr()[: len(names_of(small_corpus[1]))])


@pytest.mark.parametrize("what", ["shape", "value", "missing"])
def test_damaged_embeddings(tiny_encoder, small_corpus, tmp_path, what):
    model = fit(tiny_encoder, small_corpus, frozen=True)
    model.save(tmp_path / "m")
    path = current_generation(tmp_path / "m") / "score_fusion.safetensors"
    damaged = {"shape": model.label_embeddings_[1:], "value": model.label_embeddings_ * np.nan}
    path.unlink()
    if what != "missing":
        write_tensors(path, {"embeddings": damaged[what]})
        reseal(tmp_path / "m")
    with pytest.raises(ModelFormatError, match="score_fusion"):
        load(tmp_path / "m")
