"""Grouped and depthwise convolutions, and shuffles between them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def depthwise() -> tuple[nn.Module, Any]:
    body = [conv(3, 8), conv(8, 8, groups=8), conv(8, 16, 1), conv(16, 16, 5, groups=16, stride=2), conv(16, 12, 1)]
    return nn.Sequential(*body, Head(12)), images()


@fixture
def depthwise_multiplier() -> tuple[nn.Module, Any]:
    """A depthwise convolution with two outputs for each input."""
    return nn.Sequential(conv(3, 8), conv(8, 16, groups=8), conv(16, 12, 1), Head(12)), images()


@fixture
def grouped_many() -> tuple[nn.Module, Any]:
    """Eight groups of two: whole groups go."""
    return nn.Sequential(conv(3, 16), conv(16, 16, groups=8), conv(16, 8, 1), Head(8)), images()


@fixture
def grouped_wide() -> tuple[nn.Module, Any]:
    """Two groups of eight inputs and six outputs: the same channels of both go."""
    return nn.Sequential(conv(3, 16), conv(16, 12, groups=2), conv(12, 8, 1), Head(8)), images()


@fixture
def grouped_twice() -> tuple[nn.Module, Any]:
    """ResNeXt: a residual block around a grouped convolution, then different groups on the same channels."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = F.relu(x + m.expand(m.group(m.reduce(x))))
        return m.head(m.other(x))

    layers = {
        "stem": conv(3, 16),
        "reduce": conv(16, 12, 1),
        "group": conv(12, 12, groups=3),
        "expand": conv(12, 16, 1, relu=False),
        "other": conv(16, 16, groups=4),
        "head": Head(16),
    }
    return Module(run, **layers), images()


class ShuffleUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(conv(half, half, 1), conv(half, half, groups=half, relu=False), conv(half, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        x = torch.cat((a, self.branch(b)), dim=1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


@fixture
def channel_shuffle() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 16), ShuffleUnit(16), ShuffleUnit(16), conv(16, 8, 1), Head(8)), images()


@fixture
def grouped_shuffle() -> tuple[nn.Module, Any]:
    """ShuffleNet V1: shuffle between two grouped convolutions."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(m.stem(x))
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, -1, h, w)
        return m.head(m.b(x))

    layers = {"stem": conv(3, 12), "a": conv(12, 12, 1, groups=3), "b": conv(12, 12, 1, groups=3), "head": Head(12)}
    return Module(run, **layers), images()


@fixture
def transposed_grouped() -> tuple[nn.Module, Any]:
    body = [conv(3, 8, stride=2), nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4), nn.ReLU()]
    return nn.Sequential(*body, nn.ConvTranspose2d(12, 12, 3, padding=1, groups=12), nn.Conv2d(12, 3, 1)), images()
