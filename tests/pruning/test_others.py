"""A repair with images in parts is the repair with all images at once."""

import pytest
import torch
from torch import Tensor, nn

import gnnrl
from benchmarks.odd_networks import images as odd_images
from benchmarks.odd_networks import random_network
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.pruning.calibration import kept as kept_storages
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.reconstruction import REPAIRS, repair
from tests.pruning.calibration.streams import in_parts
from tests.topologies import traced

TOPOLOGIES = (
    "chain",
    "residual",
    "bottleneck",
    "projection_shortcut",
    "pre_activation",
    "dense_block",
    "depthwise",
    "squeeze_excitation",
    "layer_scale",
    "unet",
    "windows",
    "recurrent_cells",
)


def repaired(model: nn.Module, network: Network, x: Tensor, settings: str = "ls") -> dict[str, Tensor]:
    kept = [range(max(1, group.size // 2)) for group in network.groups]
    small = remove(model, network, kept)
    repair(small, network, kept, calibrate(model, [x], example_inputs=x[:2]), REPAIRS[settings])
    return small.state_dict()


def check_alike(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name, value in wanted.items():
        assert (found[name] - value).double().norm() <= 5e-4 * value.double().norm() + 1e-6, name


@pytest.mark.parametrize("settings", ["ls", "bn"])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_parts_give_the_weights_of_one_piece(name: str, settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = traced(name)
    torch.manual_seed(0)
    x = torch.randn(61, *case.example_inputs.shape[1:])
    whole = repaired(case.model, case.network, x, settings)
    in_parts(monkeypatch)

    check_alike(repaired(case.model, case.network, x, settings), whole)


@pytest.mark.parametrize("seed", [0, 2, 4, 6, 9])
def test_odd_networks_are_repaired_in_parts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = random_network(seed), odd_images(61, 5)
    network = gnnrl.trace(model, x[:2])
    whole = repaired(model, network, x)
    in_parts(monkeypatch)

    check_alike(repaired(model, network, x), whole)


def test_what_may_not_be_kept_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    case = traced("bottleneck")
    x = torch.randn(61, *case.example_inputs.shape[1:])
    in_parts(monkeypatch)
    found = repaired(case.model, case.network, x)
    monkeypatch.setattr(kept_storages, "LARGEST", 0.0)

    again = repaired(case.model, case.network, x)

    assert all(torch.equal(found[name], again[name]) for name in found)
