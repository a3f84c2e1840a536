"""Regions under another mode: what they hold is read as if it stood in the code without the mode."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.cost import measure
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.verification import verify
from tests.topologies import Head, conv, images

MODES: dict[str, Any] = {
    "autocast": lambda: torch.autocast("cpu", enabled=False),
    "gradients": torch.enable_grad,
    "no gradients": torch.no_grad,
    "nothing": nullcontext,
}


class Guarded(nn.Module):
    """A block under a mode, with another mode inside, two results and a cut, between plain layers."""

    def __init__(self, outer: str, inner: str) -> None:
        super().__init__()
        self.stem, self.a, self.b = conv(3, 8), conv(8, 12), conv(6, 8)
        self.head, self.modes = Head(8), (outer, inner)

    def _mode(self, position: int) -> AbstractContextManager[Any]:
        mode: AbstractContextManager[Any] = MODES[self.modes[position]]()
        return mode

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        with self._mode(0):
            low, high = self.a(x).chunk(2, 1)
            with self._mode(1):
                y = self.b(low * high)
            z = y.relu()
        return self.head(x + y + z)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [("autocast", "nothing"), ("gradients", "nothing"), ("no gradients", "autocast"), ("autocast", "gradients")],
)
def test_a_region_is_read_as_what_it_holds(outer: str, inner: str) -> None:
    plain, network = (trace(Guarded(*modes).eval(), images()) for modes in (("nothing", "nothing"), (outer, inner)))

    assert [(group.name, group.size) for group in network.groups] == [
        (group.name, group.size) for group in plain.groups
    ]
    assert len(network.groups) == 2
    assert measure(network) == measure(plain)
    assert [operation.module for operation in network.operations] == [
        operation.module for operation in plain.operations
    ]


def test_a_network_with_a_region_is_pruned_to_its_plan() -> None:
    torch.manual_seed(0)
    model = Guarded("autocast", "gradients").eval()
    network = trace(model, images())
    kept = [np.arange(group.size // 2) for group in network.groups]

    verify(model, remove(model, network, kept), network, kept, images())


class Choosing(nn.Module):
    """One of two branches, each with a layer, by the values of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep, self.wide = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(8, 12, 1)
        self.head = nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        chosen = torch.cond(x.sum() > 0, lambda y: (self.deep(y), y * 2), lambda y: (self.wide(y), y + 1), (x,))
        return self.head(chosen[0]) * chosen[1].mean()


@pytest.mark.parametrize("sign", [1, -1])
def test_both_branches_of_a_choice_are_read_and_pruned(sign: int) -> None:
    torch.manual_seed(0)
    model, inputs = Choosing().eval(), images(size=4)
    model.stem.bias = nn.Parameter(torch.full((8,), 9.0 * sign))
    network = trace(model, inputs)
    kept = [np.arange(group.size // 2) for group in network.groups]

    assert [(group.name, group.size) for group in network.groups] == [("deep", 12)]
    assert measure(network).macs == 16 * (3 * 8 + 9 * 8 * 12 + 8 * 12 + 12 * 4)
    verify(model, remove(model, network, kept), network, kept, inputs)
