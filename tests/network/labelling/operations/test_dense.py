"""Convolutions, linear layers and embeddings: which channels go together, and the multiply-accumulates by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from gnnrl.network.reasons import Kind
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from tests.network.labelling.operations.between import Case, check_removing, check_units
from tests.topologies import images


def between(layer: nn.Module, outputs: int) -> Network:
    """A layer that reads 8 channels of 4 x 4 positions."""
    return trace(nn.Sequential(nn.Conv2d(3, 8, 1), layer, nn.Conv2d(outputs, 3, 1)).eval(), images(size=4))


@pytest.mark.parametrize(
    ("layer", "outputs", "groups", "macs"),
    [
        (nn.Conv2d(8, 6, 3, padding=1), 6, {"0": 8, "1": 6}, 16 * 9 * 8 * 6),
        (nn.Conv2d(8, 6, 3, padding=1, stride=2), 6, {"0": 8, "1": 6}, 4 * 9 * 8 * 6),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), 8, {"0": 8}, 16 * 9 * 8),
        (nn.Conv2d(8, 16, 3, padding=1, groups=8), 16, {"0": 8}, 16 * 9 * 16),
        (nn.Conv2d(8, 8, 1, groups=4), 8, {"0": 4}, 16 * 8 * 2),
        (nn.Conv2d(8, 12, 1, groups=2), 12, {"0": 4, "1": 6}, 16 * 12 * 4),
        (nn.ConvTranspose2d(8, 6, 2, stride=2), 6, {"0": 8, "1": 6}, 16 * 4 * 8 * 6),
        (nn.ConvTranspose2d(8, 8, 2, stride=2, groups=8), 8, {"0": 8}, 16 * 4 * 8),
    ],
)
def test_convolutions(layer: nn.Module, outputs: int, groups: dict[str, int], macs: int) -> None:
    network = between(layer, outputs)

    assert {group.name: group.size for group in network.groups} == groups
    assert network.cost.macs_by_operation(network.widths, len(network.operations))[1] == macs


def test_a_linear_layer_costs_its_weights_at_every_token() -> None:
    network = trace(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 4)), torch.randn(2, 7, 6))

    assert [(group.name, group.size) for group in network.groups] == [("0", 8), ("1", 5)]
    assert network.cost.macs_by_operation(network.widths, 3).tolist() == [7 * 6 * 8, 7 * 8 * 5, 7 * 5 * 4]


def test_entries_of_an_embedding_stay_and_cost_nothing() -> None:
    network = trace(nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 4)), torch.randint(0, 11, (2, 5)))
    (group,) = network.groups

    assert [(place.tensor, place.dim) for place in group.places] == [("0.weight", 1), ("1.weight", 1)]
    assert network.cost.macs_by_operation(network.widths, 2).tolist() == [0, 5 * 8 * 4]


def test_a_layer_of_fixed_inputs_keeps_its_inputs() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.read(x)

    (inputs,) = [group for group in trace(Fixed(), torch.randn(2, 6)).frozen if group.size == 6]

    assert [reason.kind for reason in inputs.reasons] == [Kind.FIXED_INPUT]


FILLED = {
    "a blur": lambda x: F.conv2d(x, torch.ones(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1]),
    "a sum": lambda x: F.conv2d(x, torch.ones(x.shape[1], x.shape[1], 3, 3), padding=1),
    "a mixing of positions": lambda x: F.linear(x.movedim(1, 3), torch.full((x.shape[1],) * 2, 0.1)).movedim(3, 1),
    "a shifted sum": lambda x: deform_conv2d(
        x, torch.zeros(len(x), 18, 4, 4), torch.ones(x.shape[1], x.shape[1], 3, 3), padding=1
    ),
}


@pytest.mark.parametrize("name", FILLED)
def test_a_weight_that_is_filled_with_a_number_follows_its_input(name: str) -> None:
    case = Case(FILLED[name], 8)

    check_units(case)
    check_removing(case, 1)


def test_a_filled_weight_sums_channels_only_if_removed_ones_add_nothing() -> None:
    check_units(Case(lambda x: FILLED["a sum"](x.sigmoid()), 0, Kind.COUNTED))
