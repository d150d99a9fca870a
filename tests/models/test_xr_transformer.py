"""XRTransformer and XTransformer from texts to answers, on disk, on the command line, and given bad input."""

import shutil
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from tests.model_folders import change_manifest, read_json

from ceiba import TfidfVectorizer, XRLinear, XRTransformer, XTransformer, load
from ceiba.errors import CollapseWarning, InputError, InputTypeError, MissingExtraError, ModelFormatError
from ceiba.io import current_generation

FAST = {"max_length": 16, "epochs": 3.0, "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
FAST |= {"learning_rate": 3e-3, "head_learning_rate": 1e-2, "device": "cpu", "n_jobs": 1}
FAST |= {"ranker": XRLinear(n_trees=2, branching_factor=3, max_leaf_size=5, weight_threshold=0.01)}
ASKED = ["the old red apple", "a new green tree", ""]


def fit(encoder, corpus, *features, model=XRTransformer, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return model(encoder=str(encoder), **{**FAST, **params}).fit(*corpus, *features)


@pytest.fixture(scope="module")
def model(tiny_encoder, small_corpus):
    return fit(tiny_encoder, small_corpus)


@pytest.fixture(params=["whole", "x", "frozen", "dense", "pair"])
def any_model(request, tiny_encoder, small_corpus):
    """Return a model and the arguments that stand for the texts asked."""
    if request.param == "pair":
        X = TfidfVectorizer().fit(small_corpus[0])
        return fit(tiny_encoder, small_corpus, X.transform(small_corpus[0])), (ASKED, X.transform(ASKED))
    params = {"x": {"model": XTransformer}, "dense": {"vectorizer": None}}.get(request.param, {})
    encoder = f"frozen:{tiny_encoder}" if request.param == "frozen" else tiny_encoder
    return fit(encoder, small_corpus, **params), ASKED


def test_learns(model, small_corpus):
    texts, labels = small_corpus
    assert model.score(texts, labels) > 0.95
    top, scores = model.predict_topk(["the old red apple"], k=3)
    assert set(top[0]) == {"old", "apple", "red apple"}
    assert (np.diff(scores[0]) <= 0).all()


def test_labels_stand_in_several_clusters(tiny_encoder, small_corpus, tmp_path):
    frozen = f"frozen:{tiny_encoder}"
    plain = fit(frozen, small_corpus)
    several = fit(frozen, small_corpus, overlap=2, overlap_capacity=3.0)
    assert plain.trees_[0].overlap == 1
    assert several.trees_[0].overlap == several.ranker_.overlap == 2
    ranker = clone(FAST["ranker"]).set_params(overlap=2, overlap_capacity=3.0)
    by_template = fit(frozen, small_corpus, ranker=ranker)  # its own, where the model says nothing
    assert [tree == other for tree, other in zip(several.trees_, by_template.trees_, strict=True)] == [True, True]
    several.save(tmp_path / "model")
    found = load(tmp_path / "model")
    assert found.overlap == 2
    assert found.predict_topk(ASKED, 3)[0].tolist() == several.predict_topk(ASKED, 3)[0].tolist()
    with pytest.raises(InputError, match=r"'overlap_capacity'.*XRTransformer"):
        fit(frozen, small_corpus, overlap=2, overlap_capacity=-1.0)


def test_what_rankers_learn_from_is_said_of_the_model(tiny_encoder, small_corpus):
    with pytest.raises(InputError, match="ranker_label_documents"):
        fit(tiny_encoder, small_corpus, ranker=XRLinear(label_documents=True))


def test_every_answer(any_model):
    model, X = any_model
    L = len(model.classes_)
    labels, scores = model.predict_topk(X, k=4)
    assert labels.shape == scores.shape == (3, 4)
    assert model.decision_function(X).shape == model.predict(X).shape == (3, L)
    given = model.score_labels(X, [["old"], ["tree", "old"], []])
    assert [len(row) for row in given] == [1, 2, 0]
    one = (X[0][:1], X[1][:1]) if isinstance(X, tuple) else X[:1]
    assert "level 1" in str(model.explain(one, labels[0, 0]))
    clusters, matched = model.match(X, k=2)
    assert clusters.shape == matched.shape == (3, 2)
    assert (clusters[:, 0] >= 0).all()
    embeddings = model.encode(ASKED)
    assert embeddings.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_cosines_to_mean_embeddings_count(tiny_encoder, small_corpus):
    (texts, labels), frozen = small_corpus, f"frozen:{tiny_encoder}"
    plain, both = (fit(frozen, small_corpus, cosine_weight=weight, ranker=XRLinear()) for weight in (0.0, 0.25))
    assert fit(frozen, small_corpus).cosine_weight_ == 0.1
    assert fit(tiny_encoder, small_corpus).cosine_weight_ == 0.25
    assert plain.label_embeddings_ is None
    embeddings = both.encode(texts)
    own = [embeddings[[label in row for row in labels]].sum(axis=0) for label in both.classes_]
    np.testing.assert_allclose(both.label_embeddings_, [mean / np.linalg.norm(mean) for mean in own], atol=1e-5)
    label = both.predict_topk(ASKED[:1], k=1)[0][0, 0]
    given = [model.score_labels(ASKED[:1], [[label]])[0][0] for model in (plain, both)]
    explained = both.explain(ASKED[:1], label)
    assert explained.score == pytest.approx(given[0], rel=1e-5)
    assert given[1] == pytest.approx((explained.score + 0.25 * explained.cosine) / 1.25, rel=1e-5)
    assert f"cosine {explained.cosine:.4f} of weight 0.25" in str(explained)
    assert "cosine" not in str(plain.explain(ASKED[:1], label))


def test_saved_and_loaded_is_the_same(any_model, tmp_path):
    model, X = any_model
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert type(again) is type(model)
    for mine, theirs in zip(model.predict_topk(X), again.predict_topk(X), strict=True):
        assert (mine == theirs).all()
    assert (again.encode(ASKED) == model.encode(ASKED)).all()
    assert not [path for path in (tmp_path / "m").rglob("*") if path.suffix in (".bin", ".pkl", ".pt")]
    again.save(tmp_path / "m")  # over itself
    assert (load(tmp_path / "m").predict_topk(X)[1] == model.predict_topk(X)[1]).all()


def test_own_parts_come_back(tiny_encoder, small_corpus, tmp_path):
    ranker, vectorizer = XRLinear(C=2.0, max_leaf_size=5), TfidfVectorizer(word_ngrams=(1, 2))
    model = fit(tiny_encoder, small_corpus, ranker=ranker, vectorizer=vectorizer, random_state=7)
    assert not hasattr(ranker, "partitions_")
    assert (model.ranker_.C, model.ranker_.random_state, model.ranker_.n_jobs) == (2.0, 7, 1)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert (again.ranker.C, again.vectorizer.word_ngrams) == (2.0, (1, 2))
    assert (again.random_state, again.ranker_.max_leaf_size) == (7, 5)


def test_any_damage_names_the_file(model, tmp_path):
    model.save(tmp_path / "m")
    for name in ("encoder/model.safetensors", "encoder/tokenizer.json", "tree-0.safetensors"):
        path = current_generation(tmp_path / "m") / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ModelFormatError, match=path.name):
            load(tmp_path / "m")
        path.write_bytes(content)
    load(tmp_path / "m")


def test_manifest_cannot_point_outside(model, tmp_path):
    model.save(tmp_path / "m")
    (tmp_path / "m" / "other").write_text("")
    files = read_json(current_generation(tmp_path / "m") / "model.json")["files"]
    change_manifest(tmp_path / "m", files={**files, "../other": files["encoder/tokenizer.json"]})
    with pytest.raises(ModelFormatError, match="other"):
        load(tmp_path / "m")


def test_no_texts_and_one(model):
    assert model.predict_topk([], k=2)[0].shape == (0, 2)
    alone = model.predict_topk(ASKED[:1])[1]
    np.testing.assert_allclose(alone, model.predict_topk(ASKED)[1][:1], atol=2e-2)


def test_clone_and_params(tiny_encoder):
    model = XRTransformer(encoder=str(tiny_encoder), ranker=XRLinear(C=3.0), steps=[1, 2])
    copy = clone(model)
    assert copy.get_params()["ranker__C"] == 3.0
    assert copy.set_params(ranker__C=4.0, epochs=2.0).ranker.C == 4.0
    assert clone(XTransformer(epochs=5.0)).epochs == 5.0


def test_progress_tells_loss_and_speed(tiny_encoder, small_corpus):
    class Progress:
        def __init__(self):
            self.stages, self.notes = [], []

        def __call__(self, stage, done, total):
            assert 0 <= done <= total
            self.stages.append(stage)

        def note(self, words):
            self.notes.append(words)

    progress = Progress()
    XRTransformer(encoder=str(tiny_encoder), **FAST, steps=[2, 2, 4]).fit(*small_corpus, progress=progress)
    assert {"tokens", "fine-tuning, level 1/3", "fine-tuning, level 3/3", "embeddings"} <= set(progress.stages)
    assert all("loss" in note and "texts/s" in note for note in progress.notes)


TEXTS, LABELS = ["the red apple", "a car", "old tree"], [["a"], ["b"], ["a", "c"]]


@pytest.mark.parametrize(
    ("params", "texts", "labels", "message"),
    [
        ({}, "the red apple", LABELS, "single str"),
        ({}, ["a", 5, "b"], LABELS, "row 1: expected a str, found int"),
        ({}, ["a", None, "b"], LABELS, "row 1: expected a str"),
        ({}, 7, LABELS, "texts must be"),
        ({}, sp.csr_array(np.eye(3)), LABELS, "not features"),
        ({}, TEXTS[:2], LABELS, "Y has 3 rows, X has 2"),
        ({}, TEXTS, [[], [], []], "no labels"),
        ({}, TEXTS, None, "requires y"),
        ({"encoder": "./nowhere"}, TEXTS, LABELS, "not a folder"),
        ({"encoder": "frozen:./nowhere"}, TEXTS, LABELS, "not a folder"),
        ({"encoder": __file__}, TEXTS, LABELS, "not a folder"),
        ({"encoder": "static:256", "pooling": "last"}, TEXTS, LABELS, "no order of tokens"),
        ({"encoder": "static", "device": "cuda:99"}, TEXTS, LABELS, "CUDA"),
        ({"device": "warp drive"}, TEXTS, LABELS, "device must be"),
        ({"max_length": 99}, TEXTS, LABELS, "at most 32"),
        ({"device": "cuda:99"}, TEXTS, LABELS, "CUDA"),
        ({"epochs": 0}, TEXTS, LABELS, "'epochs' parameter of XRTransformer"),
        ({"steps": [1, 2, 3, 4, 5]}, TEXTS, LABELS, "steps has 5 numbers"),
        ({"ranker": "x"}, TEXTS, LABELS, "'ranker' parameter"),
        ({"ranker": XRLinear(C=-1)}, TEXTS, LABELS, "'C' parameter of XRLinear"),
        ({"ranker": XRLinear(label_embedding="text")}, TEXTS, LABELS, "label_embedding"),
        ({"finetuning_negatives": "all"}, TEXTS, LABELS, "'finetuning_negatives' parameter"),
    ],
)
def test_bad_input(tiny_encoder, params, texts, labels, message):
    with pytest.raises((InputError, InputTypeError), match=message):
        XRTransformer(**{"encoder": str(tiny_encoder), **FAST, **params}).fit(texts, labels)


def test_features_of_another_length(tiny_encoder):
    with pytest.raises(InputError, match="features has 2 rows"):
        XRTransformer(encoder=str(tiny_encoder)).fit(TEXTS, LABELS, np.eye(2))


def test_pair_is_asked_for(any_model):
    model, X = any_model
    if isinstance(X, tuple):
        with pytest.raises(InputError, match=r"a pair \(texts, X\)"):
            model.predict_topk(ASKED)
        with pytest.raises(InputError, match="rows"):
            model.predict_topk((ASKED[:2], X[1]))
    else:
        with pytest.raises(InputError, match="without features"):
            model.predict_topk((ASKED, np.eye(3)))


@pytest.mark.parametrize("problem", ["no config", "junk", "unknown kind", "no tokenizer", "no weights"])
def test_wrong_encoder_folder(tiny_encoder, tmp_path, problem):
    folder = tmp_path / "e"
    shutil.copytree(tiny_encoder, folder)
    if problem == "no config":
        (folder / "config.json").unlink()
    elif problem == "junk":
        (folder / "config.json").write_text("{")
    elif problem == "unknown kind":
        (folder / "config.json").write_text('{"model_type": "no such model"}')
    elif problem == "no tokenizer":
        for path in (*folder.glob("tokenizer*"), *folder.glob("vocab*")):
            path.unlink()
    else:
        (folder / "model.safetensors").unlink()
    model = XRTransformer(encoder=str(folder), **FAST)
    with pytest.raises(InputError, match="tokenizer" if problem == "no tokenizer" else "^encoder: ") as raised:
        model.fit(TEXTS, LABELS)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_no_cuda_when_asked_for(tiny_encoder):
    with pytest.raises(InputError, match="device='cuda'"):
        XRTransformer(encoder=str(tiny_encoder), **{**FAST, "device": "cuda"}).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("package", "extra", "params"),
    [
        ("torch", "transformer", {}),
        ("transformers", "transformer", {}),
        ("peft", "lora", {"lora_rank": 2}),
        ("accelerate", "distributed", {}),
    ],
)
def test_without_the_extra(monkeypatch, package, extra, params):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ImportError(name=name)
        return real(name, *args, **kwargs)

    if package == "accelerate":
        monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*pip install 'ceiba\[{extra}\]'"):
        XRTransformer(encoder="static", **params).fit(TEXTS, LABELS)


