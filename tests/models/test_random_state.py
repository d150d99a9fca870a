"""`random_state` as scikit-learn has it: an int, None, or a source of random numbers."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from ceiba import XRLinear, XRTransformer, load
from ceiba.errors import CollapseWarning, InputError

SMALL = {"n_jobs": 1, "branching_factor": 2, "max_leaf_size": 4}


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(120, 40, 40)


def trees_of(problem, random_state):
    return XRLinear(random_state=random_state, **SMALL).fit(problem.X, problem.Y).trees_


def test_none_is_another_model_each_time(problem):
    found = [trees_of(problem, None) for _ in range(4)]
    assert any(trees != found[0] for trees in found[1:])


def test_none_follows_the_global_seed(problem):
    found = []
    for _ in range(2):
        np.random.seed(3)  # noqa: NPY002
        found.append(trees_of(problem, None))
    assert found[0] == found[1]


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_sources_of_random_numbers(problem, make, tmp_path):
    assert trees_of(problem, make(5)) == trees_of(problem, make(5))
    source = make(5)
    model = XRLinear(random_state=source, **SMALL).fit(problem.X, problem.Y)
    assert model.random_state is source
    first = model.trees_
    assert model.fit(problem.X, problem.Y).trees_ != first  # the source has moved on
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.random_state is None
    assert loaded.trees_ == model.trees_
    clone(loaded).fit(problem.X, problem.Y)


def test_an_int_means_what_it_did(problem):
    assert trees_of(problem, 0) == trees_of(problem, np.int64(0)) == XRLinear(**SMALL).fit(problem.X, problem.Y).trees_
    assert trees_of(problem, 0) != trees_of(problem, 1)


@pytest.mark.parametrize("value", [-1, 2**32, 0.5, "none", True, np.random])
def test_what_is_no_random_state(problem, value):
    with pytest.raises(InputError, match="'random_state' parameter"):
        trees_of(problem, value)


@pytest.mark.parametrize("make", [lambda: None, lambda: np.random.RandomState(0)])
@pytest.mark.parametrize("prefix", ["", "frozen:"])
def test_models_with_an_encoder(tiny_encoder, small_corpus, tmp_path, make, prefix):
    pytest.importorskip("torch")
    texts, labels = small_corpus
    model = XRTransformer(
        encoder=f"{prefix}{tiny_encoder}", max_length=16, random_state=make(),
        steps=2, batch_size=4, device="cpu", n_jobs=1,
        checkpoint_dir=str(tmp_path / "checkpoints"), ranker_label_documents=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        model.fit(texts, labels, label_texts=dict.fromkeys({label for row in labels for label in row}, "a text"))
    model.save(tmp_path / "model")
    scores = load(tmp_path / "model").predict_topk(texts[:3])[1]
    assert np.isfinite(scores).any()
