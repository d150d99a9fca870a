"""The trainer trains any objective, one that it has never seen too."""

import numpy as np
import pytest
import torch

from ceiba.encoders import load_encoder
from ceiba.finetuning.early_stopping import EarlyStopping
from ceiba.finetuning.objective import Objective
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.finetuning.trainer import Trainer


class TowardsTarget(Objective):
    """Move the embedding of each text towards a vector that is trained too."""

    def __init__(self, dim, trainer):
        super().__init__(torch.nn.Linear(dim, 1), 1)
        self.trainer, self.updates, self.parts = trainer, [], []

    @classmethod
    def from_level(cls, level, checkpoint):
        raise NotImplementedError

    def loss(self, embeddings, rows, batch):
        assert set(rows) <= set(batch)
        self.parts.append(len(rows))
        return -self.head(embeddings).sum()

    def update(self, rows, embeddings):
        self.updates.append((rows, embeddings, self.trainer.embeddings[rows].copy()))

    def optimizer(self, learning_rate):
        return torch.optim.SGD(self.head.parameters(), lr=learning_rate)


@pytest.mark.filterwarnings("ignore::ceiba.errors.CollapseWarning")
def test_a_new_objective_is_trained(tiny_encoder, small_corpus):
    encoder = load_encoder(tiny_encoder, precision="float32")
    tokens = encoder.tokenize(small_corpus[0])
    settings = FineTuningSettings(batch_size=10, learning_rate=1e-2, gradient_accumulation_steps=2)
    trainer = Trainer(encoder, tokens, settings, 18, seed=0)
    encoder.embed(tokens, out=trainer.embeddings)
    before = trainer.embeddings.copy()
    objective = TowardsTarget(encoder.dim, trainer)
    weight = objective.head.weight.detach().clone()
    report = trainer.run_level(1, objective, 18)
    assert report.loss[-1] < report.loss[0]
    assert not torch.equal(objective.head.weight, weight)
    assert not np.array_equal(trainer.embeddings, before)
    assert set(objective.parts) == {5}  # of 10 texts, in two parts
    assert len(objective.updates) == 18
    for number, (rows, new, old) in enumerate(objective.updates[:9]):  # the first epoch: each text once
        assert np.array_equal(rows, trainer.batch(number))
        assert np.array_equal(old, before[rows])  # `update` comes before the trainer stores the new embeddings
        assert not np.array_equal(new, old)
    assert set(objective.state()) == {"head.weight", "head.bias"}


def test_early_stopping_counts_evaluations_without_improvement():
    weight = torch.nn.Parameter(torch.zeros(2))
    stopping = EarlyStopping([weight], patience=2)
    stopping.restore_best()
    assert weight.tolist() == [0, 0]
    found = []
    for number, loss in enumerate([3.0, 4.0, 2.0, 2.0, 5.0]):
        with torch.no_grad():
            weight.fill_(number)
        found.append((stopping.step(loss), stopping.num_bad_evals))
    assert found == [(False, 0), (False, 1), (False, 0), (False, 1), (True, 2)]
    assert stopping.best_loss == pytest.approx(2.0)
    stopping.restore_best()
    assert weight.tolist() == [2, 2]