def test_without_sparse_features_the_matchers_tree_is_of_embeddings(tiny_encoder, small_corpus, monkeypatch):
    from ceiba.models import transformer_recipe

    seen = []
    pifa = transformer_recipe.pifa
    monkeypatch.setattr(transformer_recipe, "pifa", lambda X, *args, **kw: seen.append(X) or pifa(X, *args, **kw))
    fit(tiny_encoder, small_corpus, vectorizer=None)
    assert seen[0].dense is not None
    assert seen[0].dense.shape == (90, 16)


@pytest.mark.parametrize("text", ["\ud800", "the old \udfff car", "naïve \udc80"])
@pytest.mark.parametrize("place", ["texts", "label_texts", "predict", "encode"])
def test_lone_surrogates_are_named_before_work(model, tiny_encoder, small_corpus, text, place):
    texts, labels = small_corpus
    names = sorted({label for row in labels for label in row})
    new = XRTransformer(encoder="nowhere/to-be-found")
    ask = {
        "texts": lambda: new.fit([*texts[:2], text, *texts[3:]], labels),
        "label_texts": lambda: new.fit(texts, labels, label_texts=[*names[:2], text, *names[3:]]),
        "predict": lambda: model.predict_topk(["the", "old", text]),
        "encode": lambda: model.encode(["the", "old", text]),
    }
    with pytest.raises(InputError, match=r"row 2: .*surrogate") as caught:
        ask[place]()
    assert ("label_texts" if place == "label_texts" else "texts") in str(caught.value)


def test_pairs_of_surrogates_are_no_fault(model):
    assert model.predict_topk(["🙂 the old car"], 1)[0].shape == (1, 1)
