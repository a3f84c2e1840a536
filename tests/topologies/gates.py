"""Features that are multiplied by what is computed from them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.silu(self.reduce(scale))))


@fixture
def squeeze_excitation() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 12), SqueezeExcitation(12, 4), conv(12, 8), Head(8)), images()


@fixture
def squeeze_excitation_linear() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        b, c = x.shape[:2]
        scale = F.adaptive_avg_pool2d(x, 1).view(b, c)
        scale = torch.sigmoid(m.expand(F.relu(m.reduce(scale)))).view(b, c, 1, 1)
        return m.head(x * scale.expand_as(x))

    layers = {"stem": conv(3, 12), "reduce": nn.Linear(12, 4), "expand": nn.Linear(4, 12), "head": Head(12)}
    return Module(run, **layers), images()


@fixture
def glu_gate() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.stem(x).chunk(2, dim=1)
        return m.head(F.glu(m.second(a * torch.sigmoid(b)), 1))

    return Module(run, stem=conv(3, 16, relu=False), second=conv(8, 12, relu=False), head=Head(6)), images()


@fixture
def spatial_attention() -> tuple[nn.Module, Any]:
    """CBAM: mean and maximum over the channels, which therefore stay; a block before them may shrink."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x))
        gate = torch.sigmoid(m.gate(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))
        return m.head(x * gate)

    return Module(run, a=conv(3, 8), b=conv(8, 6), gate=nn.Conv2d(2, 1, 3, padding=1), head=Head(6)), images()


@fixture
def stacked_branches() -> tuple[nn.Module, Any]:
    """Selective kernels: branches stacked, weighted by a softmax over the branches, and summed."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        both = torch.stack([m.a(x), m.b(x)], 1)
        gate = m.gate(both.sum(1).mean((2, 3)))
        gate = gate.view(gate.shape[0], 2, -1).softmax(1)
        return m.head((both * gate[..., None, None]).sum(1))

    layers = {"stem": conv(3, 8), "a": conv(8, 8), "b": conv(8, 8, 1), "gate": nn.Linear(8, 16), "head": Head(8)}
    return Module(run, **layers), images()


@fixture
def channel_convolution() -> tuple[nn.Module, Any]:
    """Efficient channel attention: a convolution along the channels, which therefore stay."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x))
        gate = m.gate(x.mean((2, 3))[:, None])
        return m.head(x * torch.sigmoid(gate).transpose(1, 2)[..., None])

    layers = {"a": conv(3, 8), "b": conv(8, 6), "gate": nn.Conv1d(1, 1, 3, padding=1, bias=False), "head": Head(6)}
    return Module(run, **layers), images()
