"""Multiply-accumulates of a forward pass, counted and by hand."""

import torch
from torch import Tensor, nn

from gnnrl.pruning.counting import count_macs, run
from tests.topologies import images, traced


def test_counted_by_hand() -> None:
    """Of the whole batch: 2 images, 3→8 at 8x8, 8→16 and 16→12 at 4x4, linear 12→5."""
    case = traced("chain")
    macs = 64 * 9 * 3 * 8 + 16 * 9 * 8 * 16 + 16 * 9 * 16 * 12 + 12 * 5

    assert count_macs(case.model, case.example_inputs) == 2 * macs


def test_recurrent_layers_are_counted_gate_by_gate() -> None:
    """5 steps of 4 gates of 8 units that read 6 inputs and 8 outputs of the step before."""
    lstm = nn.LSTM(6, 8, batch_first=True).eval()

    assert count_macs(lstm, torch.randn(1, 5, 6)) == 5 * 4 * 8 * (6 + 8)


def test_an_equation_that_sums_over_one_channel_is_counted() -> None:
    class Equation(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.einsum("nck,ncl->nkl", x, y)

    for channels in (1, 3):
        inputs = torch.randn(2, channels, 4), torch.randn(2, channels, 5)
        assert count_macs(Equation(), inputs) == 2 * channels * 4 * 5


def test_counting_leaves_gradients_and_modes_as_they_were() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout()).train()
    model[0].bias.requires_grad_(False)
    count_macs(model, images())

    assert [parameter.requires_grad for parameter in model.parameters()] == [True, False]
    assert all(module.training for module in model.modules())


def test_a_network_that_draws_random_numbers_draws_the_same_each_time() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            return x + torch.randn_like(x), {"noise": torch.rand(2)}

    inputs = images()
    before = torch.get_rng_state()
    first, second, other = (run(Noisy(), inputs, seed) for seed in (1, 1, 2))

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[1], other[1])
    assert torch.equal(before, torch.get_rng_state())
