"""A real Ray of this machine: the same bytes as in one process, and errors that come back."""

import pytest

from ceiba import HybridClassifier, XRLinear
from ceiba.cli.blocks import ModelPlace, rank_block
from ceiba.errors import ClusterError
from ceiba.executors import Piece

ray = pytest.importorskip("ray")


@pytest.mark.parametrize("n_trees", [1, 2, 3])
def test_trees_and_shards_have_the_same_bytes(ray_executor, make_problem, saved_bytes, n_trees):
    problem = make_problem(400, 80, 150)
    settings = {"n_trees": n_trees, "random_state": 0, "branching_factor": 4, "max_leaf_size": 8}
    alone = XRLinear(**settings).fit(problem.X, problem.Y)
    spread = XRLinear(**settings).fit(problem.X, problem.Y, executor=ray_executor)
    assert alone.fit_report_["work"] == spread.fit_report_["work"]
    assert saved_bytes(alone) == saved_bytes(spread)


def test_folds_and_sources_have_the_same_bytes(ray_executor, small_corpus, saved_bytes):
    texts, labels = small_corpus
    names = {label: f"the {label}" for row in labels for label in row} | {"tree house": "old tree"}
    alone, spread = (
        HybridClassifier(random_state=0).fit(texts, labels, label_texts=names, executor=executor)
        for executor in (None, ray_executor)
    )
    assert saved_bytes(alone) == saved_bytes(spread)


def test_an_error_of_a_worker_comes_back_as_it_was(ray_executor, tmp_path):
    shared = {"model": ModelPlace(str(tmp_path / "none"), ""), "source": "", "k": 1, "beam_size": None}
    pieces = [Piece("rows", {"rows": ["a"], "first": 0})]
    with pytest.raises(ClusterError, match="none"):
        list(ray_executor.map(rank_block, pieces, shared=shared, stage="predicting"))
