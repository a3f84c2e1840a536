"""Small networks to export: pruned to half of every group, where there is something to prune."""

import numpy as np
import torch
from torch import Tensor, nn

from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.zoo.models import example_inputs, resolve_model
from tests.topologies import randomise, traced


def halved(name: str) -> nn.Module:
    """A topology with the first half of the units of every group."""
    case = traced(name)
    kept = [range((group.size + 1) // 2) for group in case.network.groups]
    return remove(case.model, case.network, kept).eval()


def digits() -> tuple[nn.Module, nn.Module, Tensor]:
    """The digits network, what is left of it at half of its MACs, and its input."""
    dense = resolve_model("digits-resnet", pretrained=True).eval()
    (inputs,) = example_inputs("digits-resnet")
    network = trace(dense, inputs)
    plan = Plan.uniform(network, "macs<=50%")
    kept = [range(width) for width in plan.widths]
    return dense, remove(dense, network, kept).eval(), inputs


class FixedBatch(nn.Module):
    """Its code says two where it means the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).view(2, 3, 2).sum(1)


class Triangular(nn.Module):
    """It holds an operation that ONNX does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.qr(self.layer(x))[1]


class Unsaved(nn.Module):
    """A buffer that is no part of the state dict shrinks with its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.register_buffer("scale", torch.arange(1.0, 7.0), persistent=False)
        self.second = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)) * self.scale)


def unsaved() -> tuple[nn.Module, nn.Module]:
    """The network with such a buffer, dense and with every second unit."""
    dense = Unsaved().eval()
    randomise(dense)
    network = trace(dense, torch.randn(2, 4))
    return dense, remove(dense, network, [[0, 2, 4]])


def small(name: str = "residual") -> tuple[nn.Module, Plan]:
    case = traced(name)
    kept = [np.arange((group.size + 1) // 2) for group in case.network.groups]
    widths = [len(units) for units in kept]
    return remove(case.model, case.network, kept), Plan.of_widths(case.network, widths, [k[::-1] for k in kept])
