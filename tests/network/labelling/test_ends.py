"""Operations at the end of a network, which keep the channels of its outputs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.reasons import Kind
from gnnrl.network.tracing.tracer import trace
from tests.topologies import Module, images

ENDS: dict[str, tuple[Callable[[Tensor, Tensor], object], Kind]] = {
    "added input": (lambda x, y: x + y, Kind.OUTPUT),
    "probabilities": (lambda x, y: {"classes": y.flatten(2).softmax(1).permute(0, 2, 1)}, Kind.OUTPUT),
    "two outputs": (lambda x, y: (y * x, (y * x).relu()), Kind.OUTPUT),
    "a sum of the product, too": (lambda x, y: (z := y * x, z.sum(1)), Kind.FIXED_OPERAND),
    "a sum of channels": (lambda x, y: y.softmax(1).sum(1), Kind.TAKEN_OVER),
}


@pytest.mark.parametrize("name", ENDS)
def test_channels_that_become_outputs_are_outputs_and_no_obstacles(name: str) -> None:
    end, kind = ENDS[name]
    layers = {"first": nn.Conv2d(3, 8, 3, padding=1), "last": nn.Conv2d(8, 3, 3, padding=1)}
    network = trace(Module(lambda m, x: end(x, m.last(torch.relu(m.first(x)))), **layers), images())

    assert [group.name for group in network.groups] == ["first"]
    (last,) = (group for group in network.frozen if group.name == "last")
    assert last.reasons[0].kind is kind
