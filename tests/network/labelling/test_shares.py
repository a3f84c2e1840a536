"""Shares of the multiply-accumulates that compute the channels of each group."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.network.obstacles import find_obstacles
from gnnrl.network.reasons import Kind
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from tests.topologies import TOPOLOGIES, images, traced


def shares(network: Network) -> dict[str, float]:
    return {group.name: group.macs_share for group in (*network.groups, *network.frozen) if group.macs_share}


def test_shares_by_hand() -> None:
    """chain: 3→8 at 8x8, 8→16 and 16→12 at 4x4, linear 12→5."""
    macs = {"0.0": 64 * 9 * 3 * 8, "2.0": 16 * 9 * 8 * 16, "4.0": 16 * 9 * 16 * 12, "5.linear": 12 * 5}

    assert shares(traced("chain").network) == pytest.approx({name: n / sum(macs.values()) for name, n in macs.items()})


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
def test_shares_add_up_to_all_multiply_accumulates(name: str) -> None:
    assert sum(shares(traced(name).network).values()) == pytest.approx(1)


class Factored(nn.Module):
    """A convolution whose weight is a product of two small matrices."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shape = outputs, inputs, 3, 3
        self.left, self.right = nn.Parameter(torch.randn(outputs, 2)), nn.Parameter(torch.randn(2, inputs * 9))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, (self.left @ self.right).view(self.shape), padding=1)


class Hidden(nn.Module):
    """A layer in a plain list, whose weights are not parameters of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Conv2d(3, 8, 1)]
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers[0](x))


def test_a_layer_with_a_computed_weight_has_its_share() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), Factored(4, 8), nn.Conv2d(8, 2, 1)).eval()

    found = shares(trace(model, images(size=4)))

    first, second, last, product = 16 * 3 * 4, 16 * 9 * 4 * 8, 16 * 8 * 2, 8 * 2 * 36 / 2
    total = first + second + last + product
    assert found == pytest.approx({"0": (first + product) / total, "1": second / total, "2": last / total})


def test_multiply_accumulates_of_no_layer_are_an_obstacle_with_advice() -> None:
    network = trace(Hidden().eval(), images(size=4))

    (obstacle,) = [each for each in find_obstacles(network) if each.kind == Kind.NO_LAYER.value]
    assert obstacle.macs_share == pytest.approx(3 * 8 / (3 * 8 + 8 * 2))
    assert "nn.ModuleList" in obstacle.remedy
