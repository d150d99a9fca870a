"""Probabilities and thresholds of a Transformer model, whose search parameters are its ranker's."""

import warnings

import numpy as np
import pytest

from ceiba import XRLinear, XRTransformer, load
from ceiba.errors import CollapseWarning

pytest.importorskip("transformers")

SMALL = {"max_length": 16, "epochs": 1.0, "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
SMALL |= {"device": "cpu", "ranker": XRLinear(n_trees=1, branching_factor=3, max_leaf_size=5)}


def test_learned_saved_and_forgotten_by_the_ranker(small_corpus, tmp_path):
    texts, labels = small_corpus
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        model = XRTransformer(encoder="static:16", n_jobs=1, **SMALL).fit(texts, labels)
    ranked = model.predict_topk(texts, 3)[0]
    assert not model.gives_probabilities
    model.calibrate(texts, labels).tune_thresholds(texts, labels, objective="macro_f1")
    same, p = model.predict_topk(texts, 3)
    assert (same == ranked).all()
    assert p.max() < 1
    assert model.predict_proba(texts, 3).data.max() == p.max()
    scores = model.decision_function(texts)
    assert model.predict(texts).nnz == (scores.data >= np.float32(model.thresholds_.threshold)).sum()
    assert model.predict_topk(texts[:2], 3, allowed=[labels[0][0]])[0].tolist() == [[labels[0][0], None, None]] * 2
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.gives_probabilities
    assert (again.predict_topk(texts, 3)[1] == p).all()
    assert (again.predict(texts) != model.predict(texts)).nnz == 0
    for ranker in (model.ranker_, again.ranker_):  # its scores are others
        assert ranker.thresholds_ is None
        assert ranker.calibrator_ is None
