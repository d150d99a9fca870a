"""Labels without a training text: the fusion meets such labels while it learns."""

import random

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import HybridClassifier
from ceiba.data.label_matrix import Labels
from ceiba.models.hybrid.unseen_labels import MAX_SHARE, hide_labels

N_LABELS = 40


@pytest.fixture
def folds():
    """Labels of training rows and of rows held out: each of the first 30 of 40 labels has many of both."""
    rng = np.random.default_rng(0)
    of_rows = [np.sort(rng.choice(30, 2, replace=False)) for _ in range(400)]
    ptr, columns = np.arange(0, 801, 2), np.concatenate(of_rows)
    Y = sp.csr_array((np.ones(800, np.float32), columns, ptr), shape=(400, N_LABELS))
    return Labels(Y[:300]), Labels(Y[300:])


def hidden_by(folds, counts, texts=None, seed=0):
    trained_on, held_out = folds
    texts = np.ones(N_LABELS, bool) if texts is None else texts
    left = hide_labels(trained_on, held_out, counts, texts, seed)
    return np.flatnonzero((trained_on.counts > 0) & (left.counts == 0)), left


def all_counts(folds):
    return folds[0].counts + folds[1].counts


def test_hidden_labels_have_a_share_of_the_positives(folds):
    hidden, left = hidden_by(folds, all_counts(folds))
    share = folds[1].counts[hidden].sum() / folds[1].counts.sum()
    assert 0.6 * MAX_SHARE <= share <= MAX_SHARE  # a quarter of the labels lacks training texts, so the most is hidden
    others = np.setdiff1d(np.arange(N_LABELS), hidden)
    assert (left.by_row[:, others] != folds[0].by_row[:, others]).nnz == 0
    assert left.n_rows == folds[0].n_rows


def test_nothing_is_hidden_where_every_label_has_training_texts(folds):
    hidden, left = hidden_by(folds, np.maximum(all_counts(folds), 1))
    assert not len(hidden)
    assert left is folds[0]


def test_nothing_is_hidden_where_such_labels_are_met_anyway(folds):
    trained_on, held_out = folds
    rare = np.arange(10)
    Y = trained_on.by_row.tolil()
    Y[:, rare] = 0
    hidden, _ = hidden_by((Labels(sp.csr_array(Y)), held_out), all_counts(folds))
    assert not len(hidden)


def test_labels_without_a_text_are_not_hidden(folds):
    texts = np.arange(N_LABELS) >= 20
    hidden, _ = hidden_by(folds, all_counts(folds), texts)
    assert len(hidden)
    assert texts[hidden].all()


def test_a_seed_chooses(folds):
    counts = all_counts(folds)
    first, again, other = (hidden_by(folds, counts, seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_label_of_a_text_wins_among_frequent_ones():
    rng = random.Random(0)
    things = ["boots", "sandals", "kettle", "blender", "rake", "mower", "racket", "helmet", "jeans", "jumper"]
    names = {f"{colour} {thing}": f"{colour} {thing}" for thing in things for colour in ("red", "blue", "green")}
    new = rng.sample(sorted(names), 6)
    known = sorted(set(names) - set(new))
    extra = ["cheap", "new", "light", "best", "small"]

    def query(name):
        words = [*name.split(), *rng.sample(extra, rng.randint(0, 2))]
        rng.shuffle(words)
        return " ".join(words)

    right = [rng.choice(known) for _ in range(600)]
    model = HybridClassifier(random_state=0).fit(
        [query(name) for name in right], [[name] for name in right], label_texts=names
    )
    asked = [rng.choice(new) for _ in range(60)]
    top, _ = model.predict_topk([query(name) for name in asked], k=1)
    assert np.mean(top[:, 0] == asked) > 0.9
