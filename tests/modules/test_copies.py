"""Torch's old `weight_norm` and `spectral_norm` keep a computed weight, which `deepcopy` refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import gnnrl
from gnnrl.pruning.pruner import prune

NORMS = [torch.nn.utils.weight_norm, torch.nn.utils.spectral_norm]

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")


def build(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    body = [norm(nn.Conv2d(3, 8, 3)), nn.ReLU(), norm(nn.ConvTranspose2d(8, 10, 2, 2)), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), norm(nn.Linear(10, 4)))


@pytest.mark.parametrize("norm", [torch.nn.utils.spectral_norm, torch.nn.utils.parametrizations.spectral_norm])
def test_the_spectral_norm_of_what_is_left_is_one(norm: Callable[[nn.Module], nn.Module]) -> None:
    model, x = build(norm), torch.randn(4, 3, 8, 8)
    for _ in range(50):
        model(x)

    small = prune(model, x, gnnrl.Plan.uniform(gnnrl.trace(model, x), "macs<=60%")).eval()

    with torch.no_grad():
        small(x)
        weights = [small[0].weight.flatten(1), small[2].weight.transpose(0, 1).flatten(1), small[6].weight]
    for weight in weights:
        assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("norm", NORMS)
def test_a_network_in_the_middle_of_its_training_is_pruned_saved_and_loaded(
    norm: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    model, x = build(norm), torch.randn(4, 3, 8, 8)
    model(x).sum().backward()

    network = gnnrl.trace(model, x)
    small = prune(model, x, gnnrl.Plan.uniform(network, "macs<=60%"))
    assert {group.name for group in network.groups} == {"0", "2"}
    assert small[0].out_channels == len(small[0].weight) < 8

    result = gnnrl.compress(
        model,
        x,
        "macs<=60%",
        evaluate=lambda small: -float(small(x).detach().std()),
        calibration=[x],
        searcher="curves",
    )
    result.save(tmp_path / "small")
    fresh = build(norm)
    fresh(x)
    loaded = gnnrl.load(fresh, tmp_path / "small")
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(x), result.model.eval()(x))
    loaded.train()(x).sum().backward()
