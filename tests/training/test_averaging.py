import pytest
import torch
from torch import nn

from gnnrl.training.averaging import Average
from tests.training.pictures import network, tuned, weights


def test_an_average_follows_its_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = Average(model, 0.5)
    expected = 0.0
    for step in range(1, 6):
        torch.nn.init.constant_(model.weight, float(step))
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert float(average.state["weight"]) == pytest.approx(expected)


def test_an_average_of_weights_that_do_not_change_is_these_weights() -> None:
    model = network()
    average = Average(model, 0.9)
    for _ in range(3):
        average.update(model)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(average.state[name], tensor)


def test_the_network_is_given_its_average() -> None:
    plain, _ = tuned()
    averaged, _ = tuned(ema=0.9)
    assert weights(plain) != weights(averaged)
    assert averaged.state_dict()["1.num_batches_tracked"] == plain.state_dict()["1.num_batches_tracked"]
