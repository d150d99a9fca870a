"""Dropout from few random numbers: the shares, the scale, the gradients, and that seeds repeat it."""

import pytest
import torch
from torch import nn

from ceiba.encoders import load_encoder
from ceiba.encoders.dropout import Dropout, disable_attention_dropout, replace_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(400, 301), (7, 11, 13, 97)])
def test_shares_and_scale(p, shape):
    torch.manual_seed(0)
    ones = torch.ones(shape)
    found = Dropout(p).train()(ones)
    kept = found != 0
    n = ones.numel()
    assert abs(float(kept.float().mean()) - (1 - p)) < 5 * (p * (1 - p) / n) ** 0.5
    torch.testing.assert_close(found[kept], torch.full_like(found[kept], 1 / (1 - p)), rtol=2e-4, atol=0)
    # no position is favoured, and neighbours (of one draw) do not go together
    flat = kept.flatten()[: n // 4 * 4].view(-1, 4).float()
    assert (flat.mean(0) - (1 - p)).abs().max() < 5 * (p * (1 - p) / len(flat)) ** 0.5
    centred = flat - flat.mean(0)
    assert ((centred[:, 0] * centred[:, 1]).mean() / (p * (1 - p))).abs() < 5 / len(flat) ** 0.5


def test_gradients_are_those_of_what_was_kept():
    torch.manual_seed(1)
    x = torch.randn(50, 40, requires_grad=True)
    y = Dropout(0.25).train()(x)
    y.sum().backward()
    assert torch.equal(x.grad != 0, y != 0)
    torch.testing.assert_close(x.grad[x.grad != 0], (y / x)[y != 0].detach())


def test_a_seed_repeats_it_and_evaluation_leaves_it_out():
    module, x = Dropout(0.3), torch.ones(33, 5)
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(module.train()(x))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert module.eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    assert not Dropout(1.0).train()(x).any()
    assert Dropout(0.5).train()(torch.ones(0, 4)).shape == (0, 4)


def test_put_in_place_in_a_network(tiny_encoder):
    encoder = load_encoder(tiny_encoder, dropout=0.2)
    found = [module for module in encoder.network.modules() if isinstance(module, nn.Dropout)]
    assert {type(module) for module in found} == {Dropout}
    assert {module.p for module in found} == {0.0, 0.2}  # attention's, all others
    assert encoder.network.config.attention_probs_dropout_prob == 0
    assert set(encoder.network.state_dict()) == set(load_encoder(tiny_encoder).network.state_dict())
    network = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Dropout(0.4)), nn.AlphaDropout(0.4)).eval()
    replace_dropout(network)
    assert [type(network[1][0]), type(network[2])] == [Dropout, nn.AlphaDropout]
    assert network[1][0].p == 0.4
    assert not network[1][0].training


def test_only_attention_is_left_whole():
    class Config:
        attention_dropout, hidden_dropout, attn_pdrop = 0.1, 0.1, None

    config = Config()
    disable_attention_dropout(config)
    assert (config.attention_dropout, config.hidden_dropout, config.attn_pdrop) == (0.0, 0.1, None)
