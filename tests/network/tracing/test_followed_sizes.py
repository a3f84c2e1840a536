"""Widths that modules keep for other methods than `forward`: the pruned network can be fused as the dense one can."""

from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.pruner import prune
from tests.topologies import images, randomise


class Fusible(nn.Module):
    """A convolution and an identity, with normalisations, that become one convolution after training."""

    def __init__(self, inputs: int, outputs: int, *, depthwise: bool = False) -> None:
        super().__init__()
        self.in_channels, self.out_chs, self.groups = inputs, outputs, inputs if depthwise else 1
        self.level = inputs
        self.dense = nn.Conv2d(inputs, outputs, 3, padding=1, groups=self.groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.identity = nn.BatchNorm2d(inputs) if inputs == outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dense(x))
        return torch.relu(y if self.identity is None else y + self.identity(x))

    def fused(self) -> nn.Conv2d:
        """Return the convolution that computes the same before the activation."""
        layer = nn.Conv2d(self.in_channels, self.out_chs, 3, padding=1, groups=self.groups)
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        kernel, bias = self.dense.weight * scale[:, None, None, None], self.norm.bias - self.norm.running_mean * scale
        if self.identity is not None:
            unit = torch.zeros_like(kernel)
            per_group = self.in_channels // self.groups
            for channel in range(self.in_channels):
                unit[channel, channel % per_group, 1, 1] = 1
            scale = self.identity.weight / (self.identity.running_var + self.identity.eps).sqrt()
            kernel = kernel + unit * scale[:, None, None, None]
            bias = bias + self.identity.bias - self.identity.running_mean * scale
        with torch.no_grad():
            layer.weight.copy_(kernel)
            assert layer.bias is not None
            layer.bias.copy_(bias)
        return layer


def test_a_pruned_network_is_fused_as_the_dense_one() -> None:
    torch.manual_seed(0)
    depthwise = [Fusible(8, 8, depthwise=True), Fusible(8, 16, depthwise=True)]
    blocks = [Fusible(3, 8), Fusible(8, 8), *depthwise, Fusible(16, 12), nn.Conv2d(12, 4, 1)]
    model = nn.Sequential(*blocks)
    randomise(model)
    model.eval()
    network = trace(model, images())

    small: Any = prune(model, images(), Plan.uniform(network, "macs<=50%"), network=network)

    x = images()
    for block in small[:5]:
        assert torch.allclose(block.fused()(x).relu(), block(x), atol=1e-4)
        x = block(x)
    assert small[1].in_channels < 8
    assert [block.level for block in small[:5]] == [3, 8, 8, 8, 16]


def test_an_attribute_that_forward_reads_keeps_its_value() -> None:
    class Branching(Fusible):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if self._is_wide() else x

        def _is_wide(self) -> bool:
            return all(self.in_channels > size for size in (2, 7))

    model = nn.Sequential(Fusible(3, 8), Branching(8, 8), nn.Conv2d(8, 4, 1)).eval()
    network = trace(model, images())

    assert "in_channels" not in {binding.attribute for binding in network.bindings}
    assert "out_chs" in {binding.attribute for binding in network.bindings}
