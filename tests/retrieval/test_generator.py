"""What candidate generators are asked with: parts of rows, and rankings as rows of one width."""

import numpy as np
import scipy.sparse as sp

from ceiba.features.matrix import as_features
from ceiba.retrieval.generator import CandidateGenerator, Evidence, SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.ranked import Ranked


class Counter(CandidateGenerator):
    """Finds label i for row i, and no more."""

    name = "counter"

    def candidates(self, Q, n, *, ctx):
        return Ranked(np.arange(Q.n_rows + 1), np.arange(Q.n_rows, dtype=np.int32), np.ones(Q.n_rows, np.float32))

    def score(self, Q, ptr, labels, *, ctx):
        return np.ones(len(labels), np.float32)

    def explain(self, Q, label, *, ctx):
        return Evidence(self.name, 1.0)


def queries():
    X = as_features(sp.csr_array(np.arange(12, dtype=np.float32).reshape(4, 3)))
    return Queries(X, ["a", "b", "c", "d"])


def test_a_part_of_queries_has_their_rows():
    part = queries().part(1, 3)
    assert part.n_rows == 2
    assert list(part.texts) == ["b", "c"]
    np.testing.assert_array_equal(part.features.to_scipy().toarray(), [[3, 4, 5], [6, 7, 8]])
    assert Queries(queries().features).part(0, 2).texts is None


def test_a_part_of_a_context_has_the_rows_pairs():
    pairs = np.array([0, 2, 2, 3, 5]), np.array([1, 2, 0, 1, 3], np.int32)
    ctx = SearchContext(beam_size=3, denied=pairs, progress=print).part(2, 4)
    assert ctx.beam_size == 3
    assert ctx.progress is None
    assert ctx.allowed is None
    assert [array.tolist() for array in ctx.denied] == [[0, 1, 3], [0, 1, 3]]


def test_logarithms_follow_from_the_combine_function():
    assert SearchContext(combine="log-sigmoid").logarithms
    assert not SearchContext().logarithms


def test_a_generator_ranks_by_its_candidates():
    ids, scores = Counter().rank(queries(), 2, ctx=SearchContext())
    assert ids.tolist() == [[0, -1], [1, -1], [2, -1], [3, -1]]
    assert scores[:, 0].tolist() == [1.0] * 4
    assert np.isneginf(scores[:, 1]).all()
