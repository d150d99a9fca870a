"""Fine-tuning by two workers of Ray Train: the model of one process, to rounding."""

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("torch")
pytest.importorskip("accelerate")

from ceiba import XRTransformer
from ceiba.errors import InputError

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("params", [{}, {"gradient_accumulation_steps": 2}])
def test_two_workers_are_one_process(ray_executor, tiny_encoder, small_corpus, params):
    texts, labels = small_corpus
    settings = {
        "encoder": str(tiny_encoder), "max_length": 16, "steps": [6, 6], "batch_size": 8, "matcher_leaf_size": 6,
        "matcher_branching_factor": 3, "learning_rate": 1e-3, "dropout": 0.0, "precision": "float32", "device": "cpu",
        "n_jobs": 1, **params,
    }  # fmt: skip
    alone = XRTransformer(**settings).fit(texts, labels)
    together = XRTransformer(**settings).fit(texts, labels, executor=ray_executor)
    np.testing.assert_allclose(together.encode(texts), alone.encode(texts), atol=1e-4)
    start = XRTransformer(**{**settings, "steps": [1, 1], "learning_rate": 1e-9}).fit(texts, labels)
    assert np.abs(start.encode(texts) - alone.encode(texts)).max() > 1e-2
    tops = [model.predict_topk(texts, 1)[0] for model in (alone, together)]
    assert (tops[0] == tops[1]).mean() > 0.95


def test_an_error_of_the_workers_comes_back(ray_executor, tiny_encoder, small_corpus):
    texts, labels = small_corpus
    with pytest.raises(InputError, match="rows"):
        XRTransformer(encoder=str(tiny_encoder)).fit(texts, labels[:-1], executor=ray_executor)
