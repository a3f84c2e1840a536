"""Recurrent layers: hidden units of all gates, layers and directions go together; costs by hand."""

import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.reasons import Kind
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace

STEPS, INPUTS, HIDDEN = 5, 6, 8


class Reader(nn.Module):
    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0])


def read(layer: nn.Module, width: int = HIDDEN) -> Network:
    return trace(Reader(layer, width).eval(), torch.randn(2, STEPS, INPUTS))


def macs(network: Network) -> int:
    (operation,) = [operation for operation in network.operations if operation.name in ("lstm", "gru", "rnn_tanh")]
    return int(network.cost.macs_by_operation(network.widths, len(network.operations))[operation.index])


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_hidden_unit_has_a_row_for_each_gate(kind: type[nn.Module], gates: int) -> None:
    network = read(kind(INPUTS, HIDDEN, batch_first=True))
    (group,) = network.groups
    rows = {place.tensor: place.positions.size for place in group.places if place.dim == 0}

    assert group.size == HIDDEN
    assert rows == {f"layer.{name}_l0": gates * HIDDEN for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    assert macs(network) == STEPS * gates * HIDDEN * (INPUTS + HIDDEN)


def test_layers_and_directions_share_their_hidden_units() -> None:
    two = read(nn.GRU(INPUTS, HIDDEN, num_layers=2, batch_first=True))
    both = read(nn.GRU(INPUTS, HIDDEN, bidirectional=True, batch_first=True), 2 * HIDDEN)

    assert [group.size for group in two.groups] == [group.size for group in both.groups] == [HIDDEN]
    assert macs(two) == STEPS * 3 * HIDDEN * (INPUTS + HIDDEN) + STEPS * 3 * HIDDEN * (HIDDEN + HIDDEN)
    assert macs(both) == 2 * STEPS * 3 * HIDDEN * (INPUTS + HIDDEN)


def test_layers_with_a_projection_stay() -> None:
    network = read(nn.LSTM(INPUTS, HIDDEN, proj_size=5, batch_first=True), 5)

    assert not network.groups
    assert Kind.PROJECTED in {reason.kind for group in network.frozen for reason in group.reasons}
