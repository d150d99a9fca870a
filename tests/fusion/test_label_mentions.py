"""How often training texts that name a label have it."""

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import TfidfVectorizer
from ceiba.features.matrix import as_features
from ceiba.fusion.label_mentions import LabelMentions
from ceiba.fusion.pair_measures import stem_columns
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.queries import Queries

TEXTS = [
    "history of glass",
    "history of the glass and the histories of sand",
    "sand, glass and history",
    "stained glass windows",
    "window of a church",
    "",
]
NAMES = ["history", "glass windows", "church", "sand dune", "stained glass", "glass"]
LABELS = [0, 1, 2, 3, 4, 4]  # the last label has two texts
RIGHT = [[0], [], [4], [1, 4], [2], []]


@pytest.fixture(scope="module")
def made():
    vectorizer = TfidfVectorizer()
    X = as_features(vectorizer.fit_transform([*TEXTS, *NAMES]))
    stems = stem_columns(vectorizer.get_feature_names_out().tolist())
    Y = np.zeros((len(TEXTS), 5), np.float32)
    for row, labels in enumerate(RIGHT):
        Y[row, labels] = 1
    n = len(TEXTS)
    words, rows = X.part(0, n), X.part(n, X.n_rows)
    return vectorizer, LabelMentions.of(words, sp.csr_array(Y), rows, np.array(LABELS, np.int32), stems)


def measured(made, text):
    vectorizer, measure = made
    Q = Queries(as_features(vectorizer.transform([text]), allow_empty=True))
    return measure.measure(Q, {}, np.array([0, 5]), np.arange(5, dtype=np.int32), ctx=SearchContext())


def test_mentions_are_texts_with_all_stems_of_one_of_a_labels_texts(made):
    mentions, right = [3, 1, 1, 0, 4], [1, 1, 1, 0, 2]
    columns = measured(made, "nothing that is known")
    np.testing.assert_allclose(np.exp(columns[:, 1]) - 1, mentions, atol=1e-4)
    np.testing.assert_allclose(np.exp(columns[:, 2]), (np.array(right) + 0.2) / (np.array(mentions) + 2), rtol=1e-5)
    assert (columns[:, [0, 3, 4]] == 0).all()


def test_what_is_known_counts_once_more_where_the_text_names_the_label(made):
    columns = measured(made, "A window of glass")
    named = np.array([False, True, False, False, True])
    assert ((columns[:, 0] > 0.999) == named).all()
    np.testing.assert_array_equal(columns[:, 3:], columns[:, 1:3] * named[:, None])
    assert 0 < measured(made, "sand")[3, 0] < 1


def test_counts_do_not_depend_on_the_order_of_texts(made):
    vectorizer, _ = made
    order = np.array([3, 1, 5, 0, 4, 2])
    X = as_features(vectorizer.transform([*(TEXTS[i] for i in order), *NAMES]))
    Y = np.zeros((len(TEXTS), 5), np.float32)
    for row, i in enumerate(order):
        Y[row, RIGHT[i]] = 1
    stems = stem_columns(vectorizer.get_feature_names_out().tolist())
    words, rows = X.part(0, len(TEXTS)), X.part(len(TEXTS), X.n_rows)
    again = LabelMentions.of(words, sp.csr_array(Y), rows, np.array(LABELS, np.int32), stems)
    np.testing.assert_array_equal(measured(made, "stained glass"), measured((vectorizer, again), "stained glass"))
